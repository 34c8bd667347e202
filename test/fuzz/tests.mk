# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make fuzz         the pure modules that read what others have written, with libFuzzer, for a bounded time
#
# Honoured: FUZZ_CC, FUZZ_RUNS, FUZZ_SECONDS (each target's).

FUZZ_CC ?= clang
FUZZ_RUNS ?= 200000
FUZZ_SECONDS ?= 20
FUZZ_BUILD := build/fuzz
FUZZ_TARGETS := protocol_decode options_parse legacy_translate rules_read
FUZZ_SOURCES := c_src/options.c $(addprefix c_src/,port/protocol.c cgroup/legacy.c base/terminal_modes.c \
    base/failure.c base/format.c base/signal_name.c program/attributes_text.c program/rules.c)

.PHONY: fuzz
# What it finds new stays in build/; a crash is written to build/fuzz/ and its name printed.
fuzz: $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%)
	set -e; for target in $(FUZZ_TARGETS); do \
	    mkdir -p $(FUZZ_BUILD)/found/$$target; \
	    $(FUZZ_BUILD)/$$target -runs=$(FUZZ_RUNS) -max_total_time=$(FUZZ_SECONDS) -timeout=5 -seed=1 -verbosity=0 \
	        -print_final_stats=1 -artifact_prefix=$(FUZZ_BUILD)/ $(FUZZ_BUILD)/found/$$target test/fuzz/corpus/$$target; \
	done

$(FUZZ_BUILD)/%: test/fuzz/%.c $(wildcard c_src/*.h c_src/*/*.h) $(FUZZ_SOURCES)
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=c11 -g -O1 $(filter-out -Werror,$(WARNINGS)) -Werror -fno-sanitize-recover=all \
	    -fsanitize=fuzzer,address,undefined -Ic_src -o $@ $< $(FUZZ_SOURCES)
