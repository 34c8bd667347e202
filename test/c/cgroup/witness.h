/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * libcgroup, the administrator's library, as a witness of what the helper has made. (Its struct cgroup is not ours, so
 * the two meet in no file.)
 */
#ifndef TEST_WITNESS_H
#define TEST_WITNESS_H

/* Fails the test when libcgroup doesn't see that value. */
void assert_witnessed(const char *cgroup, const char *controller, const char *file, const char *expected);

/* Fails the test when libcgroup sees such a cgroup. */
void assert_not_witnessed(const char *cgroup);

/* Has libcgroup make one with that setting, as cgcreate and cgset do, and remove it. */
void witness_makes(const char *cgroup, const char *controller, const char *file, const char *value);
void witness_removes(const char *cgroup, const char *controller);

#endif
