/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "program/identity.h"

static struct identity identity;
static struct failure why;

/* ---- System calls that fail, or do nothing, when a test says so ---- */

static int setgroups_error;
static int setgid_error;
static int setuid_error;
static bool setgid_does_nothing; /* as setgid(2) without privilege, which may set the effective gid alone */
static bool setuid_does_nothing;
static int drop_error;
static bool drop_does_nothing;

int __real_platform_setgroups(size_t count, const gid_t *groups);
int __wrap_platform_setgroups(size_t count, const gid_t *groups);
int __wrap_platform_setgroups(size_t count, const gid_t *groups)
{
    errno = setgroups_error;
    return setgroups_error ? -1 : __real_platform_setgroups(count, groups);
}

int __real_platform_setgid(gid_t gid);
int __wrap_platform_setgid(gid_t gid);
int __wrap_platform_setgid(gid_t gid)
{
    errno = setgid_error;
    return setgid_error ? -1 : setgid_does_nothing ? 0 : __real_platform_setgid(gid);
}

int __real_platform_setuid(uid_t uid);
int __wrap_platform_setuid(uid_t uid);
int __wrap_platform_setuid(uid_t uid)
{
    errno = setuid_error;
    return setuid_error ? -1 : setuid_does_nothing ? 0 : __real_platform_setuid(uid);
}

int __real_platform_drop_capabilities(void);
int __wrap_platform_drop_capabilities(void);
int __wrap_platform_drop_capabilities(void)
{
    errno = drop_error;
    return drop_error ? -1 : drop_does_nothing ? 0 : __real_platform_drop_capabilities();
}

/* ---- */

static struct options options;

static bool resolves(const char *uid, const char *gid, const char *groups)
{
    static gid_t list[GROUPS_MOST];

    options = (struct options){.uid = uid, .gid = gid, .groups = groups};

    memset(&why, 0, sizeof why);
    identity.groups = list;
    return identity_resolve(&identity, &options, &why);
}

#define REFUSES(stage_value, errno_value, words_of_it, uid, gid, groups)                                               \
    do {                                                                                                               \
        assert_false(resolves(uid, gid, groups));                                                                      \
        assert_int_equal(why.stage, stage_value);                                                                      \
        assert_int_equal(why.error, errno_value);                                                                      \
        if (!strstr(why.words, words_of_it))                                                                           \
            fail_msg("'%s' doesn't say '%s'", why.words, words_of_it);                                                 \
    } while (0)

static void without_an_option_nothing_changes(void **state)
{
    (void)state;
    assert_true(resolves(NULL, NULL, NULL));
    assert_false(identity.change_uid || identity.change_gid || identity.change_groups);
}

static bool sets(const char *variable)
{
    for (unsigned i = 0; i < options.setenv_count; i++)
        if (strcmp(options.setenv[i], variable) == 0)
            return true;
    return false;
}

/* systemd.exec(5), "Environment Variables in Spawned Processes". */
static void a_user_has_its_own_login_variables(void **state)
{
    const struct passwd *daemon;
    char home[300];

    (void)state;
    daemon = getpwnam("daemon");
    assert_non_null(daemon);
    (void)snprintf(home, sizeof home, "HOME=%s", daemon->pw_dir);
    assert_true(resolves("daemon", NULL, NULL));
    assert_int_equal(options.setenv_count, 4);
    assert_true(sets(home));
    assert_true(sets("USER=daemon"));
    assert_true(sets("LOGNAME=daemon"));
    assert_true(sets("SHELL")); /* unset, for nologin is no shell */
    assert_true(resolves("54321", "54321", NULL));
    assert_true(sets("HOME") && sets("USER") && sets("LOGNAME") && sets("SHELL"));
    assert_true(resolves(NULL, "daemon", NULL));
    assert_int_equal(options.setenv_count, 0);
}

static void root_is_refused_by_name_and_number(void **state)
{
    (void)state;
    REFUSES(STAGE_UID, EPERM, "--uid root is root", "root", NULL, NULL);
    REFUSES(STAGE_UID, EPERM, "--uid 0 is root", "0", NULL, NULL);
    REFUSES(STAGE_UID, EPERM, "--uid 000 is root", "000", NULL, NULL);
    REFUSES(STAGE_GID, EPERM, "root's", NULL, "root", NULL);
    REFUSES(STAGE_GID, EPERM, "root's", NULL, "0", NULL);
    REFUSES(STAGE_GROUPS, EPERM, "root's", NULL, NULL, "5,0");
}

static void a_user_or_group_that_there_is_not_is_named(void **state)
{
    (void)state;
    REFUSES(STAGE_UID, EINVAL, "no user 'no-such-user'", "no-such-user", NULL, NULL);
    REFUSES(STAGE_GID, EINVAL, "no group 'no-such-group'", NULL, "no-such-group", NULL);
    REFUSES(STAGE_GROUPS, EINVAL, "no group 'no-such-group'", NULL, NULL, "5,no-such-group");
    REFUSES(STAGE_GROUPS, EINVAL, "no group ''", NULL, NULL, ",5");
}

