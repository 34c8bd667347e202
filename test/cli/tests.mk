# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-cli              the command line, tested from a shell: bats and expect, real processes
#   make test-cli PORTABLE=1   the same with the portable build, less what needs Linux
#   make test-cli CLI='test/cli/terminal.bats --filter Ctrl-C'   a part of it
#   make lint-cli              shellcheck of all that

# What takes controllers of cgroup v2 runs where those are: make test-cgroups.
CLI ?= $(filter-out test/cli/controllers.bats,$(wildcard test/cli/*.bats))
# A test that hangs is a test that fails, after so many seconds.
CLI_TIMEOUT ?= 120

.PHONY: test-cli lint-cli
# The signals that make itself was started with ignored would be ignored by every program of the tests.
test-cli: all
	MUONTRAP='$(abspath $(BUILD)/muontrap)' PORTABLE='$(PORTABLE)' BATS_TEST_TIMEOUT='$(CLI_TIMEOUT)' \
	    env --default-signal bats --formatter '$(CURDIR)/test/cli/formatter' $(CLI)

lint-cli:
	shellcheck -x test/cli/*.bats test/cli/*.bash test/cli/formatter test/busyness
