/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* O_PATH */
#include "program/permission.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/number.h"
#include "base/platform.h"
#include "base/rare.h"
#include "program/rules.h"

#ifndef O_PATH
#define O_PATH O_RDONLY /* for a portable build, in which nothing asks for the file */
#endif

/* It is built in, so that whoever starts the helper can't name another one. */
#ifdef MUONTRAP_RULES
#define FILE_NAME MUONTRAP_RULES
#else
#define FILE_NAME "/etc/muontrap.conf"
#endif
#define SETCAP "setcap cap_setuid,cap_setgid,cap_kill+ep"

static struct rules rules;
static char text[RULES_BYTES_MOST + 1];

/* ---- At the start ---- */

/* Another user's or group's file would be read, written and searched with that user's permissions. */
RARE static bool is_set_id(void)
{
    return getuid() != 0 && (getuid() != geteuid() || getgid() != getegid());
}

RARE static bool refuse_set_id(struct failure *why)
{
    (void)platform_setgid(getgid());
    (void)platform_setuid(getuid());
    (void)platform_drop_capabilities();
    return failed(why, STAGE_SETUP, EPERM,
                  "muontrap is a set-user-ID or set-group-ID program here, and runs nothing as that (chmod u-s,g-s on "
                  "its file; '" SETCAP "' on it, and " FILE_NAME ", let it run programs as other users)");
}

bool permission_put_aside(struct failure *why)
{
    if (is_set_id())
        return refuse_set_id(why);
    return platform_reserve_capabilities() ||
           failed(why, STAGE_SETUP, errno, "cannot put the capabilities of muontrap's file out of effect: %s",
                  strerror(errno));
}

/* ---- The file, and whose it is ---- */

static bool refuse(struct failure *why, int error, const char *what, const char *name)
{
    return failed(why, STAGE_UID, error, "%s %s", name, what);
}

enum place { THE_FILE, ITS_DIRECTORY, FURTHER_UP };

/* Whether root alone can write it or, of a directory, replace what is on the way to the file: in one that is sticky
 * nobody else can replace a directory that is root's. */
static bool is_of_root(int fd, const char *name, enum place place, struct failure *why)
{
    struct stat found;

    if (fstat(fd, &found) < 0)
        return refuse(why, errno, strerror(errno), name);
    if (place == THE_FILE && !S_ISREG(found.st_mode))
        return refuse(why, EINVAL, "is no regular file (remove it, and write one as root)", name);
    if (found.st_uid != 0)
        return failed(why, STAGE_UID, EPERM, "%s belongs to user %lu and not to root (chown root: %s)", name,
                      (unsigned long)found.st_uid, name);
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (place != FURTHER_UP || (found.st_mode & S_ISVTX) == 0))
        return failed(why, STAGE_UID, EPERM, "%s can be written by others than root (chmod go-w %s)", name, name);
    return true;
}

static bool cannot_open(const char *name, int error, struct failure *why)
{
    switch (error) {
    case ENOENT:
        return refuse(why, error,
                      "is not there: root says in it who may ask for whom, as in 'allow user worker by user app'",
                      name);
    case ELOOP:
    case ENOTDIR:
        return refuse(why, error, "is a symbolic link, or no directory where one has to be (put root's own file there)",
                      name);
    case EACCES:
        return failed(why, STAGE_UID, error, "%s can't be read (chmod a+r %s)", name, name);
    default:
        return failed(why, STAGE_UID, error, "%s can't be opened: %s", name, strerror(error));
    }
}

