# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Told do
  @moduledoc false
  # A collectable that tells a process what it is called with, and hands each piece of output to a function.
  defstruct [:test, :with]

  defimpl Collectable do
    def into(told) do
      {told,
       fn told, command ->
         send(told.test, command)
         with {:cont, data} <- command, do: told.with && told.with.(data)
         told
       end}
    end
  end
end
