# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make coverage   the branches of the helper that its tests take, by module (test-c, test-cli, faults, ExUnit, and
#                   what takes controllers, in virtual machines), and the lines of the library that ExUnit's and EUnit's
#                   run. Fails when less than COVERAGE_LEAST percent of the branches were taken, or less of the lines
#                   were run than mix.exs says.
#
# clang counts, and writes each count to a file that the process has mapped (its manual's "continuous mode"). So those
# count that leave by _exit(2), execute a program or are killed, as most of the helper's processes do, and nothing is
# done at their end. Processes share these files, and so count atomically. (Where a process forks and both go on, the
# branch of one of the two looks as if it was never taken, because one evaluation takes both.)
#
# Each VM that a test starts counts the library's lines, by muontrap_coverage, and writes a file of its own.

COVERAGE_LEAST ?= 90
COVERAGE_ALL := build/coverage
COVERAGE_COUNTS = $(call outside,coverage)
COVERAGE_CLANG = -fprofile-instr-generate=$(COVERAGE_COUNTS)/%m%c.profraw -fcoverage-mapping \
    -fprofile-update=atomic -mllvm -runtime-counter-relocation -Wno-unused-command-line-argument
COVERAGE_MAKE = $(MAKE) --no-print-directory -k CC=clang TEST_CC=clang BUILD=$(COVERAGE_ALL)/helper \
    TEST_BUILD=$(COVERAGE_ALL)/test-c FAULTS_BUILD=$(COVERAGE_ALL)/faults CFLAGS='-O1 -g $(COVERAGE_CLANG)' \
    CPPFLAGS=-U_FORTIFY_SOURCE TEST_SANITIZE='$(COVERAGE_CLANG)' CLI_TIMEOUT=600
COVERAGE_MIX = MIX_ENV=test MIX_BUILD_PATH='$(CURDIR)/$(COVERAGE_ALL)/mix'
COVERAGE_VMS = MUONTRAP_COVERAGE_BEAMS='$(CURDIR)/$(COVERAGE_ALL)/mix/lib/muontrap/ebin' \
    MUONTRAP_COVERAGE_LINES='$(COVERAGE_COUNTS)/lines' \
    ERL_AFLAGS='-pa $(COVERAGE_COUNTS)/code -eval catch(muontrap_coverage:start()).'

.PHONY: coverage
# The files of counts of what other users run are made so that they may write to them. Whether tests pass is other
# targets' affair, and some don't here: what counts leaves a variable in the environment, and faults knows the calls of
# the helper as it is shipped, not those of this one's C library. The portable helper counts for what both have in
# common. A test that loads all code anew would load what doesn't count.
coverage:
	@tools/deps instruments
	rm -rf $(COVERAGE_COUNTS) $(COVERAGE_ALL)
	mkdir $(COVERAGE_COUNTS) $(COVERAGE_COUNTS)/code $(COVERAGE_COUNTS)/lines
	chmod 777 $(COVERAGE_COUNTS) $(COVERAGE_COUNTS)/lines
	umask 0 && $(COVERAGE_MAKE) all $(COVERAGE_ALL)/test-c/muontrap && \
	    $(COVERAGE_ALL)/helper/muontrap --version && $(COVERAGE_ALL)/test-c/muontrap --version
	erlc -Werror -o $(COVERAGE_COUNTS)/code test/coverage/muontrap_coverage.erl
	for suite in test-c test-cli faults; do $(COVERAGE_MAKE) $$suite >$(COVERAGE_ALL)/$$suite.log 2>&1 || :; done
	$(COVERAGE_MAKE) PORTABLE=1 BUILD=$(COVERAGE_ALL)/portable TEST_BUILD=$(COVERAGE_ALL)/portable/test-c test-c \
	    >$(COVERAGE_ALL)/portable.log 2>&1 || :
	for suite in test-cgroups test-vm; do \
	    $(COVERAGE_MIX) MUONTRAP_VM_KEPT=$(COVERAGE_COUNTS) $(COVERAGE_MAKE) $$suite \
	        >$(COVERAGE_ALL)/$$suite.log 2>&1 || :; \
	done
	export $(COVERAGE_MIX) $(COVERAGE_VMS) CC=clang CFLAGS='-O1 -g $(COVERAGE_CLANG)' CPPFLAGS=-U_FORTIFY_SOURCE; \
	    $(MIX) test --exclude reload --timeout 900000 >$(COVERAGE_ALL)/test-elixir.log 2>&1; \
	    $(MAKE) --no-print-directory test-erlang >$(COVERAGE_ALL)/test-erlang.log 2>&1 || :
	mkdir -p $(COVERAGE_ALL)/lines
	cp $(COVERAGE_COUNTS)/lines/*.coverdata $(COVERAGE_ALL)/lines/
	$(COVERAGE_MIX) $(MIX) test.coverage >$(COVERAGE_ALL)/lines.log 2>&1 && lines=enough; \
	    test/coverage/branches $(COVERAGE_COUNTS) $(COVERAGE_ALL) $(COVERAGE_LEAST) && branches=enough; \
	    cat $(COVERAGE_ALL)/lines.log; [ "$$lines$$branches" = enoughenough ]
