# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make torture MINUTES=5     random trees of processes, owners and faults, and after each whether the promise was kept
#   make torture CASES=100     so many cases; SEED=n makes the same ones again
#   make torture CASE=FILE     one case that was written down when it failed, twenty times
#
# Honoured: JOBS (how many at a time, 2), VERBOSE=1 (a line a case).

TORTURE_BUILD := build/torture

.PHONY: torture torture-short torture-programs
torture: export MIX_ENV := test
torture: export TORTURE_PROGRAMS := $(CURDIR)/$(TORTURE_BUILD)
torture: torture-programs
	$(MIX) compile --warnings-as-errors
	MINUTES='$(MINUTES)' SEED='$(SEED)' CASES='$(CASES)' JOBS='$(JOBS)' CASE='$(CASE)' VERBOSE='$(VERBOSE)' \
	    $(MIX) run --no-compile -e 'MuonTrap.Torture.main()'

torture-short:
	@$(MAKE) --no-print-directory torture CASES=150

torture-programs: $(addprefix $(TORTURE_BUILD)/,tree saboteur faulty)

$(TORTURE_BUILD)/%: test/torture/%.c test/torture/ledger.h
	@mkdir -p $(@D)
	$(call run,CC,$<,$(TEST_CC) -std=c11 -O2 $(filter-out -Werror,$(WARNINGS)) -Werror -o $@ $<)
