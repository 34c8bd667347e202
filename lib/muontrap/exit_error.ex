# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ExitError do
  @moduledoc """
  A program of `MuonTrap.stream!/3` has ended with another status than 0

  The fields are

    * `:command` - the program as it was given
    * `:status` - its exit status; 128 plus the signal's number when a signal ended it
    * `:signal` - that signal's name, such as `:sigkill`, or its number if it has none; `nil` without one
  """

  defexception [:command, :status, :signal]

  @type t :: %__MODULE__{command: String.t(), status: 1..255, signal: atom() | pos_integer()}

  @impl Exception
  def message(%{signal: nil} = error), do: "#{error.command} exited with status #{error.status}"

  def message(error),
    do: "#{error.command} was ended by the signal #{MuonTrap.Signal.name(error.signal)} (status #{error.status})"
end
