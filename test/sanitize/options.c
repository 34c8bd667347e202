/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the sanitizers are to do, linked into what has them. Not ASAN_OPTIONS, because the tests, and the library, give
 * the helper environments of their own. REPORTS is the directory of reports.
 *
 * Off: detect_leaks, because the leak checker stops the process by ptrace(2), and hangs when a SIGCONT comes then, as
 * the helper's two processes send each other. make test-valgrind looks for leaks.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "log_path=" REPORTS "/report:log_exe_name=1:exitcode=99:print_stacktrace=1:halt_on_error=1:detect_leaks=0:"
           "detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1";
}
