/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* the modes that are not POSIX's, where the system has them */
#include "base/terminal_modes.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum kind {
    MISSING,
    CHARACTER,
    INPUT_FLAG,
    OUTPUT_FLAG,
    CONTROL_FLAG,
    SIZE_FLAG,
    LOCAL_FLAG,
    INPUT_SPEED,
    OUTPUT_SPEED
};

struct known {
    char name[14];
    uint8_t kind;
    tcflag_t value; /* of a flag, or the index of a character */
};

/* By their numbers in RFC 4254, section 8, and IUTF8 in RFC 8160. */
static const struct known modes[] = {
    {"VINTR", CHARACTER, VINTR},
    {"VQUIT", CHARACTER, VQUIT},
    {"VERASE", CHARACTER, VERASE},
    {"VKILL", CHARACTER, VKILL},
    {"VEOF", CHARACTER, VEOF},
    {"VEOL", CHARACTER, VEOL},
#ifdef VEOL2
    {"VEOL2", CHARACTER, VEOL2},
#else
    {"VEOL2", MISSING, 0},
#endif
    {"VSTART", CHARACTER, VSTART},
    {"VSTOP", CHARACTER, VSTOP},
    {"VSUSP", CHARACTER, VSUSP},
#ifdef VDSUSP
    {"VDSUSP", CHARACTER, VDSUSP},
#else
    {"VDSUSP", MISSING, 0},
#endif
#ifdef VREPRINT
    {"VREPRINT", CHARACTER, VREPRINT},
#else
    {"VREPRINT", MISSING, 0},
#endif
#ifdef VWERASE
    {"VWERASE", CHARACTER, VWERASE},
#else
    {"VWERASE", MISSING, 0},
#endif
#ifdef VLNEXT
    {"VLNEXT", CHARACTER, VLNEXT},
#else
    {"VLNEXT", MISSING, 0},
#endif
    {"VFLUSH", MISSING, 0},
#ifdef VSWTC
    {"VSWTCH", CHARACTER, VSWTC},
#else
    {"VSWTCH", MISSING, 0},
#endif
#ifdef VSTATUS
    {"VSTATUS", CHARACTER, VSTATUS},
#else
    {"VSTATUS", MISSING, 0},
#endif
#ifdef VDISCARD
    {"VDISCARD", CHARACTER, VDISCARD},
#else
    {"VDISCARD", MISSING, 0},
#endif
    {"IGNPAR", INPUT_FLAG, IGNPAR},
    {"PARMRK", INPUT_FLAG, PARMRK},
    {"INPCK", INPUT_FLAG, INPCK},
    {"ISTRIP", INPUT_FLAG, ISTRIP},
    {"INLCR", INPUT_FLAG, INLCR},
    {"IGNCR", INPUT_FLAG, IGNCR},
    {"ICRNL", INPUT_FLAG, ICRNL},
#ifdef IUCLC
    {"IUCLC", INPUT_FLAG, IUCLC},
#else
    {"IUCLC", MISSING, 0},
#endif
    {"IXON", INPUT_FLAG, IXON},
    {"IXANY", INPUT_FLAG, IXANY},
    {"IXOFF", INPUT_FLAG, IXOFF},
#ifdef IMAXBEL
    {"IMAXBEL", INPUT_FLAG, IMAXBEL},
#else
    {"IMAXBEL", MISSING, 0},
#endif
#ifdef IUTF8
    {"IUTF8", INPUT_FLAG, IUTF8},
#else
    {"IUTF8", MISSING, 0},
#endif
    {"ISIG", LOCAL_FLAG, ISIG},
    {"ICANON", LOCAL_FLAG, ICANON},
#ifdef XCASE
    {"XCASE", LOCAL_FLAG, XCASE},
#else
    {"XCASE", MISSING, 0},
#endif
    {"ECHO", LOCAL_FLAG, ECHO},
    {"ECHOE", LOCAL_FLAG, ECHOE},
    {"ECHOK", LOCAL_FLAG, ECHOK},
    {"ECHONL", LOCAL_FLAG, ECHONL},
    {"NOFLSH", LOCAL_FLAG, NOFLSH},
    {"TOSTOP", LOCAL_FLAG, TOSTOP},
    {"IEXTEN", LOCAL_FLAG, IEXTEN},
#ifdef ECHOCTL
    {"ECHOCTL", LOCAL_FLAG, ECHOCTL},
#else
    {"ECHOCTL", MISSING, 0},
#endif
#ifdef ECHOKE
    {"ECHOKE", LOCAL_FLAG, ECHOKE},
#else
    {"ECHOKE", MISSING, 0},
#endif
#ifdef PENDIN
    {"PENDIN", LOCAL_FLAG, PENDIN},
#else
    {"PENDIN", MISSING, 0},
#endif
    {"OPOST", OUTPUT_FLAG, OPOST},
#ifdef OLCUC
    {"OLCUC", OUTPUT_FLAG, OLCUC},
#else
    {"OLCUC", MISSING, 0},
#endif
    {"ONLCR", OUTPUT_FLAG, ONLCR},
    {"OCRNL", OUTPUT_FLAG, OCRNL},
    {"ONOCR", OUTPUT_FLAG, ONOCR},
    {"ONLRET", OUTPUT_FLAG, ONLRET},
    {"CS7", SIZE_FLAG, CS7},
    {"CS8", SIZE_FLAG, CS8},
    {"PARENB", CONTROL_FLAG, PARENB},
    {"PARODD", CONTROL_FLAG, PARODD},
    {"TTY_OP_ISPEED", INPUT_SPEED, 0},
    {"TTY_OP_OSPEED", OUTPUT_SPEED, 0},
};

