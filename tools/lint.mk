# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make lint    every linter; each warning is an error
#   make format  has clang-format and mix format do what they would ask for

C_FILES = $(wildcard c_src/*.[ch] c_src/*/*.[ch] test/*/*.[ch] test/c/*/*.[ch] bench/*/*.c)
LINT := build/lint
MAN_PAGE := priv/man/man1/muontrap.1

LINT_ONE_THREAD := getpwuid getpwnam getgrnam getgrgid

# Each compiler, with and without what only Linux has.
LINT_COMPILERS := musl-gcc gcc clang
LINT_BUILDS := $(LINT_COMPILERS:%=lint-build-%) $(LINT_COMPILERS:%=lint-portable-%)

LINTERS := $(LINT_BUILDS) lint-tidy lint-analyzer lint-cppcheck lint-format lint-width lint-shell lint-man \
    lint-completions lint-mix-format lint-dialyzer lint-reuse lint-matrix

.PHONY: lint format lint-mix $(LINTERS)
# The longest first, for the sake of who has several processors.
lint: lint-dialyzer lint-reuse $(LINTERS)

$(LINT_COMPILERS:%=lint-build-%): lint-build-%:
	$(MAKE) --no-print-directory CC=$* WERROR=1 BUILD=$(LINT)/$* BENCH=$(LINT)/$*/bench all bench-programs

$(LINT_COMPILERS:%=lint-portable-%): lint-portable-%:
	$(MAKE) --no-print-directory CC=$* WERROR=1 PORTABLE=1 BUILD=$(LINT)/$*-portable

lint-tidy:
	clang-tidy --quiet c_src/*.c c_src/*/*.c -- -std=c11 -Ic_src $(VERSION_FLAG)

# Nothing is off, and nothing suppressed. Not of optimised code, from which what it looks for may have been removed.
lint-analyzer:
	set -e; for file in c_src/*.c c_src/*/*.c; do \
	    gcc -std=c11 -Ic_src $(VERSION_FLAG) -O0 -fanalyzer -Werror -S -o /dev/null "$$file"; \
	done

# Off: "continue" is how an empty body is written here; raise(3) does return, which cppcheck's library doesn't know; the
# helper has one thread, and needs no getpwnam_r(3).
lint-cppcheck:
	cppcheck --enable=warning,style,performance,portability --library=posix,gnu --std=c11 --inline-suppr --quiet \
	    --suppress=redundantContinue --suppress=unreachableCode $(LINT_ONE_THREAD:%=--suppress=%Called) \
	    --error-exitcode=1 $(VERSION_FLAG) -Ic_src c_src

lint-format:
	clang-format --dry-run -Werror $(C_FILES)

# What clang-format leaves alone: comments and strings.
lint-width:
	@awk 'length > 120 { print FILENAME ":" FNR ": longer than 120 columns"; long = 1 } END { exit long }' \
	    $(C_FILES) Makefile rebar.config \
	    $(wildcard src/* test/erl/*.erl test/erl/app/src/* test/*/tests.mk tools/* bench/plots/*.gp test/soak/*.gp)

lint-shell:
	tools/shell-files | xargs -0 shellcheck

lint-man:
	mandoc -T lint -W warning $(MAN_PAGE)

lint-completions:
	bash -n priv/completions/muontrap.bash
	zsh -n priv/completions/_muontrap

lint-mix-format:
	mix format --check-formatted

lint-mix: export MIX_ENV := dev
lint-mix: export MIX_BUILD_PATH := $(CURDIR)/$(LINT)/mix
lint-mix:
	$(MIX) compile --force --warnings-as-errors

lint-dialyzer: lint-mix
	tools/dialyzer $(LINT)/mix/lib/muontrap/ebin

lint-reuse:
	tools/newer reuse lint

format:
	clang-format -i $(C_FILES)
	mix format
