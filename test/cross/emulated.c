/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Becomes the emulator, which runs the helper with the arguments and the environment that were given. A shell script in
 * its place would add variables to the environment, and lose argument 0. QEMU turns the order of the environment round,
 * and so does this. QEMU, SYSROOT, HOST and HELPER are paths, which test/cross/run has compiled in, so that a copy of
 * this program runs the same helper.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char *argv[])
{
    static char preload[] = "LD_PRELOAD=" HOST;
    const char *const before[] = {QEMU, "-U", "LD_PRELOAD", "-L", SYSROOT, "-0", argv[0], HELPER};
    const size_t count = sizeof before / sizeof before[0];
    size_t variables = 0;
    char **arguments = calloc(count + (size_t)argc, sizeof *arguments);
    char **environment;

    while (environ[variables] != NULL)
        variables++;
    environment = calloc(variables + 2, sizeof *environment);
    if (argc == 0 || arguments == NULL || environment == NULL)
        return 125;
    memcpy(arguments, before, sizeof before);
    memcpy(arguments + count, argv + 1, (size_t)argc * sizeof *argv);
    for (size_t i = 0; i < variables; i++)
        environment[i] = environ[variables - 1 - i];
    environment[variables] = preload;
    (void)execve(QEMU, arguments, environment);
    perror(QEMU);
    return 125;
}
