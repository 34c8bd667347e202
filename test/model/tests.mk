# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make model          the relay, and keeper and relay in a shell's job, gone through with every order of events up
#                       to a number
#   make model-mutants  that this finds what is wrong: mutants of both, each of which has to fail
#
# Honoured: MODEL_EVENTS and MODEL_JOB_EVENTS (the states grow tenfold with each, and thirtyfold in a job).

MODEL_EVENTS ?= 3
MODEL_JOB_EVENTS ?= 2
MODEL_BUILD := build/model
# The real ones. Of the others, the models have those functions that are called here; another one would be a crash.
MODEL_MODULES := launch options $(addprefix containment/,keeper relay events job_control deliver tree sweep) \
    $(addprefix port/,output input pipes protocol window) $(addprefix base/,failure format signal_name number \
    terminal_modes) program/attributes_text
MODEL_SHARED := search nothing
MODEL_WRAP_explore_relay := read write ioctl kill waitid getpgid getpgrp sched_yield poll events_wait
MODEL_WRAP_explore_job := kill waitid waitpid fork _exit close getpgid getpgrp poll events_wait
# What lies on a stack is a part of the state, and so is to be the same after different ways.
MODEL_CFLAGS := -std=c11 -g -O2 -fno-pie -ftrivial-auto-var-init=zero $(TEST_WARNINGS) -Ic_src
MODEL_LDFLAGS = -no-pie $(MODEL_WRAP_$(1):%=-Wl,--wrap=%) -Wl,--unresolved-symbols=ignore-all
MODELS := explore_relay explore_job

.PHONY: model model-mutants
model: $(MODELS:%=$(MODEL_BUILD)/%)
	$(MODEL_BUILD)/explore_relay $(MODEL_EVENTS)
	$(MODEL_BUILD)/explore_job $(MODEL_JOB_EVENTS)

model-mutants: $(MODELS:%=$(MODEL_BUILD)/%)
	MODEL_BUILD='$(MODEL_BUILD)' CC='$(TEST_CC) $(MODEL_CFLAGS)' \
	    LDFLAGS_explore_relay='$(call MODEL_LDFLAGS,explore_relay)' \
	    LDFLAGS_explore_job='$(call MODEL_LDFLAGS,explore_job)' test/model/mutants

$(MODELS:%=$(MODEL_BUILD)/%): $(MODEL_BUILD)/%: $(MODEL_BUILD)/%.o $(MODEL_SHARED:%=$(MODEL_BUILD)/%.o) \
    $(MODEL_MODULES:%=$(MODEL_BUILD)/c_src/%.o)
	@$(TEST_CC) -o $@ $^ $(call MODEL_LDFLAGS,$*)

MODEL_WORDS = $(TEST_CC) $(MODEL_CFLAGS) $(foreach model,$(MODELS),$(call MODEL_LDFLAGS,$(model))) $(VERSION)
$(eval $(call flags,MODEL_BUILD,MODEL_WORDS))

$(MODEL_BUILD)/c_src/%.o: c_src/%.c $(MODEL_BUILD)/flags
	@mkdir -p $(@D)
	@$(TEST_CC) $(MODEL_CFLAGS) $(VERSION_FLAG) -MMD -MP -c -o $@ $<

$(MODEL_BUILD)/%.o: test/model/%.c $(MODEL_BUILD)/flags
	@mkdir -p $(@D)
	$(TEST_CC) -D_GNU_SOURCE $(MODEL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(wildcard $(addprefix $(MODEL_BUILD)/,*.d c_src/*.d c_src/*/*.d))
