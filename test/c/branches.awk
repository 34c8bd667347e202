# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0
#
# Reads what gcov -b -c has written, names each branch that was never taken and each line that was never run, and fails
# when there is one, or when there was nothing to read.

/^ *(-|#####|=====|[0-9]+\*?): *[0-9]+:/ {
    split($0, part, ":")
    line = part[2] + 0
    if (line > 0)
        text = substr($0, index($0, part[2]) + length(part[2]) + 1)
    if ($1 ~ /^#####/) {
        print FILENAME ": line " line " was never run: " text
        missing++
    }
}

/^branch/ {
    branches++
    if ($0 ~ /never executed/ || $0 ~ /taken 0( |$)/) {
        print FILENAME ": line " line ", a branch was never taken: " text
        missing++
    }
}

FNR == 1 {
    files++
}

END {
    print branches + 0 " branches in " files + 0 " files, " missing + 0 " never taken"
    exit (missing > 0 || branches == 0 || files != ARGC - 1)
}
