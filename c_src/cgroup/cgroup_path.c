/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cgroup/cgroup_path.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/format.h"

#define SHOWN_MOST 300 /* bytes of a wrong path that the message shows, so that there is room for its words */

static bool wrong(const char *path, const char *why_not, struct failure *why)
{
    return failed(why, STAGE_CGROUP, EINVAL,
                  "'%.*s' is no cgroup's path: %s; it is relative to where cgroup2 is mounted, as in mygroup/test",
                  SHOWN_MOST, path, why_not);
}

bool cgroup_path_check(const char *path, struct failure *why)
{
    unsigned parts = 0;

    if (path[0] == '\0')
        return wrong(path, "it is empty", why);
    if (path[0] == '/')
        return wrong(path, "it begins with a slash", why);
    if (strlen(path) > CGROUP_PATH_MOST)
        return wrong(path, "it is too long", why);
    for (const char *part = path;; part++) {
        size_t size = strcspn(part, "/");

        if (++parts > CGROUP_PARTS_MOST)
            return wrong(path, "it has more than 32 parts", why);
        if (size == 0)
            return wrong(path, "a part of it is empty", why);
        if (size >= CGROUP_PART_SIZE)
            return wrong(path, "a part of it is longer than 255 bytes", why);
        if (part[0] == '.' && (size == 1 || (size == 2 && part[1] == '.')))
            return wrong(path, "it has . or .. in it", why);
        part += size;
        if (*part == '\0')
            return true;
    }
}

void cgroup_path_next(const char **path, char part[CGROUP_PART_SIZE])
{
    size_t size = strcspn(*path, "/");

    format(part, CGROUP_PART_SIZE, "%.*s", (int)size, *path);
    *path += size + ((*path)[size] == '/');
}
