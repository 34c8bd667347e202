/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * finding address|undefined: makes a mistake, in a process that is like a child of the helper between fork and exec:
 * another user's where it can be, without descriptors, and one whose end nobody looks at. test/sanitize/run looks
 * whether it is reported.
 */
#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int read_beyond(int index)
{
    volatile char bytes[8] = "";
    volatile char *at = bytes;

    return at[index];
}

static int add_beyond(int number)
{
    return number + INT_MAX;
}

int main(int argc, char *argv[])
{
    pid_t pid = argc == 2 ? fork() : -1;

    if (pid < 0)
        return 2;
    if (pid == 0) {
        for (int fd = 0; fd < 20; fd++)
            (void)close(fd);
        if (getuid() == 0 && (setgid(65533) < 0 || setuid(65533) < 0))
            _exit(0);
        _exit((strcmp(argv[1], "address") == 0 ? read_beyond(argc + 6) : add_beyond(argc)) & 1);
    }
    return waitpid(pid, NULL, 0) == pid ? 0 : 2;
}
