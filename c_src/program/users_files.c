/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/number.h"
#include "program/users.h"

/* The file that is being read; there is one at a time. A line that doesn't fit is skipped: no real one is as long. */
static struct {
    int fd;
    size_t have; /* bytes in the buffer */
    size_t at;   /* where the next line begins */
    bool ended;
    bool skips; /* what comes up to the next newline is the rest of a line that didn't fit */
    char bytes[65536];
} file;

static bool open_file(const char *path)
{
    file.fd = open(path, O_RDONLY | O_CLOEXEC);
    file.have = file.at = 0;
    file.ended = file.skips = false;
    return file.fd >= 0;
}

static void read_more(void)
{
    ssize_t size;

    memmove(file.bytes, file.bytes + file.at, file.have - file.at);
    file.have -= file.at;
    file.at = 0;
    do {
        size = read(file.fd, file.bytes + file.have, sizeof file.bytes - 1 - file.have);
    } while (size < 0 && errno == EINTR);
    if (size > 0)
        file.have += (size_t)size;
    else
        file.ended = true;
}

/* Returns the next line without its newline; NULL at the end of the file, which is closed then. */
static char *next_line(void)
{
    for (;;) {
        char *start = file.bytes + file.at;
        char *end = memchr(start, '\n', file.have - file.at);

        if (end || (file.ended && file.at < file.have)) {
            bool skipped = file.skips;

            if (!end)
                end = file.bytes + file.have;
            file.at = (size_t)(end - file.bytes) + (end < file.bytes + file.have);
            *end = '\0';
            file.skips = false;
            if (skipped)
                continue;
            return start;
        }
        if (file.ended) {
            io_close(&file.fd);
            return NULL;
        }
        if (file.have - file.at == sizeof file.bytes - 1) {
            file.at = file.have;
            file.skips = true;
        }
        read_more();
    }
}

/* Cuts the line into `count` fields at its colons, of which the last ones may be missing: they are NULL then. False
 * when there are fewer than `least`. */
static bool split(char *line, char *fields[], size_t least, size_t count)
{
    if (line[strspn(line, " \t")] == '#')
        return false;
    for (size_t i = 0; i < count; i++) {
        fields[i] = line;
        if (!line && i < least)
            return false;
        line = line ? strchr(line, ':') : NULL;
        if (line)
            *line++ = '\0';
    }
    return true;
}

/* passwd(5): name:password:UID:GID:GECOS:directory:shell */
static bool find_user(const char *name, uid_t uid, struct user *user)
{
    char *fields[7];
    char *line;
    unsigned long id;
    unsigned long group;

    if (!open_file("/etc/passwd"))
        return false;
    while ((line = next_line())) {
        if (!split(line, fields, 4, 7) || strlen(fields[0]) >= sizeof user->name ||
            !number_id(fields[2], strlen(fields[2]), &id) || !number_id(fields[3], strlen(fields[3]), &group))
            continue;
        if (name ? strcmp(fields[0], name) == 0 : id == uid) {
            memcpy(user->name, fields[0], strlen(fields[0]) + 1);
            user->uid = (uid_t)id;
            user->gid = (gid_t)group;
            users_copy_path(user->home, fields[5]);
            users_copy_path(user->shell, fields[6]);
            io_close(&file.fd);
            return true;
        }
    }
    return false;
}

bool users_by_name(const char *name, struct user *user)
{
    return find_user(name, 0, user);
}

bool users_by_uid(uid_t uid, struct user *user)
{
    return find_user(NULL, uid, user);
}

/* group(5): name:password:GID:user,user,... */
bool users_group_by_name(const char *name, gid_t *gid)
{
    char *fields[4];
    char *line;
    unsigned long id;

    if (!open_file("/etc/group"))
        return false;
    while ((line = next_line())) {
        if (split(line, fields, 3, 3) && strcmp(fields[0], name) == 0 && number_id(fields[2], strlen(fields[2]), &id)) {
            *gid = (gid_t)id;
            io_close(&file.fd);
            return true;
        }
    }
    return false;
}

/* Whether a list of names that is separated by commas has that name. */
static bool lists_name(const char *members, const char *name)
{
    size_t size = strlen(name);

    while (*members) {
        size_t member = strcspn(members, ",");

        if (member == size && memcmp(members, name, size) == 0)
            return true;
        members += member + (members[member] == ',');
    }
    return false;
}

size_t users_groups(const struct user *user, gid_t primary, gid_t *groups, size_t most)
{
    char *fields[4];
    char *line;
    unsigned long id;
    size_t count = 0;

    groups[count++] = primary;
    if (!open_file("/etc/group"))
        return errno == ENOENT ? count : 0;
    while ((line = next_line())) {
        if (!split(line, fields, 4, 4) || !number_id(fields[2], strlen(fields[2]), &id) || (gid_t)id == primary ||
            !lists_name(fields[3], user->name))
            continue;
        if (count == most) {
            io_close(&file.fd);
            return most + 1;
        }
        groups[count++] = (gid_t)id;
    }
    return count;
}
