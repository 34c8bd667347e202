# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-systemd   what MuonTrap promises under systemd and in containers, in a virtual machine that has both
#   make test-systemd SYSTEMD='test/systemd/podman.bats --filter read-only'   a part of it
#   make test-systemd SUITE=trixie   with the systemd (257), podman and kernel of that suite of Debian's in place of
#                                    bookworm's (252); KERNEL=bookworm has another's kernel (test/vm/tests.mk)

SYSTEMD ?= test/systemd

.PHONY: test-systemd
test-systemd: export MUONTRAP_VM_SUITE := $(SUITE)
test-systemd: export MUONTRAP_VM_KERNEL := $(or $(KERNEL),$(SUITE))
# Kernel and image first, for their downloads are no part of any test's time; what runs in the machine is built outside,
# where it takes no time. All limits are bounds on hanging, also where emulation shares the processors with others.
test-systemd:
	test/vm/make-boot
	test/vm/make-image
	MIX_ENV=test $(MIX) compile --warnings-as-errors
	LIBRARY='$(CURDIR)/_build/test/lib/muontrap' BATS_TEST_TIMEOUT=600 \
	    env --default-signal bats --formatter '$(CURDIR)/test/cli/formatter' $(SYSTEMD)
