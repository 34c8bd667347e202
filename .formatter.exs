# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0

[
  inputs: ["{mix,.formatter}.exs", "{bench,config,demo,lib,test}/**/*.{ex,exs}"],
  line_length: 120
]
