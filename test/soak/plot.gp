# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

# Columns are those of MuonTrap.Soak.Sample, by their names.
set terminal svg size 760,760 dynamic font "DejaVu Sans,13" linewidth 1.5
set datafile separator tab
set multiplot layout 2,1
set yrange [0:]
set xlabel "minutes"
set style line 5 linecolor rgb "#b8860b" linewidth 2

set title "Memory in a soak of ".span
set ylabel "megabytes"
plot data using (column("seconds")/60):(column("vm_rss_kb")/1024) with lines linestyle 1 title "VM, resident", \
    '' using (column("seconds")/60):(column("vm_memory_kb")/1024) with lines linestyle 2 title "VM, as it counts", \
    '' using (column("seconds")/60):(column("helpers_pss_kb")/1024) with lines linestyle 3 title "helpers (Pss)"

set title "What there is at a time"
set ylabel "number"
plot data using (column("seconds")/60):(column("os_processes")) with lines linestyle 1 title "OS processes", \
    '' using (column("seconds")/60):(column("processes")) with lines linestyle 2 title "Erlang processes", \
    '' using (column("seconds")/60):(column("descriptors")) with lines linestyle 3 title "descriptors", \
    '' using (column("seconds")/60):(column("ports")) with lines linestyle 4 title "ports", \
    '' using (column("seconds")/60):(column("ets_tables")) with lines linestyle 5 title "ETS tables"
unset multiplot
