# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

# Columns: label, then median and 99th percentile of each.
set ylabel "milliseconds"
set title "A launch of true: median (bar) and 99th percentile (mark)"
set style fill solid 0.75 noborder
set boxwidth 0.18
set logscale y
set xrange [-0.5:3.5]
plot data using ($0 - 0.3):2:xtic(1) with boxes linestyle 4 title "posix\\_spawn(3), C", \
    '' using ($0 - 0.1):4 with boxes linestyle 2 title "bare port", \
    '' using ($0 + 0.1):6 with boxes linestyle 1 title "System.cmd/3", \
    '' using ($0 + 0.3):8 with boxes linestyle 3 title "MuonTrap.cmd/3", \
    '' using ($0 - 0.3):3 with points linestyle 4 notitle, \
    '' using ($0 - 0.1):5 with points linestyle 2 notitle, \
    '' using ($0 + 0.1):7 with points linestyle 1 notitle, \
    '' using ($0 + 0.3):9 with points linestyle 3 notitle
