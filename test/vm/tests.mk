# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-vm        what test/vm/run promises, in virtual machines of some seconds each
#   make test-cgroups   the suites that take cgroup2, with and without controllers, as root and as an ordinary user
#   make test-kernel    what meets the kernel, in C, of the command line and in ExUnit, as root on another kernel
#   make test-kernel PARTS=cli   a part of it; the others are c and library
#
# KERNEL=bullseye (5.10), bookworm (6.1), trixie (6.12) has any of them on the kernel of that suite of Debian's. Without
# it, that is bookworm's, and test-cgroups takes this machine's own for what that has all it needs for.

.PHONY: test-vm test-cgroups test-kernel
test-vm test-cgroups test-kernel torture-vm: export MUONTRAP_VM_KERNEL := $(KERNEL)

# The kernel first, whose download is no part of any test's time. All limits are bounds on hanging, also where emulation
# shares the processors with others.
test-vm: all
	test/vm/make-boot
	BATS_TEST_TIMEOUT=1500 MUONTRAP='$(abspath $(BUILD)/muontrap)' env --default-signal \
	    bats --formatter '$(CURDIR)/test/cli/formatter' test/vm

# What runs in the virtual machine is built outside, where it takes no time. What exists when that starts is its user's;
# a file that other tests make here later would be root's there.
test-cgroups: all $(TEST_BUILD)/test_controllers $(TEST_BUILD)/test_cgroup $(TEST_BUILD)/test_sweep \
    $(TEST_BUILD)/trouble
	test/vm/make-boot
	MIX_ENV=test $(MIX) compile --warnings-as-errors
	touch '$(or $(MIX_BUILD_PATH),_build/test)/lib/muontrap/.mix/.mix_test_failures'
	MUONTRAP='$(abspath $(BUILD)/muontrap)' TEST_BUILD='$(TEST_BUILD)' test/vm/cgroups

# In C those that measure no time: what a program is given to end is as short there, and less is done in it.
KERNEL_TESTS := test_platform test_cgroup test_tree test_sweep test_child test_identity
test-kernel: all $(KERNEL_TESTS:%=$(TEST_BUILD)/%) $(TEST_BUILD)/trouble
	test/vm/make-boot
	MIX_ENV=test $(MIX) compile --warnings-as-errors
	KERNEL_TESTS='$(KERNEL_TESTS)' MUONTRAP='$(abspath $(BUILD)/muontrap)' TEST_BUILD='$(TEST_BUILD)' \
	    test/vm/kernel $(PARTS)
