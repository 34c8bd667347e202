# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make demo    installs what is missing, builds, and shows and checks the main job on real programs

.PHONY: demo
demo: deps-demo
	$(MIX) compile
	$(MIX) run demo/demo.exs
