# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

# Columns: sleepers, then milliseconds of kill(2) and wait(2) in C, of MuonTrap, and of MuonTrap with a cgroup.
set xlabel "sleepers that ignore SIGTERM"
set ylabel "milliseconds"
set logscale xy
set title "The stop of a tree, until all are dead"
plot data using 1:2 with linespoints linestyle 4 title "kill(2) in C", \
    '' using 1:3 with linespoints linestyle 3 title "MuonTrap", \
    '' using 1:4 with linespoints linestyle 2 title "in a cgroup"
