# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make soak MINUTES=60           a VM that runs commands, daemons and sessions for so long, and whether all stays flat
#   make soak-plot                 docs/reliability/soak.svg of the samples of the last soak
#   make soak-daemons COUNT=1000   so many daemons, started and stopped at once
#
# Honoured: SEED (the one that the soak has printed makes the same choices again). The samples of a soak are in
# build/soak/samples.tsv.

.PHONY: soak soak-plot soak-daemons soak-build
soak: export MIX_ENV := test
soak: soak-build
	$(soak_descriptors); MINUTES='$(MINUTES)' SEED='$(SEED)' $(MIX) run --no-compile -e 'MuonTrap.Soak.main()'

soak-plot: export MIX_ENV := test
soak-plot: soak-build
	$(MIX) run --no-compile --no-start -e 'MuonTrap.Soak.Plot.main()'

soak-daemons: export MIX_ENV := test
soak-daemons: soak-build
	$(soak_descriptors); COUNT='$(COUNT)' $(MIX) run --no-compile -e 'MuonTrap.Soak.Many.main()'

# A helper's port takes two descriptors of the VM, and a shell of Debian allows 1,024 without being asked; only root may
# also raise the hard limit.
soak_descriptors = ulimit -S -n 16384 2>/dev/null || ulimit -n 16384 2>/dev/null

soak-build: export MIX_ENV := test
soak-build:
	$(MIX) compile --warnings-as-errors
