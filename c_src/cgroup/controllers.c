/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "cgroup/controllers.h"

#include <errno.h>
#include <string.h>

#include "base/format.h"
#include "cgroup/cgroup_files.h"

static bool add(struct controllers *controllers, const char *name, struct failure *why)
{
    if (!name)
        return false;
    if (name[0] == '\0')
        return true; /* v2 has it in its core, where nothing has to be enabled */
    for (unsigned i = 0; i < controllers->count; i++)
        if (strcmp(controllers->list[i].name, name) == 0)
            return true;
    if (controllers->count == CONTROLLERS_MOST)
        return failed(why, STAGE_CGROUP, E2BIG, "a cgroup can't be given more than %u controllers", CONTROLLERS_MOST);
    controllers->list[controllers->count].name = name;
    controllers->list[controllers->count].error = 0;
    controllers->list[controllers->count++].level = 0;
    return true;
}

bool controllers_gather(struct controllers *controllers, const struct options *options, const struct settings *settings,
                        struct failure *why)
{
    controllers->count = 0;
    for (unsigned i = 0; i < options->controller_count; i++)
        if (!add(controllers, legacy_controller(options->controllers[i], why), why))
            return false;
    for (unsigned i = 0; i < settings->count; i++)
        if (!add(controllers, settings->list[i].controller, why))
            return false;
    return true;
}

/* cgroup-v2.rst, "No Internal Process Constraint": a cgroup that holds processes itself can't enable controllers for
 * the cgroups below it. The root of the whole tree can, and it is the only one without a cgroup.events. For some
 * controllers (cpu, pids) the kernel would not refuse the request, but make a threaded subtree ("Threads"), which is
 * not wanted here. */
bool controllers_inhabited(int directory)
{
    char text[64];

    return cgroup_read(directory, "cgroup.events", text, sizeof text) &&
           cgroup_read(directory, "cgroup.procs", text, sizeof text) && text[0] != '\0';
}

static int enable(int directory, const char *offered, const char *name)
{
    char change[64];

    if (!cgroup_has_word(offered, name))
        return ENOENT;
    if (controllers_inhabited(directory))
        return EBUSY;
    format(change, sizeof change, "+%s", name);
    return cgroup_write(directory, "cgroup.subtree_control", change) ? 0 : errno;
}

/* Each is written by itself, because the kernel enables either all controllers of one write or none (cgroup-v2.rst,
 * "Enabling and Disabling"). */
void controllers_enable(struct controllers *controllers, int directory, size_t level)
{
    char enabled[256];
    char offered[256];

    if (controllers->count == 0)
        return;
    (void)cgroup_read(directory, "cgroup.subtree_control", enabled, sizeof enabled);
    (void)cgroup_read(directory, "cgroup.controllers", offered, sizeof offered);
    for (unsigned i = 0; i < controllers->count; i++) {
        struct controller *controller = &controllers->list[i];
        int error = cgroup_has_word(enabled, controller->name) ? 0 : enable(directory, offered, controller->name);

        if (controller->error == 0 && error != 0) {
            controller->error = error;
            controller->level = level;
        }
    }
}

static bool not_enabled(const char *name, int error, size_t level, const char *mount, const char *path,
                        struct failure *why)
{
    int size = (int)level;
    const char *slash = level > 0 ? "/" : "";

    switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
        return failed(
            why, STAGE_CGROUP, error,
            "the controller %s is not enabled for %s/%s: %s%s%.*s/cgroup.subtree_control can't be written (%s); "
            "root can: echo +%s >%s%s%.*s/cgroup.subtree_control",
            name, mount, path, mount, slash, size, path, strerror(error), name, mount, slash, size, path);
    case EBUSY:
        return failed(why, STAGE_CGROUP, error,
                      "the controller %s can't be enabled below %s%s%.*s, because processes are in that cgroup itself "
                      "(cgroup v2 allows them only where nothing is below): move them into another one under it",
                      name, mount, slash, size, path);
    case ENOENT:
    case EINVAL:
        return failed(
            why, STAGE_CGROUP, error,
            "there is no controller %s in %s%s%.*s: cgroup.controllers lists those that there are (a kernel that "
            "was built without it, or has it disabled or mounted as cgroup v1, doesn't offer it, nor does a container "
            "for which it was not enabled)",
            name, mount, slash, size, path);
    default:
        return failed(why, STAGE_CGROUP, error, "the controller %s could not be enabled in %s%s%.*s: %s", name, mount,
                      slash, size, path, strerror(error));
    }
}

bool controllers_check(const struct controllers *controllers, int directory, const char *mount, const char *path,
                       struct failure *why)
{
    char there[256];

    if (!cgroup_read(directory, "cgroup.controllers", there, sizeof there))
        return failed(why, STAGE_CGROUP, errno, "cannot read %s/%s/cgroup.controllers: %s", mount, path,
                      strerror(errno));
    for (unsigned i = 0; i < controllers->count; i++)
        if (!cgroup_has_word(there, controllers->list[i].name))
            return not_enabled(controllers->list[i].name, controllers->list[i].error, controllers->list[i].level, mount,
                               path, why);
    return true;
}
