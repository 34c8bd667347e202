# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make faults       each system call of the helper made to fail in turn, on the helper as it is shipped
#   make faults-all   the same with each error of the call's manual page; takes half an hour
#
# Honoured: FAULTS="start" (that scenario), FAULTS="start 'relay:fork#1=EAGAIN'" (that run).

FAULTS ?=
FAULTS_BUILD := build/faults
FAULTS_RUN = TROUBLE='$(CURDIR)/$(TEST_BUILD)/trouble' MUONTRAP='$(CURDIR)/$(BUILD)/muontrap' \
    $(FAULTS_BUILD)/faults $(FAULTS)
FAULTS_OBJECTS := $(patsubst test/faults/%.c,$(FAULTS_BUILD)/%.o,$(wildcard test/faults/*.c))

.PHONY: faults faults-all
faults: $(FAULTS_BUILD)/faults $(TEST_BUILD)/trouble $(BUILD)/muontrap
	$(FAULTS_RUN)

faults-all: $(FAULTS_BUILD)/faults $(TEST_BUILD)/trouble $(BUILD)/muontrap
	FAULTS_ALL=1 $(FAULTS_RUN)

$(FAULTS_BUILD)/faults: $(FAULTS_OBJECTS)
	@$(TEST_CC) -o $@ $^

FAULTS_FLAGS = $(TEST_CC) -std=c11 -g -O2 $(TEST_WARNINGS)
$(eval $(call flags,FAULTS_BUILD,FAULTS_FLAGS))

$(FAULTS_BUILD)/%.o: test/faults/%.c $(FAULTS_BUILD)/flags
	@mkdir -p $(@D)
	$(FAULTS_FLAGS) -D_GNU_SOURCE -MMD -MP -c -o $@ $<

-include $(wildcard $(FAULTS_BUILD)/*.d)
