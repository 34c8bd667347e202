/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/v1_users.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"
#include "cgroup/cgroup_files.h"

#define CGROUPS_NAMED 3u
#define PROCESSES_NAMED 3u
#define DEPTH_MOST 16u /* deeper ones are not looked for */
#define PATH_SHOWN 80  /* bytes */

struct inhabitants {
    unsigned count;
    char *text;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t size, const char *words, ...)
{
    size_t have = strlen(text);
    va_list args;

    va_start(args, words);
    format_list(text + have, size - have, words, args);
    va_end(args);
}

/* proc(5), /proc/pid/comm. */
static void name_process(pid_t pid, void *context)
{
    struct inhabitants *inhabitants = context;
    char file[48];
    char name[32];

    inhabitants->count++;
    if (inhabitants->count > PROCESSES_NAMED)
        return;
    format(file, sizeof file, "/proc/%ld/comm", (long)pid);
    (void)cgroup_read(AT_FDCWD, file, name, sizeof name);
    name[strcspn(name, "\n")] = '\0';
    add(inhabitants->text, inhabitants->size, "%s%ld %s", inhabitants->count > 1 ? ", " : "", (long)pid, name);
}

static void add_cgroup(struct v1_users *users, int directory, const char *path)
{
    char text[128] = "";
    struct inhabitants inhabitants = {.text = text, .size = sizeof text};

    users->cgroups++;
    if (!cgroup_processes(directory, name_process, &inhabitants) || inhabitants.count == 0)
        return;
    users->inhabited++;
    if (users->named == CGROUPS_NAMED)
        return;
    add(users->names, sizeof users->names, "%s%.*s (%s", users->named > 0 ? ", " : "", PATH_SHOWN, path, text);
    if (inhabitants.count > PROCESSES_NAMED)
        add(users->names, sizeof users->names, " and %u more", inhabitants.count - PROCESSES_NAMED);
    add(users->names, sizeof users->names, ")");
    users->named++;
}

/* A directory on the way down, of which a part has been listed. */
struct level {
    int directory;
    size_t size; /* of the path, to this directory */
    struct platform_listing listing;
};

static struct level levels[DEPTH_MOST];

static void begin_level(struct level *level, int directory, const char *path)
{
    level->directory = directory;
    level->size = strlen(path);
    platform_list(&level->listing, directory);
}

void v1_users_find(struct v1_users *users, const char *mount)
{
    char path[1024] = "";
    unsigned depth = 0;
    int directory = cgroup_directory(AT_FDCWD, mount);

    memset(users, 0, sizeof *users);
    if (directory < 0)
        return;
    begin_level(&levels[depth++], directory, path);
    while (depth > 0) {
        struct level *level = &levels[depth - 1];
        const char *name = cgroup_list_next(&level->listing);

        path[level->size] = '\0';
        if (!name) {
            io_close(&level->directory);
            depth--;
            continue;
        }
        format(path + level->size, sizeof path - level->size, "%s%s", level->size > 0 ? "/" : "", name);
        directory = cgroup_directory(level->directory, name);
        if (directory < 0)
            continue;
        add_cgroup(users, directory, path);
        if (depth < DEPTH_MOST)
            begin_level(&levels[depth++], directory, path);
        else
            io_close(&directory);
    }
}
