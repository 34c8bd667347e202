# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

# What all plots have in common. There is no background, and the colours are of middle brightness, so that a plot is
# readable on a light page as on a dark one.
set terminal svg size 760,400 dynamic font "DejaVu Sans,13" linewidth 1.5
set encoding utf8
grey = "#7d8590"
set border 3 linecolor rgb grey
set tics nomirror textcolor rgb grey
set xlabel textcolor rgb grey
set ylabel textcolor rgb grey
set y2label textcolor rgb grey
set title textcolor rgb grey
set key textcolor rgb grey below
set grid ytics linecolor rgb grey linewidth 0.3
set style line 1 linecolor rgb "#c2571a" linewidth 2 pointtype 7 pointsize 0.6
set style line 2 linecolor rgb "#9a6fd0" linewidth 2 pointtype 5 pointsize 0.6
set style line 3 linecolor rgb "#2f81f7" linewidth 2 pointtype 9 pointsize 0.7
set style line 4 linecolor rgb "#3f9a57" linewidth 2 pointtype 13 pointsize 0.8
