# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
#   make deps-matrix   installs the Debian packages that `make matrix` needs and that are missing
#   make matrix        every cell of tools/matrix-cells: other processors, C libraries, kernels, Elixirs; hours
#   make matrix CELLS="armv7 glibc"   these cells
#   make matrix-table  writes the table of what has run into README.md and docs/matrix.md

CELLS ?=

.PHONY: deps-matrix matrix matrix-table
deps-matrix:
	@tools/deps matrix

matrix: deps-matrix
	@status=0; tools/matrix run $(CELLS) || status=$$?; tools/matrix table && exit $$status

matrix-table:
	tools/matrix table

# A part of make lint (tools/lint.mk).
lint-matrix:
	tools/matrix check
