# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   mix test test/muontrap/codec_test.exs   the frames of the helper and those of the library, compared
#
# The test has the program below made. Honoured: PROTOCOL_SEED=n (the same frames again).

PROTOCOL_BUILD := build/protocol
PROTOCOL_SOURCES := $(addprefix c_src/,port/protocol.c base/failure.c base/format.c base/signal_name.c)

# Without PORTABLE=1, of which none of it knows, so that ExUnit's tests of both helpers have one program.
PROTOCOL_FLAGS = $(filter-out -DPORTABLE=1 -DMUONTRAP_PORTABLE,$(TEST_FLAGS))
$(eval $(call flags,PROTOCOL_BUILD,PROTOCOL_FLAGS))

$(PROTOCOL_BUILD)/codec: test/protocol/codec.c $(PROTOCOL_SOURCES) $(wildcard c_src/port/*.h c_src/base/*.h) \
    $(PROTOCOL_BUILD)/flags
	@mkdir -p $(@D)
	$(TEST_CC) $(TEST_CFLAGS) $(TEST_SANITIZE) -o $@ $(filter %.c,$^)
