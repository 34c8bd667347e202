# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make deps           installs the Debian packages that `make check` needs and that are missing
#   make deps-demo      the same for `make demo`
#   make check          deps, then all of CHECKS_FIRST, and then the four lists beside each other
#   make check-bare     the same, as root, in a fresh clone on a bare Debian bookworm
#   make test-elixir    ExUnit's tests
#   make test-portable  the tests again, less those of Linux, with a helper that makes no call that POSIX lacks
#   make test-newer     ExUnit's tests on a copy of the project in Debian trixie: Elixir 1.18, OTP 27, gcc 14, glibc

export LC_ALL := C.UTF-8

# The Erlang VM does not start without HOME, which cron sets, but a service or a container may not.
ifeq ($(HOME),)
export HOME := $(or $(shell getent passwd "$$(id -u)" | cut -d : -f 6),$(CURDIR)/build)
endif

# Lists of about the same CPU time. A virtual machine takes one processor and up to 3 GB of memory, and ExUnit's tests
# half a processor, for they wait for much of their time. The fuzzers take all that there are, for a minute. What is
# beside has names of its own where it shares the machine, its directory too.
# `builds` before them, so that no two lists build the same at the same time.
CHECKS_FIRST := lint builds
CHECKS_HERE := test-c coverage-c test-cli test-elixir test-erlang test-rebar3 test-servers
CHECKS_BESIDE_1 := test-cgroups model faults
CHECKS_BESIDE_2 := test-systemd test-vm torture-short fuzz
CHECKS_BESIDE_3 := test-newer test-portable-elixir test-portable-helper

# Mix builds the helper by a make of its own, which is not part of this one.
MIX := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL mix

.PHONY: deps deps-demo check check-bare builds test-elixir test-portable test-portable-helper test-portable-elixir \
    test-newer
deps:
	@tools/deps check

deps-demo:
	@tools/deps demo

check: deps
	@MAKE='$(MAKE)' tools/check $(CHECKS_FIRST) -- $(CHECKS_HERE) -- $(CHECKS_BESIDE_1) -- \
	    $(CHECKS_BESIDE_2) -- $(CHECKS_BESIDE_3)

builds: export MIX_ENV := test
builds: all $(patsubst %.c,$(TEST_BUILD)/%,$(notdir $(TEST_SOURCES))) $(TEST_BUILD)/trouble $(TEST_BUILD)/muontrap
	$(MAKE) --no-print-directory PORTABLE=1 all
	test/vm/make-boot
	$(MIX) compile --warnings-as-errors

check-bare:
	tools/bare

test-elixir: export MIX_ENV := test
test-elixir:
	$(MIX) compile --warnings-as-errors
	$(MIX) test

test-portable:
	$(MAKE) --no-print-directory test-portable-helper
	$(MAKE) --no-print-directory test-portable-elixir

test-portable-helper:
	$(MAKE) --no-print-directory PORTABLE=1 test-c
	$(MAKE) --no-print-directory PORTABLE=1 test-cli

# In a copy, because ExUnit's tests have directories that two runs of them can't share. Less what builds the helper as
# the tests say, and not as PORTABLE=1 does.
PORTABLE_COPY := build/portable-copy
test-portable-elixir: export MIX_ENV := test
test-portable-elixir:
	rm -rf $(PORTABLE_COPY)
	mkdir -p $(PORTABLE_COPY)
	tools/files >$(PORTABLE_COPY).list
	tar --create --null --no-recursion --files-from $(PORTABLE_COPY).list --file $(PORTABLE_COPY).tar
	tar --extract --directory $(PORTABLE_COPY) --no-same-owner --file $(PORTABLE_COPY).tar
	cd $(PORTABLE_COPY) && PORTABLE=1 env -u MIX_BUILD_PATH $(MIX) test --exclude linux --exclude builds

test-newer:
	tools/newer sh -ec 'make WERROR=1 CC=gcc && export CC=gcc MIX_ENV=test && elixir --version && \
	    mix compile --warnings-as-errors && mix test'
