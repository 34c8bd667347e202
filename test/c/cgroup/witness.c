/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "witness.h"

#include <libcgroup.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static void check(int error, const char *what, const char *cgroup)
{
    if (error != 0)
        fail_msg("libcgroup, %s %s: %s", what, cgroup, cgroup_strerror(error));
}

static void init(void)
{
    static bool done;

    if (!done)
        check(cgroup_init(), "begins", "");
    done = true;
}

void assert_witnessed(const char *cgroup, const char *controller, const char *file, const char *expected)
{
    struct cgroup *seen = cgroup_new_cgroup(cgroup);
    char *value = NULL;

    init();
    assert_non_null(seen);
    check(cgroup_get_cgroup(seen), "reads", cgroup);
    assert_non_null(cgroup_get_controller(seen, controller));
    check(cgroup_get_value_string(cgroup_get_controller(seen, controller), file, &value), file, cgroup);
    value[strcspn(value, "\n")] = '\0';
    assert_string_equal(value, expected);
    free(value);
    cgroup_free(&seen);
}

void assert_not_witnessed(const char *cgroup)
{
    struct cgroup *seen = cgroup_new_cgroup(cgroup);

    init();
    assert_non_null(seen);
    assert_int_not_equal(cgroup_get_cgroup(seen), 0);
    cgroup_free(&seen);
}

void witness_makes(const char *cgroup, const char *controller, const char *file, const char *value)
{
    struct cgroup *made = cgroup_new_cgroup(cgroup);
    struct cgroup_controller *settings;

    init();
    assert_non_null(made);
    settings = cgroup_add_controller(made, controller);
    assert_non_null(settings);
    check(cgroup_add_value_string(settings, file, value), file, cgroup);
    check(cgroup_create_cgroup(made, 1), "makes", cgroup);
    cgroup_free(&made);
}

void witness_removes(const char *cgroup, const char *controller)
{
    struct cgroup *made = cgroup_new_cgroup(cgroup);

    init();
    assert_non_null(made);
    assert_non_null(cgroup_add_controller(made, controller));
    check(cgroup_delete_cgroup(made, 0), "removes", cgroup);
    cgroup_free(&made);
}
