# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Helper do
  @moduledoc false
  # Where the helper program is.

  @doc """
  Its path as the VM has it, which a string need not be able to express (`file:native_name_encoding/0`)
  """
  @spec path() :: charlist()
  def path() do
    case :code.lib_dir(:muontrap) do
      {:error, :bad_name} -> raise "the application :muontrap is not in the code path"
      dir -> dir ++ ~c"/priv/muontrap"
    end
  end
end
