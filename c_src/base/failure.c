/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/format.h"

bool failed(struct failure *why, enum stage stage, int error, const char *format, ...)
{
    va_list args;

    why->stage = stage;
    why->error = error;
    va_start(args, format);
    format_list(why->words, sizeof why->words, format, args);
    va_end(args);
    return false;
}

/* errno(3): the numbers differ between systems, the names do not, so it is the name that crosses the pipe. */
const char *errno_name(int error)
{
    /* clang-format off */
    static const struct {
        int number;
        char name[13];
    } names[] = {
        {E2BIG, "e2big"},       {EACCES, "eacces"},   {EAGAIN, "eagain"},   {EBADF, "ebadf"},
        {EBUSY, "ebusy"},       {ECANCELED, "ecanceled"},                   {EDQUOT, "edquot"},
        {ECHILD, "echild"},     {EDEADLK, "edeadlk"}, {EDOM, "edom"},       {EEXIST, "eexist"},
        {EFAULT, "efault"},     {EFBIG, "efbig"},     {EINTR, "eintr"},     {EINVAL, "einval"},
        {EIO, "eio"},           {EISDIR, "eisdir"},   {ELOOP, "eloop"},     {EMFILE, "emfile"},
        {EMLINK, "emlink"},     {ENAMETOOLONG, "enametoolong"},             {ENFILE, "enfile"},
        {ENODEV, "enodev"},     {ENOENT, "enoent"},   {ENOEXEC, "enoexec"}, {ENOLCK, "enolck"},
        {ENOMEM, "enomem"},     {ENOSPC, "enospc"},   {ENOSYS, "enosys"},   {ENOTDIR, "enotdir"},
        {ENOTEMPTY, "enotempty"}, {ENOTSUP, "enotsup"}, {ENXIO, "enxio"},   {EPERM, "eperm"},
        {EPIPE, "epipe"},       {EPROTO, "eproto"},   {ERANGE, "erange"},   {EROFS, "erofs"},
        {ETIMEDOUT, "etimedout"},
        {ESPIPE, "espipe"},     {ESRCH, "esrch"},     {ESTALE, "estale"},   {ETXTBSY, "etxtbsy"},
        {EXDEV, "exdev"},
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == error)
            return names[i].name;
    return "";
}