static void a_number_that_no_id_can_be_is_looked_up_as_a_name(void **state)
{
    (void)state;
    REFUSES(STAGE_UID, EINVAL, "no user '4294967295'", "4294967295", "5", NULL);
    REFUSES(STAGE_UID, EINVAL, "no user '4294967296'", "4294967296", "5", NULL);
    REFUSES(STAGE_UID, EINVAL, "no user '-1'", "-1", "5", NULL);
    REFUSES(STAGE_UID, EINVAL, "no user '1x'", "1x", "5", NULL);
    REFUSES(STAGE_GID, EINVAL, "no group '99999999999999999999'", NULL, "99999999999999999999", NULL);
    assert_true(resolves("4294967294", "4294967294", NULL));
    assert_int_equal(identity.uid, 4294967294u);
}

static void a_user_brings_its_groups(void **state)
{
    const struct passwd *nobody = getpwnam("nobody");

    (void)state;
    assert_non_null(nobody);
    assert_true(resolves("nobody", NULL, NULL));
    assert_int_equal(identity.uid, nobody->pw_uid);
    assert_int_equal(identity.gid, nobody->pw_gid);
    assert_true(identity.group_count >= 1);
    for (size_t i = 0; i < identity.group_count; i++)
        assert_int_not_equal(identity.groups[i], 0);
}

static void a_number_of_a_known_user_is_that_user(void **state)
{
    char number[16];

    (void)state;
    (void)snprintf(number, sizeof number, "%lu", (unsigned long)getpwnam("nobody")->pw_uid);
    assert_true(resolves(number, NULL, NULL));
    assert_int_equal(identity.gid, getpwnam("nobody")->pw_gid);
}

static void an_unknown_number_needs_a_group(void **state)
{
    (void)state;
    REFUSES(STAGE_UID, EINVAL, "name one with --gid", "3999999", NULL, NULL);
    assert_true(resolves("3999999", "3999998", NULL));
    assert_int_equal(identity.uid, 3999999);
    assert_int_equal(identity.gid, 3999998);
    assert_int_equal(identity.group_count, 1);
    assert_int_equal(identity.groups[0], 3999998);
}

static void the_groups_are_those_of_the_list(void **state)
{
    (void)state;
    assert_true(resolves(NULL, NULL, "3999998,3999997"));
    assert_true(identity.change_groups);
    assert_int_equal(identity.group_count, 2);
    assert_int_equal(identity.groups[1], 3999997);
    assert_true(resolves(NULL, NULL, ""));
    assert_int_equal(identity.group_count, 0);
}

static void too_many_groups_are_refused(void **state)
{
    char list[2 * (GROUPS_MOST + 1) + 1];

    (void)state;
    for (size_t i = 0; i <= GROUPS_MOST; i++)
        memcpy(list + 2 * i, "7,", 2);
    list[2 * GROUPS_MOST] = '\0';
    assert_true(resolves(NULL, NULL, list));
    assert_int_equal(identity.group_count, GROUPS_MOST);
    list[2 * GROUPS_MOST] = '7';
    list[2 * GROUPS_MOST + 1] = '\0';
    REFUSES(STAGE_GROUPS, EINVAL, "1024 groups at most", NULL, NULL, list);
}

static void a_group_s_name_that_is_too_long_is_refused(void **state)
{
    char name[300];

    (void)state;
    memset(name, 'g', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    REFUSES(STAGE_GID, ENAMETOOLONG, "299 bytes", NULL, name, NULL);
}

static void a_user_may_ask_for_what_it_is_already(void **state)
{
    const struct passwd *self = getpwuid(getuid());

    (void)state;
    ORDINARY_USER_ONLY();
    assert_non_null(self);
    assert_true(resolves(self->pw_name, NULL, NULL));
    assert_false(identity.change_uid);
    assert_false(identity.change_gid);
}

#ifdef __linux__
/* prctl(2), PR_SET_KEEPCAPS: the permitted capabilities outlive the change from root to another user. The
 * kernel's header describes capset(2) here, and linux.c by itself, so that both have to be right. */
static void become_ordinary_user_with_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}};

    sets[0].effective = sets[0].permitted = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresgid(54330, 54330, 54330) < 0 ||
        setresuid(54330, 54330, 54330) < 0 || syscall(SYS_capset, &header, sets) < 0)
        _exit(254);
}
#else
static void become_ordinary_user_with_capabilities(void)
{
}
#endif

/* What identity_assume() comes to in a process of its own, which `prepare` may change first: 0, else the stage and the
 * errno. */
