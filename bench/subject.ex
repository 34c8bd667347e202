# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subject do
  @moduledoc false
  # Something that is measured.

  # In words, for who watches the run.
  @callback title() :: String.t()

  # The figures of the promised ratios and sizes, from so many times the rounds of the short form.
  @callback promised(times :: pos_integer()) :: [Bench.Figure.t()]

  # All other figures.
  @callback rest() :: [Bench.Figure.t()]
end
