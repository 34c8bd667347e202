# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make torture MINUTES=5     random trees of processes, owners and faults, and after each whether the promise was kept
#   make torture CASES=100     so many cases; SEED=n makes the same ones again
#   make torture CASE=FILE     one case that was written down when it failed, twenty times
#   make torture-short         a hundred cases, as `make check` runs them
#   make torture-vm CASES=300  so many in a virtual machine, which has cgroups with controllers
#
# Honoured: JOBS (how many at a time, 2), VERBOSE=1 (a line a case).

TORTURE_BUILD := build/torture

TORTURE := mix run --no-compile -e 'MuonTrap.Torture.main()'

.PHONY: torture torture-short torture-vm torture-build torture-programs
torture: export MIX_ENV := test
torture: export TORTURE_PROGRAMS := $(CURDIR)/$(TORTURE_BUILD)
torture: torture-build
	MINUTES='$(MINUTES)' SEED='$(SEED)' CASES='$(CASES)' JOBS='$(JOBS)' CASE='$(CASE)' VERBOSE='$(VERBOSE)' \
	    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL $(TORTURE)

torture-short:
	@$(MAKE) --no-print-directory torture CASES=100

torture-vm: export MIX_ENV := test
torture-vm: torture-build
	test/vm/make-boot
	test/vm/run --as-root --timeout 7200 --env TORTURE_PROGRAMS='$(CURDIR)/$(TORTURE_BUILD)' --env SEED='$(SEED)' \
	    --env CASES='$(or $(CASES),20)' --env JOBS='$(JOBS)' --env VERBOSE='$(VERBOSE)' $(TORTURE)

torture-build: export MIX_ENV := test
torture-build: torture-programs
	$(MIX) compile --warnings-as-errors

torture-programs: $(addprefix $(TORTURE_BUILD)/,tree saboteur faulty)

TORTURE_FLAGS = $(TEST_CC) -std=c11 -O2 $(filter-out -Werror,$(WARNINGS)) -Werror
$(eval $(call flags,TORTURE_BUILD,TORTURE_FLAGS))

$(TORTURE_BUILD)/%: test/torture/%.c test/torture/ledger.h $(TORTURE_BUILD)/flags
	@mkdir -p $(@D)
	$(call run,CC,$<,$(TORTURE_FLAGS) -o $@ $<)
