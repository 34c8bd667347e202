# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-vm   what test/vm/run promises, in virtual machines of some seconds each

.PHONY: test-vm
# The kernel first, whose download is no part of any test's time.
test-vm:
	test/vm/make-boot
	BATS_TEST_TIMEOUT=300 env --default-signal bats --formatter '$(CURDIR)/test/cli/formatter' test/vm
