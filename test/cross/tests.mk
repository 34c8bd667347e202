# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-cross                the command line, with helpers for other processors, which qemu-user emulates
#   make test-cross ARCH=aarch64   for one of aarch64, armv7 and riscv64
#   make test-cross ARCH=armv7 CLI='test/cli/stdio.bats --filter FIFO'   a part of it

ARCH ?= aarch64 armv7 riscv64

.PHONY: test-cross
test-cross:
	@tools/deps matrix
	set -e; for arch in $(ARCH); do \
	    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL $(if $(filter command line environment,$(origin CLI)),CLI='$(CLI)') \
	        test/cross/run $$arch; \
	done
