/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Makes a directory in LOG whose name says who it is that made it. As a program it is what muontrap is to run; as a
 * library that somebody has the dynamic loader load, it says into whom that has got it.
 *
 *   probe          does so, and tries to become others, and to read what is root's
 *   probe linger   does so, and leaves a descendant behind that has a session of its own
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char *what)
{
    struct {
        uint32_t version;
        int pid;
    } header = {.version = 0x20080522u};
    uint32_t sets[6] = {0};
    uid_t uids[3] = {0};
    gid_t gids[3] = {0};
    gid_t groups[64];
    int count = getgroups(64, groups);
    char name[1024];
    int size;

    (void)getresuid(&uids[0], &uids[1], &uids[2]);
    (void)getresgid(&gids[0], &gids[1], &gids[2]);
    (void)syscall(SYS_capget, &header, sets);
    size = snprintf(name, sizeof name, LOG "/%s %ld %u,%u,%u %u,%u,%u,", what, (long)getpid(), uids[0], uids[1],
                    uids[2], gids[0], gids[1], gids[2]);
    for (int i = 0; i < count; i++)
        size += snprintf(name + size, sizeof name - (size_t)size, "%u,", groups[i]);
    for (int i = 1; i < 6; i++)
        sets[0] |= sets[i];
    (void)snprintf(name + size, sizeof name - (size_t)size, " %x", sets[0]);
    (void)mkdir(name, 0777);
}

#ifdef LIBRARY
__attribute__((constructor)) static void loaded(void)
{
    tell("library");
}
#else
static void try_to_escape(void)
{
    static const uid_t ids[] = {0, 54330, 54332, 54333};
    uid_t own = getuid();

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i] != own && (setuid(ids[i]) == 0 || setgid(ids[i]) == 0))
            tell("escaped");
    if (open("/etc/secret", O_RDONLY) >= 0 || open("/etc/muontrap.conf", O_WRONLY) >= 0)
        tell("escaped");
}

int main(int argc, char *argv[])
{
    tell("program");
    try_to_escape();
    if (argc > 1 && strcmp(argv[1], "linger") == 0 && fork() == 0 && setsid() > 0 && fork() == 0) {
        (void)alarm(100);
        (void)pause();
    }
    return 0;
}
#endif
