# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make fuzz         all that the helper reads of what others have written, with libFuzzer, a minute in all
#   make fuzz-long    the same for an hour, with other inputs each time; FUZZ_MINUTES=5 for so long
#   make fuzz-merge   adds to the corpora in test/fuzz/corpus what these have found, as few inputs as reach as much
#
# As many targets run at a time as there are processors, and share the time alike. Honoured: FUZZ_CC, FUZZ_SECONDS (in
# all), FUZZ_TARGETS="rules_read ..." (only these).

FUZZ_CC ?= clang
FUZZ_SECONDS ?= 60
FUZZ_MINUTES ?= 60
FUZZ_SEED ?= 1
FUZZ_BUILD := build/fuzz
FUZZ_JOBS = $(shell nproc)
FUZZ_TARGETS ?= $(filter-out files,$(basename $(notdir $(wildcard test/fuzz/*.c))))
FUZZ_FLAGS := -std=c11 -g -O1 $(filter-out -Werror,$(WARNINGS)) -Werror -fno-sanitize-recover=all -Ic_src \
    $(VERSION_FLAG) -MMD -MP
FUZZ_SANITIZE := address,undefined
FUZZ_WRAPPED := -Wl,--wrap=open,--wrap=openat,--wrap=read

# Of the alternatives those that a static helper has on Linux.
FUZZ_MODULES := $(filter-out main $(ALTERNATIVES),$(ALL_MODULES)) base/linux program/users_files $(LINUX)
FUZZ_OBJECTS := $(FUZZ_MODULES:%=$(FUZZ_BUILD)/c_src/%.o) $(FUZZ_BUILD)/test/files.o

.PHONY: fuzz fuzz-long fuzz-merge fuzz-build $(FUZZ_TARGETS:%=fuzz-run-%)
fuzz: fuzz-build
	@$(MAKE) --no-print-directory -j$(FUZZ_JOBS) --output-sync=target $(FUZZ_TARGETS:%=fuzz-run-%)

fuzz-long:
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$$(($(FUZZ_MINUTES) * 60)) FUZZ_SEED=0

fuzz-merge: fuzz-build
	set -e; for target in $(FUZZ_TARGETS); do \
	    mkdir -p $(FUZZ_BUILD)/found/$$target; \
	    $(FUZZ_BUILD)/$$target -set_cover_merge=1 -verbosity=0 test/fuzz/corpus/$$target $(FUZZ_BUILD)/found/$$target; \
	done

fuzz-build: $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%)

# What it finds new stays in build/; a crash is written to build/fuzz/ and its name printed.
FUZZ_TURNS = $(shell echo $$((($(words $(FUZZ_TARGETS)) + $(FUZZ_JOBS) - 1) / $(FUZZ_JOBS))))
FUZZ_SHARE = $(shell echo $$(($(FUZZ_SECONDS) > $(FUZZ_TURNS) ? $(FUZZ_SECONDS) / $(FUZZ_TURNS) : 1)))
$(FUZZ_TARGETS:%=fuzz-run-%): fuzz-run-%:
	@mkdir -p $(FUZZ_BUILD)/found/$*
	$(FUZZ_BUILD)/$* -max_total_time=$(FUZZ_SHARE) -timeout=10 -seed=$(FUZZ_SEED) -verbosity=0 -print_final_stats=1 \
	    -artifact_prefix=$(FUZZ_BUILD)/$*- $(FUZZ_BUILD)/found/$* test/fuzz/corpus/$*

$(FUZZ_TARGETS:%=$(FUZZ_BUILD)/%): $(FUZZ_BUILD)/%: $(FUZZ_BUILD)/test/%.o $(FUZZ_OBJECTS)
	@$(FUZZ_CC) -fsanitize=fuzzer,$(FUZZ_SANITIZE) $(FUZZ_WRAPPED) -o $@ $^

FUZZ_WORDS = $(FUZZ_CC) $(filter-out $(VERSION_FLAG),$(FUZZ_FLAGS)) $(FUZZ_SANITIZE) $(FUZZ_WRAPPED) $(VERSION)
$(eval $(call flags,FUZZ_BUILD,FUZZ_WORDS))

$(FUZZ_BUILD)/c_src/%.o: c_src/%.c $(FUZZ_BUILD)/flags
	@mkdir -p $(@D)
	@$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,$(FUZZ_SANITIZE) -c -o $@ $<

# The targets themselves without coverage: which way they go is no news about the helper.
$(FUZZ_BUILD)/test/%.o: test/fuzz/%.c $(FUZZ_BUILD)/flags
	@mkdir -p $(@D)
	$(FUZZ_CC) -D_GNU_SOURCE $(FUZZ_FLAGS) -fsanitize=$(FUZZ_SANITIZE) -c -o $@ $<

-include $(wildcard $(addprefix $(FUZZ_BUILD)/,test/*.d c_src/*.d c_src/*/*.d))