static bool step(int *at, const char *path, const char *name, int flags, struct failure *why)
{
    int next = openat(*at, name, flags | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;

    io_close(at);
    *at = next;
    return next >= 0 || cannot_open(path, error, why);
}

/* By way of the directories above it, each of which has to be root's, too. */
static bool open_file(int *fd, struct failure *why)
{
    char path[] = FILE_NAME;
    char *name = path + 1;
    bool fine;

    *fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    fine = (*fd >= 0 || cannot_open("/", errno, why)) && is_of_root(*fd, "/", ITS_DIRECTORY, why);
    for (char *slash = strchr(name, '/'); fine && slash; slash = strchr(name, '/')) {
        *slash = '\0';
        fine = step(fd, path, name, O_PATH | O_DIRECTORY, why) &&
               is_of_root(*fd, path, strchr(slash + 1, '/') ? FURTHER_UP : ITS_DIRECTORY, why);
        *slash = '/';
        name = slash + 1;
    }
    return fine && step(fd, path, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, why) && is_of_root(*fd, path, THE_FILE, why);
}

static bool read_file(int fd, size_t *size, struct failure *why)
{
    for (*size = 0;;) {
        ssize_t more = read(fd, text + *size, sizeof text - *size);

        if (more == 0)
            return true;
        if (more < 0 && errno != EINTR)
            return failed(why, STAGE_UID, errno, "%s can't be read: %s", FILE_NAME, strerror(errno));
        if (more > 0)
            *size += (size_t)more;
        if (*size > RULES_BYTES_MOST)
            return failed(why, STAGE_UID, EFBIG, "%s has more than %u bytes", FILE_NAME, RULES_BYTES_MOST);
    }
}

/* ---- The names in it ---- */

/* A number is taken as it is, as in --uid and --gid. */
static bool look_up(struct rule *rule, struct failure *why)
{
    bool is_group = rule->kind == RULE_ALLOW_GROUP;
    struct user user;
    unsigned long id;
    gid_t gid;

    if (number_id(rule->name, rule->size, &id)) {
        rule->id = (uint32_t)id;
    } else if (is_group ? rule->size < USERS_NAME_MOST && users_group_by_name(rule->name, &gid)
                        : rule->size < USERS_NAME_MOST && users_by_name(rule->name, &user)) {
        rule->id = is_group ? gid : user.uid;
    } else {
        return failed(why, STAGE_UID, EINVAL,
                      "%s:%u: there is no %s '%.*s' (getent %s lists those there are); nothing in that file counts "
                      "until it is mended",
                      FILE_NAME, rule->line, is_group ? "group" : "user", 64, rule->name,
                      is_group ? "group" : "passwd");
    }
    if (rule->id == 0 && rule->kind != RULE_BY_USER)
        return failed(why, STAGE_UID, EPERM,
                      "%s:%u: '%.*s' is root's, and root can't be allowed; nothing in that file counts until it is "
                      "mended",
                      FILE_NAME, rule->line, 64, rule->name);
    return true;
}

RARE static bool load(struct failure *why)
{
    size_t size = 0;
    int fd;
    bool fine = open_file(&fd, why) && read_file(fd, &size, why);

    io_close(&fd);
    if (!fine || !rules_read(&rules, FILE_NAME, text, size, why))
        return false;
    for (unsigned i = 0; i < rules.count; i++)
        if (!look_up(&rules.list[i], why))
            return false;
    return true;
}

/* ---- What is asked for ---- */

struct request {
    const struct identity *identity;
    uid_t caller;
    char caller_name[USERS_NAME_MOST];
    bool brings_groups; /* the user's own come along */
    size_t own_count;
    gid_t own[GROUPS_MOST + 1];
};

static void name_user(uid_t uid, char name[USERS_NAME_MOST])
{
    struct user user;

    if (users_by_uid(uid, &user))
        format(name, USERS_NAME_MOST, "%s", user.name);
    else
        format(name, USERS_NAME_MOST, "%lu", (unsigned long)uid);
}

static bool is_among(gid_t gid, const gid_t *groups, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

static bool may_have_group(const struct request *request, gid_t gid)
{
    return (!request->identity->change_uid && identity_has_group(gid)) ||
           (request->brings_groups && is_among(gid, request->own, request->own_count)) ||
           rules_allow(&rules, request->caller, RULE_ALLOW_GROUP, gid);
}

static bool refuse_user(const struct request *request, struct failure *why)
{
    char wanted[USERS_NAME_MOST];

    name_user(request->identity->uid, wanted);
    return failed(why, STAGE_UID, EPERM,
                  "%s doesn't allow user %s to user %s (a block with 'allow user %s' and 'by user %s' would)",
                  FILE_NAME, wanted, request->caller_name, wanted, request->caller_name);
}

static bool refuse_group(const struct request *request, enum stage stage, gid_t gid, struct failure *why)
{
    if (gid == 0)
        return failed(why, stage, EPERM,
                      "group 0, root's, would come along with user %lu, and is never given (--gid and --groups say "
                      "which others)",
                      (unsigned long)request->identity->uid);
    return failed(why, stage, EPERM,
                  "%s doesn't allow group %lu to user %s (a block with 'allow group %lu' and 'by user %s' would)",
                  FILE_NAME, (unsigned long)gid, request->caller_name, (unsigned long)gid, request->caller_name);
}

static bool check_groups(const struct request *request, struct failure *why)
{
    const struct identity *identity = request->identity;

    if ((identity->change_gid || identity->change_uid) &&
        (identity->gid == 0 || !may_have_group(request, identity->gid)))
        return refuse_group(request, STAGE_GID, identity->gid, why);
    for (size_t i = 0; i < identity->group_count && (identity->change_groups || identity->change_uid); i++)
        if (identity->groups[i] == 0 || !may_have_group(request, identity->groups[i]))
            return refuse_group(request, STAGE_GROUPS, identity->groups[i], why);
    return true;
}

/* Whether a rule allows the user by the number, or by the name of this very entry: another entry of the same number may
 * have other groups. */
static bool is_named(const struct request *request, const struct user *user)
{
    unsigned long id;

    for (unsigned i = 0; i < rules.count; i++) {
        const struct rule *rule = &rules.list[i];

        if (rule->kind == RULE_ALLOW_USER && rule->id == user->uid && rules_is_for(&rules, rule, request->caller) &&
            (number_id(rule->name, rule->size, &id) || strcmp(user->name, rule->name) == 0))
            return true;
    }
    return false;
}

/* Who isn't known can't leave groups out either: a file may be denied to those of a group. */
static bool check(struct request *request, const struct user *user, struct failure *why)
{
    const struct identity *identity = request->identity;

    request->caller = getuid();
    name_user(request->caller, request->caller_name);
    if (!load(why))
        return false;
    if (!rules_know(&rules, request->caller))
        return failed(
            why, STAGE_UID, EPERM,
            "%s allows nothing to user %s (a block with 'by user %s' and 'allow user NAME' or 'allow group NAME' "
            "would)",
            FILE_NAME, request->caller_name, request->caller_name);
    request->brings_groups = rules_allow(&rules, request->caller, RULE_ALLOW_USER, identity->uid);
    if (identity->change_uid && !request->brings_groups)
        return refuse_user(request, why);
    request->brings_groups = request->brings_groups && user && is_named(request, user);
    if (request->brings_groups)
        request->own_count = users_groups(user, user->gid, request->own, GROUPS_MOST);
    if (request->own_count > GROUPS_MOST)
        request->own_count = GROUPS_MOST;
    return check_groups(request, why);
}

/* The stage of what is refused: what was asked for without a name of its own came along with another one. */
static enum stage stage_of(const struct options *options, enum stage stage)
{
    if (stage == STAGE_GROUPS && options->groups)
        return STAGE_GROUPS;
    if (stage != STAGE_UID && options->gid)
        return STAGE_GID;
    return options->uid ? STAGE_UID : options->gid ? STAGE_GID : STAGE_GROUPS;
}

RARE static bool check_reserve(const struct identity *identity, const struct options *options, const struct user *user,
                               struct failure *why)
{
    static struct request request;
    static struct failure reason;
    enum stage stage;

    request = (struct request){.identity = identity};
    if (check(&request, user, &reason))
        return true;
    stage = stage_of(options, reason.stage);
    return failed(why, stage, reason.error, "--%s %.*s is refused: %s",
                  stage == STAGE_UID   ? "uid"
                  : stage == STAGE_GID ? "gid"
                                       : "groups",
                  64,
                  stage == STAGE_UID   ? options->uid
                  : stage == STAGE_GID ? options->gid
                                       : options->groups,
                  reason.words);
}

bool permission_check(const struct identity *identity, const struct options *options, const struct user *user,
                      struct failure *why)
{
    return !platform_has_reserve() || !identity_changes(identity) || check_reserve(identity, options, user, why);
}

/* ---- For --check ---- */

static bool is_first_mention(unsigned rule)
{
    for (unsigned i = 0; i < rule; i++)
        if (rules.list[i].kind == rules.list[rule].kind && rules.list[i].id == rules.list[rule].id)
            return false;
    return true;
}

static void list_allowed(char words[PERMISSION_WORDS_MOST], uid_t caller)
{
    const char *before = ": ";

    for (unsigned i = 0; i < rules.count; i++) {
        const struct rule *rule = &rules.list[i];
        size_t size = strlen(words);

        if (rule->kind == RULE_BY_USER || !rules_allow(&rules, caller, rule->kind, rule->id) || !is_first_mention(i))
            continue;
        format(words + size, PERMISSION_WORDS_MOST - size, "%s%s%s", before,
               rule->kind == RULE_ALLOW_GROUP ? "group " : "", rule->name);
        before = ", ";
    }
}

static void describe_reserve(char words[PERMISSION_WORDS_MOST])
{
    static struct failure why;
    char caller[USERS_NAME_MOST];

    name_user(getuid(), caller);
    if (!platform_has_capability(CAPABILITY_SETUID) || !platform_has_capability(CAPABILITY_SETGID) ||
        !platform_has_capability(CAPABILITY_KILL))
        format(words, PERMISSION_WORDS_MOST,
               "programs run as user %s only: other users take more capabilities of muontrap's file (" SETCAP ")",
               caller);
    else if (!load(&why))
        format(words, PERMISSION_WORDS_MOST, "programs run as user %s only: %s", caller, why.words);
    else if (!rules_know(&rules, getuid()))
        format(words, PERMISSION_WORDS_MOST, "programs run as user %s only: %s allows nothing to that user", caller,
               FILE_NAME);
    else {
        format(words, PERMISSION_WORDS_MOST, "programs run as user %s, and as %s allows", caller, FILE_NAME);
        list_allowed(words, getuid());
    }
}

void permission_describe(char words[PERMISSION_WORDS_MOST])
{
    char caller[USERS_NAME_MOST];

    if (platform_has_reserve()) {
        describe_reserve(words);
    } else if (platform_has_capability(CAPABILITY_SETUID) && platform_has_capability(CAPABILITY_KILL)) {
        format(words, PERMISSION_WORDS_MOST, "programs may be run as other users (--uid)");
    } else {
        name_user(getuid(), caller);
        format(words, PERMISSION_WORDS_MOST,
               "programs run as user %s only: other users take root, or '" SETCAP "' on muontrap's file and %s", caller,
               FILE_NAME);
    }
}
