# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

# Columns: bytes, then MB/s of System.cmd/3, a bare port and MuonTrap.cmd/3.
set xlabel "bytes of the window"
set ylabel "MB/s"
set yrange [0:]
set logscale x 2
set xtics ("1 KiB" 1024, "4 KiB" 4096, "16 KiB" 16384, "64 KiB" 65536, "256 KiB" 262144, "1 MiB" 1048576)
set title "Throughput with a window of fixed size"
plot data using 1:2 with linespoints linestyle 1 title "System.cmd/3", \
    '' using 1:3 with linespoints linestyle 2 title "bare port", \
    '' using 1:4 with linespoints linestyle 3 title "MuonTrap.cmd/3"