#define MODES (sizeof modes / sizeof modes[0])

/* POSIX, Base Definitions, <termios.h>, and what Linux has above. */
static const struct {
    uint32_t bits_per_second;
    speed_t speed;
} speeds[] = {
    {0, B0},           {50, B50},     {75, B75},       {110, B110},     {134, B134},   {150, B150},
    {200, B200},       {300, B300},   {600, B600},     {1200, B1200},   {1800, B1800}, {2400, B2400},
    {4800, B4800},     {9600, B9600}, {19200, B19200}, {38400, B38400},
#ifdef B57600
    {57600, B57600},
#endif
#ifdef B115200
    {115200, B115200},
#endif
#ifdef B230400
    {230400, B230400},
#endif
};

#define SPEEDS (sizeof speeds / sizeof speeds[0])

/* Which of them it is; SPEEDS for none. */
static size_t speed_of(uint32_t bits_per_second)
{
    size_t i = 0;

    while (i < SPEEDS && speeds[i].bits_per_second != bits_per_second)
        i++;
    return i;
}

static bool is_speed(const struct known *mode)
{
    return mode->kind == INPUT_SPEED || mode->kind == OUTPUT_SPEED;
}

/* No value has more digits than six. */
static bool read_number(const char *text, uint32_t *value)
{
    size_t size = strspn(text, "0123456789");

    *value = 0;
    for (size_t i = 0; i < size && size <= 6; i++)
        *value = *value * 10 + (uint32_t)(text[i] - '0');
    return size >= 1 && size <= 6 && text[size] == '\0';
}

/* False when the mode can't be that. */
static bool take_value(const struct known *mode, uint32_t number, uint8_t *value)
{
    uint32_t most = mode->kind == CHARACTER ? 255 : is_speed(mode) ? (uint32_t)SPEEDS - 1 : 1;

    if (is_speed(mode))
        number = (uint32_t)speed_of(number);
    *value = (uint8_t)number;
    return number <= most;
}

static const char *values_of(const struct known *mode)
{
    if (mode->kind == CHARACTER)
        return "the number of a character, 0 to 255, and 255 for none";
    return is_speed(mode) ? "a speed such as 9600 or 38400" : "0 or 1";
}

enum terminal_mode_found terminal_mode_read(const char *text, struct terminal_mode *mode, const char **values)
{
    size_t size = strcspn(text, "=");
    uint32_t number;

    for (size_t i = 0; i < MODES; i++) {
        if (strlen(modes[i].name) != size || strncasecmp(modes[i].name, text, size) != 0)
            continue;
        if (modes[i].kind == MISSING)
            return TERMINAL_MODE_MISSING;
        mode->which = (uint8_t)i;
        *values = values_of(&modes[i]);
        return text[size] == '=' && read_number(text + size + 1, &number) && take_value(&modes[i], number, &mode->value)
                   ? TERMINAL_MODE_FOUND
                   : TERMINAL_MODE_VALUE;
    }
    return TERMINAL_MODE_UNKNOWN;
}

static void set_flag(tcflag_t *flags, tcflag_t flag, bool on)
{
    *flags = on ? *flags | flag : *flags & ~flag;
}

static void set_size(tcflag_t *flags, tcflag_t size)
{
    *flags = (*flags & ~(tcflag_t)CSIZE) | size;
}

void terminal_mode_apply(const struct terminal_mode *mode, struct termios *to)
{
    const struct known *known = &modes[mode->which];

    switch (known->kind) {
    case CHARACTER: /* RFC 4254, section 8: 255 if the character is undefined */
        to->c_cc[known->value] = (cc_t)(mode->value == 255 ? _POSIX_VDISABLE : mode->value);
        break;
    case INPUT_FLAG:
        set_flag(&to->c_iflag, known->value, mode->value);
        break;
    case OUTPUT_FLAG:
        set_flag(&to->c_oflag, known->value, mode->value);
        break;
    case CONTROL_FLAG:
        set_flag(&to->c_cflag, known->value, mode->value);
        break;
    case SIZE_FLAG:
        if (mode->value)
            set_size(&to->c_cflag, known->value);
        break;
    case LOCAL_FLAG:
        set_flag(&to->c_lflag, known->value, mode->value);
        break;
    case INPUT_SPEED:
        (void)cfsetispeed(to, speeds[mode->value].speed);
        break;
    default:
        (void)cfsetospeed(to, speeds[mode->value].speed);
    }
}

/* POSIX, Base Definitions, 11.1.7: one byte is enough for a read. */
void terminal_modes_make_raw(struct termios *to)
{
    to->c_iflag &= ~(tcflag_t)(BRKINT | PARMRK | INPCK | ISTRIP | INLCR | IGNCR | ICRNL | IXON | IXANY | IXOFF);
    to->c_oflag &= ~(tcflag_t)OPOST;
    to->c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL | ICANON | ISIG | IEXTEN);
    set_size(&to->c_cflag, CS8);
    set_flag(&to->c_cflag, PARENB, false);
    to->c_cc[VMIN] = 1;
    to->c_cc[VTIME] = 0;
}
