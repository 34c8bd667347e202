# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Faulty do
  @moduledoc false
  # What the helper's system calls are made to do (faulty.c).

  @doc "Some such calls"
  @spec random() :: [tuple()]
  def random(), do: []

  @doc "Whether it is an error that the helper can't go on after"
  @spec hard?(tuple()) :: boolean()
  def hard?(_call), do: false
end
