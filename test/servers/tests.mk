# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make test-servers               PostgreSQL, Redis, nginx and others under daemons, as docs/servers.md has them
#   make test-servers RESTARTS=50   with so many restarts of PostgreSQL in a row, in place of 10
#   make test-servers SERVERS=test/servers/redis_test.exs   a part of it

SERVERS ?= test/servers
RESTARTS ?= 10

.PHONY: test-servers
test-servers: export MIX_ENV := test
test-servers: export MUONTRAP_TEST_SERVERS := 1
test-servers: export MUONTRAP_TEST_RESTARTS := $(RESTARTS)
test-servers:
	$(MIX) compile --warnings-as-errors
	$(MIX) test $(SERVERS)