static int assume_after(void (*prepare)(void), int *error)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        enum stage stage;

        if (prepare)
            prepare();
        if (!identity_assume(&identity, &stage)) {
            int seen = errno;

            _exit((int)stage << 4 | (seen == EPERM ? 1 : seen == EAGAIN ? 2 : seen == EINVAL ? 3 : 15));
        }
        if (identity.change_uid && (getuid() != identity.uid || geteuid() != identity.uid || seteuid(0) == 0))
            _exit(255);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 255);
    assert_int_not_equal(WEXITSTATUS(status), 254);
    *error = (int[]){0, EPERM, EAGAIN, EINVAL}[WEXITSTATUS(status) & 3];
    return WEXITSTATUS(status) >> 4;
}

static int assume(int *error)
{
    return assume_after(NULL, error);
}

static void a_process_that_has_become_another_user_can_not_go_back(void **state)
{
    int error;

    (void)state;
    ROOT_ONLY();
    assert_true(resolves("nobody", NULL, NULL));
    assert_int_equal(assume(&error), 0);
}

static void without_privilege_the_first_step_fails_and_says_so(void **state)
{
    int error;

    (void)state;
    ORDINARY_USER_ONLY();
    assert_true(resolves("3999999", "3999998", NULL));
    assert_int_equal(assume(&error), STAGE_GROUPS);
    assert_int_equal(error, EPERM);
}

static void each_step_that_fails_is_named(void **state)
{
    int error;

    (void)state;
    ROOT_ONLY();
    assert_true(resolves("3999999", "3999998", NULL));
    setgroups_error = EINVAL;
    assert_int_equal(assume(&error), STAGE_GROUPS);
    assert_int_equal(error, EINVAL);
    setgroups_error = 0;
    setgid_error = EPERM;
    assert_int_equal(assume(&error), STAGE_GID);
    assert_int_equal(error, EPERM);
    setgid_error = 0;
    setuid_error = EAGAIN;
    assert_int_equal(assume(&error), STAGE_UID);
    assert_int_equal(error, EAGAIN);
    setuid_error = 0;
    drop_error = EPERM;
    assert_int_equal(assume(&error), STAGE_SPAWN);
    assert_int_equal(error, EPERM);
    drop_error = 0;
}

static void a_call_that_succeeds_without_changing_all_ids_is_a_failure(void **state)
{
    int error;

    (void)state;
    ROOT_ONLY();
    assert_true(resolves("3999999", "3999998", NULL));
    setuid_does_nothing = true;
    assert_int_equal(assume(&error), STAGE_UID);
    assert_int_equal(error, EPERM);
    setuid_does_nothing = false;
    setgid_does_nothing = true;
    assert_int_equal(assume(&error), STAGE_GID);
    assert_int_equal(error, EPERM);
    setgid_does_nothing = false;
}

static void capabilities_that_leave_a_way_back_are_a_failure(void **state)
{
    int error;

    (void)state;
    ROOT_ONLY();
    LINUX_ONLY();
    drop_does_nothing = true;
    assert_true(resolves("3999999", "3999998", NULL));
    assert_int_equal(assume_after(become_ordinary_user_with_capabilities, &error), STAGE_UID);
    assert_int_equal(error, EPERM);
    identity.change_uid = false; /* as when --gid alone is given */
    assert_int_equal(assume_after(become_ordinary_user_with_capabilities, &error), STAGE_GID);
    assert_int_equal(error, EPERM);
    drop_does_nothing = false;
    assert_int_equal(assume_after(become_ordinary_user_with_capabilities, &error), 0);
}

static void capabilities_are_dropped_unless_no_identity_is_asked_for_or_the_program_stays_root(void **state)
{
    (void)state;
    ROOT_ONLY();
    assert_true(resolves(NULL, NULL, NULL));
    assert_false(identity.drop_capabilities);
    assert_true(resolves(NULL, "3999998", "3999997"));
    assert_false(identity.drop_capabilities);
    assert_true(resolves("3999999", "3999998", NULL));
    assert_true(identity.drop_capabilities);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(without_an_option_nothing_changes),
        TEST(a_user_has_its_own_login_variables),
        TEST(root_is_refused_by_name_and_number),
        TEST(a_user_or_group_that_there_is_not_is_named),
        TEST(a_number_that_no_id_can_be_is_looked_up_as_a_name),
        TEST(a_user_brings_its_groups),
        TEST(a_number_of_a_known_user_is_that_user),
        TEST(an_unknown_number_needs_a_group),
        TEST(the_groups_are_those_of_the_list),
        TEST(too_many_groups_are_refused),
        TEST(a_group_s_name_that_is_too_long_is_refused),
        TEST(a_user_may_ask_for_what_it_is_already),
        TEST(a_process_that_has_become_another_user_can_not_go_back),
        TEST(without_privilege_the_first_step_fails_and_says_so),
        TEST(each_step_that_fails_is_named),
        TEST(a_call_that_succeeds_without_changing_all_ids_is_a_failure),
        TEST(capabilities_that_leave_a_way_back_are_a_failure),
        TEST(capabilities_are_dropped_unless_no_identity_is_asked_for_or_the_program_stays_root),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
