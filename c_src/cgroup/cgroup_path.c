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

const char *cgroup_path_below(const char *root, const char *cgroup)
{
    size_t size = strlen(root);

    if (size > 0 && root[size - 1] == '/')
        size--; /* the root of the whole tree */
    if (strncmp(cgroup, root, size) != 0)
        return NULL;
    /* cgroup_namespaces(7): what is outside of the namespace's root begins with "..". */
    if (strncmp(cgroup + size, "/..", 3) == 0 && (cgroup[size + 3] == '/' || cgroup[size + 3] == '\0'))
        return NULL;
    if (cgroup[size] == '\0')
        return cgroup + size;
    return cgroup[size] == '/' ? cgroup + size + 1 : NULL;
}

static bool ends_with(const char *part, size_t size, const char *suffix)
{
    size_t length = strlen(suffix);

    return size > length && memcmp(part + size - length, suffix, length) == 0;
}

/* systemd.unit(5), and its CGROUP_DELEGATION: the cgroups of services and scopes have their units' names, and no other
 * unit can be delegated. A user's own systemd is the unit user@UID.service, and manages what is below. */
bool cgroup_path_unit(const char *path, struct cgroup_unit *unit)
{
    static const char manager[] = "user@";
    const char *above = NULL;

    unit->end = 0;
    unit->manager = NULL;
    for (const char *part = path; *part != '\0'; part += *part == '/') {
        size_t size = strcspn(part, "/");

        if (ends_with(part, size, ".service") || ends_with(part, size, ".scope")) {
            unit->manager = above;
            unit->name = (size_t)(part - path);
            unit->end = unit->name + size;
            if (strncmp(part, manager, sizeof manager - 1) == 0)
                above = part + sizeof manager - 1;
        }
        part += size;
    }
    return unit->end > 0;
}
