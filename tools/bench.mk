# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make bench         installs what is missing, measures everything, writes docs/benchmarks.md and its plots; fails
#                      when a promised ratio is missed by more than a fifth
#   make bench-short   the promised ratios alone, in a minute and a half; writes nothing
#   make bench-only SUBJECTS="launch output"   all of these subjects; writes nothing
#   make bench-cgroup  what takes cgroups, in a virtual machine that has them

BENCH := build/bench
BENCH_PROGRAMS := $(patsubst bench/programs/%.c,$(BENCH)/programs/%,$(wildcard bench/programs/*.c))
BENCH_SOURCES := $(wildcard bench/*.ex bench/subjects/*.ex)

.PHONY: bench bench-short bench-only bench-cgroup bench-build bench-programs deps-bench
deps-bench:
	@tools/deps bench

bench: deps-bench
	@$(MAKE) --no-print-directory bench-build
	$(call bench_run,all)

bench-short: deps-bench
	@$(MAKE) --no-print-directory bench-build
	$(call bench_run,short)

bench-only: deps-bench
	@$(MAKE) --no-print-directory bench-build
	$(call bench_run,only $(SUBJECTS))

bench-cgroup: bench-build
	test/vm/run --as-root sh -c '$(call bench_run,short cgroup)'

# Not by mix run, whose consolidated protocols would not know the benchmark's collectable. Of descriptors, a thousand
# daemons take more than the 1,024 that a shell of Debian allows without being asked; only root may also raise the hard
# limit.
bench_run = ulimit -S -n 16384 2>/dev/null || ulimit -n 16384 2>/dev/null; \
    elixir -pa _build/prod/lib/muontrap/ebin -pa $(BENCH)/ebin bench/run.exs $(1)

bench-build: export MIX_ENV := prod
bench-build: bench-programs
	$(MIX) compile
	@$(MAKE) --no-print-directory $(BENCH)/ebin/stamp

bench-programs: $(BENCH_PROGRAMS)

$(BENCH)/programs/%: bench/programs/%.c
	@mkdir -p $(@D)
	$(call run,CC,$<,$(CC) -std=c11 -O2 $(WARNINGS) $(CPPFLAGS) $(STATIC) -o $@ $<)

$(BENCH)/ebin/stamp: $(BENCH_SOURCES) $(wildcard _build/prod/lib/muontrap/ebin/*.beam)
	@rm -rf $(@D) && mkdir -p $(@D)
	$(call run,ELIXIRC,bench,elixirc --warnings-as-errors -pa _build/prod/lib/muontrap/ebin -o $(@D) $(BENCH_SOURCES))
	@touch $@
