# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

# Columns: programs, then milliseconds of a launch by System.cmd/3 and by MuonTrap.cmd/3, megabytes of VM and of
# helpers.
set xlabel "programs that run"
set ylabel "milliseconds"
set y2label "megabytes"
set y2tics textcolor rgb grey
set border 11
set yrange [0:]
set y2range [0:]
set title "Growth"
plot data using 1:2 with linespoints linestyle 1 title "System.cmd/3", \
    '' using 1:3 with linespoints linestyle 3 title "MuonTrap.cmd/3", \
    '' using 1:4 axes x1y2 with linespoints linestyle 2 dashtype 2 title "memory: VM", \
    '' using 1:5 axes x1y2 with linespoints linestyle 4 dashtype 2 title "memory: helpers"
