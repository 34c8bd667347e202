# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-c       the helper's modules, under AddressSanitizer and UndefinedBehaviorSanitizer, and the helper itself
#   make coverage-c   fails when a branch of a pure module was not taken
#
# Honoured: TEST_CC, PORTABLE=1, TESTS="test_window ..." (only these).

TEST_CC ?= gcc
TEST_BUILD := build/test-c$(if $(PORTABLE),-portable)
TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
TEST_WARNINGS := $(filter-out -Werror,$(WARNINGS)) -Werror
TEST_CFLAGS := -std=c11 -g -O1 $(TEST_WARNINGS) -Ic_src -Itest/c $(LARGE) $(VERSION_FLAG) \
    $(if $(PORTABLE),-DPORTABLE=1 -DMUONTRAP_PORTABLE)

PURE_MODULES := options port/protocol port/window base/failure base/format base/signal_name cgroup/legacy \
    cgroup/cgroup_text cgroup/cgroup_path base/terminal_modes program/attributes_text program/rules
PURE_TESTS := $(addprefix test_,$(notdir $(PURE_MODULES)))
# All that there are, so that none is forgotten. But test_controllers takes libcgroup, and make test-cgroups runs it,
# where there are controllers; and a portable helper can't attach, or tell what descends from the program.
ELSEWHERE := test_controllers $(if $(PORTABLE),test_attach test_attach_move test_deliver)
TESTS ?= $(filter-out $(ELSEWHERE),$(basename $(notdir $(wildcard test/c/test_*.c test/c/*/test_*.c))))

# The system calls that a test program can make fail.
WRAP_test_platform := syscall
WRAP_test_identity := platform_setgroups platform_setgid platform_setuid platform_drop_capabilities
WRAP_test_child := fork pipe setsid dup2 prctl platform_setgroups platform_setgid platform_setuid open posix_openpt \
    unlockpt ioctl fcntl
WRAP_test_tree := prctl open
WRAP_test_output := read
WRAP_test_cgroup := syscall mkdirat unlinkat
WRAP_test_sweep := cgroup_populated cgroup_members
WRAP_test_attach_move := cgroup_move cgroup_move_back cgroup_place cgroup_has platform_process_open \
    platform_process_ended platform_processes platform_parent
WRAP_test_deliver := platform_process_open platform_process_signal platform_signal_descendant platform_has_reserve \
    platform_processes kill
WRAP_test_keeper := fork socketpair prctl open pipe

LIBS_test_controllers := -lcgroup
$(TEST_BUILD)/test_controllers: $(TEST_BUILD)/cgroup/witness.o

TEST_SHARED := support client cgroups
TEST_MODULES := $(MODULES:%=$(TEST_BUILD)/c_src/%.o)
TEST_RUN := TROUBLE='$(CURDIR)/$(TEST_BUILD)/trouble'

.PHONY: test-c coverage-c
.SECONDARY:

# What runs the helper runs it twice: with the sanitizers, and as it is shipped.
test-c: $(TESTS:%=$(TEST_BUILD)/%) $(TEST_BUILD)/trouble $(TEST_BUILD)/muontrap $(BUILD)/muontrap
	@failed=; run() { \
	    echo "== $$1 $${2:+($$2)}"; \
	    ATTACHES=$${2:+10000} $(TEST_RUN) MUONTRAP="$(CURDIR)/$${2:-$(TEST_BUILD)/muontrap}" $(TEST_BUILD)/$$1 || \
	        failed="$$failed $$1 (status $$?)"; \
	}; \
	for test in $(TESTS); do \
	    run $$test; \
	    case $$test in test_launch|test_relay|test_input|test_pty|test_reuse|test_keeper|test_attach|test_pipes) \
	        run $$test $(BUILD)/muontrap;; esac; \
	    case $$test in test_relay|test_input|test_pty) [ -n '$(PORTABLE)' ] || REUSED=1 run $$test;; esac; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

TEST_FLAGS = $(TEST_CC) $(filter-out $(VERSION_FLAG),$(TEST_CFLAGS)) $(TEST_SANITIZE) $(VERSION)
$(eval $(call flags,TEST_BUILD,TEST_FLAGS))

$(TEST_BUILD)/c_src/%.o: c_src/%.c $(TEST_BUILD)/flags
	@mkdir -p $(@D)
	@$(TEST_CC) $(TEST_CFLAGS) $(TEST_SANITIZE) -MMD -MP -c -o $@ $<

$(TEST_BUILD)/%.o: test/c/%.c $(TEST_BUILD)/flags
	@mkdir -p $(@D)
	$(TEST_CC) -D_GNU_SOURCE $(TEST_CFLAGS) $(TEST_SANITIZE) -MMD -MP -c -o $@ $<

# Tests stand in the folders of what they test; their programs, whose names are unique, beside each other.
.SECONDEXPANSION:
TEST_SOURCES := $(wildcard test/c/test_*.c test/c/*/test_*.c)
test_object = $(patsubst test/c/%.c,$(TEST_BUILD)/%.o,$(filter %/$(1).c,$(TEST_SOURCES)))

$(patsubst %.c,$(TEST_BUILD)/%,$(notdir $(TEST_SOURCES))): $(TEST_BUILD)/%: $$(call test_object,$$*) \
    $(TEST_SHARED:%=$(TEST_BUILD)/%.o) $(TEST_MODULES)
	@$(TEST_CC) $(TEST_CFLAGS) $(TEST_SANITIZE) -o $@ $^ $(WRAP_$(@F):%=-Wl,--wrap=%) -lcmocka $(LIBS_$(@F))

$(TEST_BUILD)/muontrap: $(TEST_BUILD)/c_src/main.o $(TEST_MODULES)
	@$(TEST_CC) $(TEST_CFLAGS) $(TEST_SANITIZE) -o $@ $^

# Without sanitizers: it has to be fast at what it does, and small, for there are hundreds of it.
$(TEST_BUILD)/trouble: test/c/trouble.c $(TEST_BUILD)/flags
	@mkdir -p $(@D)
	$(TEST_CC) -D_GNU_SOURCE $(TEST_CFLAGS) -o $@ $<

-include $(wildcard $(addprefix $(TEST_BUILD)/,*.d */*.d c_src/*/*.d))

# Pure modules are tested to the last branch. gcov(1) says of each how often it was taken; nothing is left out.
COVERAGE_BUILD := build/coverage-c
COVERAGE_FLAGS := -std=c11 -g -O0 -Ic_src -Itest/c $(VERSION_FLAG) --coverage
COVERAGE_OBJECTS := $(addprefix $(COVERAGE_BUILD)/,$(notdir $(PURE_MODULES:%=%.o)))

coverage-c: $(PURE_MODULES:%=c_src/%.c) $(wildcard c_src/*.h c_src/*/*.h test/c/* test/c/*/*)
	rm -rf $(COVERAGE_BUILD)
	mkdir -p $(COVERAGE_BUILD)
	set -e; for module in $(PURE_MODULES); do \
	    $(TEST_CC) $(COVERAGE_FLAGS) -c -o $(COVERAGE_BUILD)/$$(basename $$module).o $(CURDIR)/c_src/$$module.c; \
	done
	set -e; for test in $(PURE_TESTS); do \
	    $(TEST_CC) -D_GNU_SOURCE -std=c11 -g -Ic_src -Itest/c $(VERSION_FLAG) --coverage -o $(COVERAGE_BUILD)/$$test \
	        $$(find test/c -name $$test.c) test/c/support.c $(COVERAGE_OBJECTS) -lcmocka; \
	    $(COVERAGE_BUILD)/$$test; \
	done
	cd $(COVERAGE_BUILD) && gcov -b -c -o . $(notdir $(COVERAGE_OBJECTS)) >summary
	awk -f test/c/branches.awk $(COVERAGE_OBJECTS:%.o=%.c.gcov)
