# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-sanitized          test-cli-sanitized and test-elixir-sanitized
#   make test-cli-sanitized      the command line's tests with a helper that has AddressSanitizer and
#                                UndefinedBehaviorSanitizer (CLI=... for a part, as with test-cli)
#   make test-elixir-sanitized   ExUnit's tests with such a helper
#
# A report of any process fails the run, also of one whose end nobody sees. What can't run so, because it limits the
# memory, is skipped and says why (not_sanitized in test/cli), and so is what takes the static helper.

SANITIZED_CC ?= clang
SANITIZED_BUILD := build/sanitized
SANITIZED_REPORTS = $(call outside,sanitized)
# The C library's checks of _FORTIFY_SOURCE would take the calls that AddressSanitizer is to see.
SANITIZED_CFLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZED_TOOLS := $(SANITIZED_BUILD)/tools
SANITIZED_OPTIONS := $(CURDIR)/$(SANITIZED_TOOLS)/options.o
SANITIZED_HELPER = SANITIZED=1 CC='$(SANITIZED_CC)' CFLAGS='$(SANITIZED_CFLAGS)' CPPFLAGS=-U_FORTIFY_SOURCE \
    LDFLAGS='$(SANITIZED_OPTIONS)'
SANITIZED_RUN = test/sanitize/run $(SANITIZED_TOOLS)/finding $(SANITIZED_REPORTS)

.PHONY: test-sanitized test-cli-sanitized test-elixir-sanitized
test-sanitized:
	$(MAKE) --no-print-directory test-cli-sanitized
	$(MAKE) --no-print-directory test-elixir-sanitized

test-cli-sanitized: $(SANITIZED_TOOLS)/finding
	$(SANITIZED_RUN) env $(SANITIZED_HELPER) $(MAKE) --no-print-directory BUILD=$(SANITIZED_BUILD) \
	    CLI_TIMEOUT=600 test-cli

test-elixir-sanitized: $(SANITIZED_TOOLS)/finding
	$(SANITIZED_RUN) env $(SANITIZED_HELPER) MIX_ENV=test MIX_BUILD_PATH='$(CURDIR)/$(SANITIZED_BUILD)/mix' \
	    $(MIX) test --timeout 900000

SANITIZED_FLAGS = $(SANITIZED_CC) $(SANITIZED_CFLAGS) $(TEST_WARNINGS) $(SANITIZED_REPORTS)
$(eval $(call flags,SANITIZED_TOOLS,SANITIZED_FLAGS))

# With the object of the options, which the helper is linked with, too.
$(SANITIZED_TOOLS)/finding: test/sanitize/finding.c test/sanitize/options.c $(SANITIZED_TOOLS)/flags
	@mkdir -p $(@D)
	$(SANITIZED_CC) -std=c11 -O1 $(TEST_WARNINGS) -DREPORTS='"$(SANITIZED_REPORTS)"' -c -o $(SANITIZED_OPTIONS) \
	    test/sanitize/options.c
	$(SANITIZED_CC) -D_GNU_SOURCE -std=c11 $(SANITIZED_CFLAGS) $(TEST_WARNINGS) -o $@ $< $(SANITIZED_OPTIONS)
