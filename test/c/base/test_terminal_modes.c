/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <string.h>
#include <unistd.h>

#include "base/terminal_modes.h"

static struct terminal_mode mode;
static const char *values;
static struct termios termios;

static enum terminal_mode_found found(const char *text)
{
    return terminal_mode_read(text, &mode, &values);
}

static void apply(const char *text)
{
    assert_int_equal(found(text), TERMINAL_MODE_FOUND);
    terminal_mode_apply(&mode, &termios);
}

static void a_flag_is_on_or_off(void **state)
{
    (void)state;
    memset(&termios, 0, sizeof termios);
    apply("ECHO=1");
    apply("ISIG=1");
    apply("ECHO=0");
    assert_int_equal(termios.c_lflag, ISIG);
    apply("IXON=1");
    assert_int_equal(termios.c_iflag, IXON);
    apply("OPOST=1");
    assert_int_equal(termios.c_oflag, OPOST);
    apply("PARENB=1");
    assert_int_equal(termios.c_cflag, PARENB);
    apply("PARENB=0");
    assert_int_equal(termios.c_cflag, 0);
}

static void a_size_replaces_another_when_it_is_on(void **state)
{
    (void)state;
    memset(&termios, 0, sizeof termios);
    apply("CS8=1");
    assert_int_equal(termios.c_cflag, CS8);
    apply("CS7=0");
    assert_int_equal(termios.c_cflag, CS8);
    apply("CS7=1");
    assert_int_equal(termios.c_cflag, CS7);
}

static void a_character_is_a_number_and_255_is_none(void **state)
{
    (void)state;
    memset(&termios, 7, sizeof termios);
    apply("VEOF=4");
    assert_int_equal(termios.c_cc[VEOF], 4);
    apply("VINTR=0");
    assert_int_equal(termios.c_cc[VINTR], 0);
    apply("VINTR=254");
    assert_int_equal(termios.c_cc[VINTR], 254);
    apply("VINTR=255");
    assert_int_equal(termios.c_cc[VINTR], _POSIX_VDISABLE);
}

static void a_speed_is_one_that_there_is(void **state)
{
    (void)state;
    memset(&termios, 0, sizeof termios);
    apply("TTY_OP_ISPEED=9600");
    apply("TTY_OP_OSPEED=9600");
    assert_int_equal(cfgetospeed(&termios), B9600);
    assert_int_equal(cfgetispeed(&termios), B9600);
    apply("TTY_OP_OSPEED=0");
    assert_int_equal(cfgetospeed(&termios), B0);
    assert_int_equal(found("TTY_OP_OSPEED=9601"), TERMINAL_MODE_VALUE);
    assert_non_null(strstr(values, "38400"));
    assert_int_equal(found("TTY_OP_ISPEED=1"), TERMINAL_MODE_VALUE);
    assert_non_null(strstr(values, "38400"));
}

static void the_name_may_be_in_either_case_and_must_be_whole(void **state)
{
    (void)state;
    assert_int_equal(found("echo=1"), TERMINAL_MODE_FOUND);
    assert_int_equal(found("veof=4"), TERMINAL_MODE_FOUND);
    assert_int_equal(found("ECH=1"), TERMINAL_MODE_UNKNOWN);
    assert_int_equal(found("ECHOX=1"), TERMINAL_MODE_UNKNOWN);
    assert_int_equal(found("ECHQ=1"), TERMINAL_MODE_UNKNOWN);
    assert_int_equal(found("=1"), TERMINAL_MODE_UNKNOWN);
    assert_int_equal(found(""), TERMINAL_MODE_UNKNOWN);
}

static void what_no_terminal_here_has_is_known_by_name(void **state)
{
    (void)state;
    assert_int_equal(found("VFLUSH=1"), TERMINAL_MODE_MISSING);
}

static void a_value_is_a_number_in_its_range(void **state)
{
    static const char *const wrong[] = {"ECHO",           "ECHO=",           "ECHO=2",   "ECHO=-1",
                                        "ECHO= 1",        "ECHO=1 ",         "ECHO=on",  "ECHO=0x1",
                                        "ECHO=10000000",  "ECHO=4294967297", "VEOF=256", "VEOF=4294967300",
                                        "TTY_OP_OSPEED=", "CS8=2",           "ECHO==1"};

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (found(wrong[i]) != TERMINAL_MODE_VALUE)
            fail_msg("'%s' is taken", wrong[i]);
    assert_int_equal(found("ECHO=2"), TERMINAL_MODE_VALUE);
    assert_string_equal(values, "0 or 1");
    assert_int_equal(found("VEOF=256"), TERMINAL_MODE_VALUE);
    assert_non_null(strstr(values, "0 to 255"));
    assert_int_equal(found("ECHO=000001"), TERMINAL_MODE_FOUND);
}

/* RFC 4254, section 8, and RFC 8160. */
static void every_name_of_the_standards_is_known(void **state)
{
    static const char *const names[] = {"VINTR",         "VQUIT",        "VERASE", "VKILL",  "VEOF",    "VEOL",
                                        "VEOL2",         "VSTART",       "VSTOP",  "VSUSP",  "VDSUSP",  "VREPRINT",
                                        "VWERASE",       "VLNEXT",       "VFLUSH", "VSWTCH", "VSTATUS", "VDISCARD",
                                        "IGNPAR",        "PARMRK",       "INPCK",  "ISTRIP", "INLCR",   "IGNCR",
                                        "ICRNL",         "IUCLC",        "IXON",   "IXANY",  "IXOFF",   "IMAXBEL",
                                        "IUTF8",         "ISIG",         "ICANON", "XCASE",  "ECHO",    "ECHOE",
                                        "ECHOK",         "ECHONL",       "NOFLSH", "TOSTOP", "IEXTEN",  "ECHOCTL",
                                        "ECHOKE",        "PENDIN",       "OPOST",  "OLCUC",  "ONLCR",   "OCRNL",
                                        "ONOCR",         "ONLRET",       "CS7",    "CS8",    "PARENB",  "PARODD",
                                        "TTY_OP_ISPEED", "TTY_OP_OSPEED"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        if (found(names[i]) == TERMINAL_MODE_UNKNOWN)
            fail_msg("%s is not known", names[i]);
}

static void raw_is_a_byte_at_a_time_and_no_key(void **state)
{
    (void)state;
    memset(&termios, 0xff, sizeof termios);
    terminal_modes_make_raw(&termios);
    assert_int_equal(termios.c_lflag & (ICANON | ECHO | ISIG | IEXTEN), 0);
    assert_int_equal(termios.c_iflag & (ICRNL | INLCR | IGNCR | IXON | ISTRIP | BRKINT), 0);
    assert_int_equal(termios.c_oflag & OPOST, 0);
    assert_int_equal(termios.c_cflag & (CSIZE | PARENB), CS8);
    assert_int_equal(termios.c_cc[VMIN], 1);
    assert_int_equal(termios.c_cc[VTIME], 0);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(a_flag_is_on_or_off),
        TEST(a_size_replaces_another_when_it_is_on),
        TEST(a_character_is_a_number_and_255_is_none),
        TEST(a_speed_is_one_that_there_is),
        TEST(the_name_may_be_in_either_case_and_must_be_whole),
        TEST(what_no_terminal_here_has_is_known_by_name),
        TEST(a_value_is_a_number_in_its_range),
        TEST(every_name_of_the_standards_is_known),
        TEST(raw_is_a_byte_at_a_time_and_no_key),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
