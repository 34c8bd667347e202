# shellcheck shell=bash
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

setup_suite() {
    load machine
    start_machine
}

teardown_suite() { end_machine; }
