# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make demo    installs what is missing, builds, and shows and checks the main job on real programs
#   make bench   the figures of docs/benchmarks.md

.PHONY: demo bench
demo: deps-demo
	$(MIX) compile
	$(MIX) run demo/demo.exs

# Not by mix run, whose consolidated protocols would not know the benchmark's collectable.
bench: export MIX_ENV := prod
bench: deps-demo
	$(MIX) compile
	elixir -pa _build/prod/lib/muontrap/ebin bench/bench.exs
