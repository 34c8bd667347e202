# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-vm        what test/vm/run promises, in virtual machines of some seconds each
#   make test-cgroups   the suites that take cgroup2 with controllers, as root and as an ordinary user

.PHONY: test-vm test-cgroups
# The kernel first, whose download is no part of any test's time. All limits are bounds on hanging, also where emulation
# shares the processors with others.
test-vm: all
	test/vm/make-boot
	BATS_TEST_TIMEOUT=1500 env --default-signal bats --formatter '$(CURDIR)/test/cli/formatter' test/vm

# What runs in the virtual machine is built outside, where it takes no time.
test-cgroups: all $(TEST_BUILD)/test_controllers $(TEST_BUILD)/test_cgroup $(TEST_BUILD)/test_sweep \
    $(TEST_BUILD)/trouble
	test/vm/make-boot
	MIX_ENV=test $(MIX) compile --warnings-as-errors
	MUONTRAP='$(abspath $(BUILD)/muontrap)' test/vm/cgroups
