# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-valgrind   the command line's tests with the helper under valgrind's memcheck, which looks for errors of
#                        memory, and for descriptors that are left open
#
# Honoured: VALGRIND_CLI (the tests). Valgrind takes half a second of a processor for a launch.
#
# Left out are the files whose tests are about what valgrind can't have: pidfd_open(2) in version 3.19 (attach), limits
# on descriptors (attributes), a file with capabilities (users), and its name and place among the processes that --check
# and systemd tell of (check, delegation).

VALGRIND_LEFT_OUT := attach attributes check controllers delegation users
VALGRIND_CLI ?= $(filter-out $(VALGRIND_LEFT_OUT:%=test/cli/%.bats),$(wildcard test/cli/*.bats))
VALGRIND_BUILD := build/valgrind
VALGRIND_PLACE = $(call outside,valgrind)

.PHONY: test-valgrind
test-valgrind:
	@tools/deps instruments
	$(MAKE) --no-print-directory BUILD=$(VALGRIND_BUILD) CC=gcc CFLAGS='-O1 -g' CPPFLAGS=-U_FORTIFY_SOURCE all
	SLOWNESS=5 VALGRIND=1 BATS_TEST_TIMEOUT=600 test/valgrind/run $(VALGRIND_BUILD)/muontrap $(VALGRIND_PLACE) \
	    env --default-signal bats --formatter '$(CURDIR)/test/cli/formatter' $(VALGRIND_CLI)
