# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make              the helper alone, in build/
#   make install      helper, man page and completions below PREFIX (/usr/local), within DESTDIR
#   make rebar3       mix's part of a build by rebar3, which rebar.config has it do
#   make demo         installs what is missing, builds, shows the main job
#   make check        installs what is missing, runs every test and linter
#   make bench        measures the figures of docs/benchmarks.md, and writes that page
#
# Honoured: CC, CFLAGS, CPPFLAGS, LDFLAGS, CROSSCOMPILE (a tool prefix), MIX_TARGET, PORTABLE=1 (POSIX alone),
# WERROR=1 (warnings are errors), V=1 (show commands), MUONTRAP_RULES=/path (in place of
# /etc/muontrap.conf, see docs/users.md).

VERSION := $(shell sed -n 's/^  @version "\(.*\)"$$/\1/p' mix.exs)
TARGET := $(or $(MIX_TARGET),host)
BUILD ?= build/$(TARGET)$(if $(PORTABLE),-portable)
PREFIX ?= /usr/local

# Static with musl where it is there: a launch costs 0.4 ms less, and keeper and relay hold a few tens of KB.
ifneq ($(filter default undefined,$(origin CC)),)
  ifneq ($(CROSSCOMPILE),)
    CC := $(patsubst %-,%,$(CROSSCOMPILE))-gcc
  else ifneq ($(if $(PORTABLE),,$(shell command -v musl-gcc)),)
    CC := musl-gcc
  else
    CC := cc
  endif
endif
STATIC := $(if $(findstring musl,$(notdir $(firstword $(CC)))),-static)

# The flags among $(1) that the compiler knows.
supported = $(foreach flag,$(1),$(shell echo 'int main(void) { return 0; }' | \
    $(CC) -Werror $(flag) -x c -o /dev/null - >/dev/null 2>&1 && echo '$(flag)'))

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow $(if $(WERROR),-Werror)
comma := ,
HARDENING := -D_FORTIFY_SOURCE=2 \
    $(call supported,-fstack-protector-strong -fstack-clash-protection -fcf-protection $(if $(STATIC),,-fPIE))
LINK_HARDENING := $(call supported,-Wl$(comma)-z$(comma)relro -Wl$(comma)-z$(comma)now \
    -Wl$(comma)-z$(comma)noexecstack -Wl$(comma)--gc-sections $(if $(STATIC),,-pie))
CFLAGS ?= -Os
PLATFORM := $(if $(PORTABLE),portable,$(if $(findstring linux,$(shell $(CC) -dumpmachine 2>/dev/null)),linux,portable))
PLATFORM_FLAG := $(if $(filter portable,$(PLATFORM)),-DMUONTRAP_PORTABLE)

# Where a long has 32 bits, files of more than 2 GB and times after January 2038 take types that glibc has on request. A
# program that inherits a file which was opened without the former could not write more than 2 GB to it.
LARGE := $(if $(filter 4,$(shell echo __SIZEOF_LONG__ | $(CC) -E -P - 2>/dev/null)),\
    -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64)

# Unwind tables would be a tenth of what each static helper process holds, and nothing unwinds.
STATIC_CFLAGS := $(if $(STATIC),-fno-asynchronous-unwind-tables)
ALL_CFLAGS := -std=c11 -Ic_src $(PLATFORM_FLAG) $(LARGE) $(CFLAGS) $(STATIC_CFLAGS) \
    -ffunction-sections -fdata-sections $(WARNINGS) $(HARDENING) $(CPPFLAGS) \
    $(if $(MUONTRAP_RULES),-DMUONTRAP_RULES='"$(MUONTRAP_RULES)"')
ifneq ($(filter-out /%,$(MUONTRAP_RULES)),)
  $(error MUONTRAP_RULES has to be an absolute path, and is $(MUONTRAP_RULES))
endif
VERSION_FLAG := -DMUONTRAP_VERSION='"$(VERSION)"'
COLD := $(if $(STATIC),$(call supported,-Wl$(comma)-T$(comma)c_src/cold.ld))
ALL_LDFLAGS := $(STATIC) $(LINK_HARDENING) $(COLD) $(LDFLAGS)

