# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make model          the relay, gone through with every order of events up to a number
#   make model-mutants  that this finds what is wrong: mutants of the relay, each of which has to fail
#
# Honoured: MODEL_EVENTS (the states grow tenfold with each).

MODEL_EVENTS ?= 3
MODEL_BUILD := build/model
# The real ones. Of the others, explore_relay.c has those functions that are called here; another one would be a crash.
MODEL_MODULES := launch options $(addprefix containment/,relay events job_control deliver tree sweep) \
    $(addprefix port/,output input pipes protocol window) $(addprefix base/,failure format signal_name number \
    terminal_modes) program/attributes_text
MODEL_WRAP := read write ioctl kill waitid getpgid getpgrp sched_yield poll events_wait
MODEL_CFLAGS := -std=c11 -g -O2 -fno-pie $(TEST_WARNINGS) -Ic_src
MODEL_LDFLAGS := -no-pie $(MODEL_WRAP:%=-Wl,--wrap=%) -Wl,--unresolved-symbols=ignore-all

.PHONY: model model-mutants
model: $(MODEL_BUILD)/explore_relay
	$(MODEL_BUILD)/explore_relay $(MODEL_EVENTS)

model-mutants: $(MODEL_BUILD)/explore_relay
	MODEL_BUILD='$(MODEL_BUILD)' CC='$(TEST_CC) $(MODEL_CFLAGS)' LDFLAGS='$(MODEL_LDFLAGS)' \
	    test/model/mutants 2

$(MODEL_BUILD)/explore_relay: $(MODEL_BUILD)/explore_relay.o $(MODEL_MODULES:%=$(MODEL_BUILD)/c_src/%.o)
	@$(TEST_CC) -o $@ $^ $(MODEL_LDFLAGS)

$(MODEL_BUILD)/c_src/%.o: c_src/%.c
	@mkdir -p $(@D)
	@$(TEST_CC) $(MODEL_CFLAGS) $(VERSION_FLAG) -MMD -MP -c -o $@ $<

$(MODEL_BUILD)/%.o: test/model/%.c
	@mkdir -p $(@D)
	$(TEST_CC) -D_GNU_SOURCE $(MODEL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(wildcard $(addprefix $(MODEL_BUILD)/,*.d c_src/*.d c_src/*/*.d))