# Modules are named with their folders. Of some there are alternatives, of which the platform or C library has one.
# A static glibc loads what /etc/nsswitch.conf names, and dies of it where that was built with another glibc.
USERS := program/users_$(if $(STATIC)$(filter -static --static -static-pie,$(LDFLAGS) $(CFLAGS) $(CC)),files,nss)
CGROUPS := $(addprefix cgroup/,cgroup cgroup_files cgroup_make cgroup_tree check claim controllers \
    delegation v1_users)
LINUX := base/processes $(CGROUPS)
CHOSEN := base/$(PLATFORM) $(USERS) $(if $(filter linux,$(PLATFORM)),$(LINUX),cgroup/no_cgroup)
ALTERNATIVES := base/linux base/portable program/users_files program/users_nss $(LINUX) cgroup/no_cgroup
ALL_MODULES := $(patsubst c_src/%.c,%,$(wildcard c_src/*.c c_src/*/*.c))
MODULES := $(filter-out main $(ALTERNATIVES),$(ALL_MODULES)) $(CHOSEN)
OBJECTS := $(MODULES:%=$(BUILD)/%.o)

# Says in a few words what it does; with V=1, how.
run = $(if $(V),$(3),@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,echo '  $(1)  $(2)' && )$(3))

# A directory of this clone's own that other users may go to, as they may not go to build/.
outside = $(or $(TMPDIR),/tmp)/muontrap-$(1)-$(firstword $(shell echo '$(CURDIR)' | cksum))

.PHONY: all install clean
all: $(BUILD)/muontrap

# These first, so that what every helper touches of its zeroed memory lies together, before the buffers of the others.
FIRST := $(BUILD)/base/signals.o $(BUILD)/main.o $(BUILD)/containment/relay.o
$(BUILD)/muontrap: $(FIRST) $(filter-out $(FIRST),$(OBJECTS)) $(if $(COLD),c_src/cold.ld)
	$(call run,LD,$@,$(CC) $(ALL_CFLAGS) -o $@ $(filter %.o,$^) $(ALL_LDFLAGS))

$(sort $(FIRST) $(OBJECTS)): $(BUILD)/%.o: c_src/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call run,CC,$<,$(CC) $(ALL_CFLAGS) $(VERSION_FLAG) -MMD -MP -c -o $@ $<)

# $(call flags,DIRECTORY,WORDS), both the names of variables: the file `flags` in that directory changes when the words
# do, which are compiler, flags and version, so that nothing is linked of objects of two builds.
define flags
ifneq ($$(shell cat '$$($(1))/flags' 2>/dev/null),$$(strip $$($(2))))
.PHONY: $$($(1))/flags
endif
$$($(1))/flags:
	@mkdir -p $$(@D)
	@printf '%s\n' '$$(subst ','\'',$$(strip $$($(2))))' >$$@
endef
FLAGS = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(PLATFORM) $(USERS) $(VERSION)
$(eval $(call flags,BUILD,FLAGS))

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d)

install: all
	install -D $(BUILD)/muontrap $(DESTDIR)$(PREFIX)/bin/muontrap
	install -D -m 644 priv/man/man1/muontrap.1 $(DESTDIR)$(PREFIX)/share/man/man1/muontrap.1
	install -D -m 644 priv/completions/muontrap.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/muontrap
	install -D -m 644 priv/completions/_muontrap $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_muontrap

# Mix's description of the application, which has all modules, takes the place of rebar3's.
.PHONY: rebar3
rebar3:
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL MIX_ENV=prod mix compile
	@for app in "$$REBAR_DEPS_DIR/muontrap" "$$REBAR_CHECKOUTS_OUT_DIR/muontrap"; do \
	    if [ -d "$$app/ebin" ]; then \
	        if [ -L "$$app/priv" ]; then rm "$$app/priv"; fi; \
	        mkdir -p "$$app/priv"; \
	        cp -R _build/prod/lib/muontrap/ebin/. "$$app/ebin/"; \
	        cp -R _build/prod/lib/muontrap/priv/. "$$app/priv/"; \
	    fi; \
	done

clean:
	rm -rf build

include $(wildcard test/*/tests.mk tools/*.mk)
