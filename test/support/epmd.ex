# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Epmd do
  @moduledoc false
  # How the VMs of a cluster find each other (-epmd_module): each writes the port that it listens on to a file of its name. So the
  # clusters of two suites that run at once don't see each other, and no epmd is left behind, which the VM would start as a daemon.

  @directory ~c"MUONTRAP_TEST_NODES"
  # The version of the protocol between nodes, which since OTP 23 is 6.
  @version 6

  def start_link(), do: :ignore

  def register_node(name, port), do: register_node(name, port, :inet)

  def register_node(name, port, _family) do
    # Renamed, so that who reads it finds the whole number.
    new = :filename.join(directory(), [name, ~c".new"])
    :ok = :file.write_file(new, :erlang.integer_to_list(port))
    :ok = :file.rename(new, :filename.join(directory(), name))
    {:ok, 1 + :rand.uniform(1_000_000)}
  end

  def listen_port_please(_name, _host), do: {:ok, 0}
  def address_please(_name, _host, _family), do: {:ok, {127, 0, 0, 1}}

  def port_please(name, address), do: port_please(name, address, :infinity)

  # A link that the test makes slow leads to it by another port.
  def port_please(name, _address, _timeout) do
    with {:error, _reason} <- :file.read_file(:filename.join(directory(), [name, ~c".by"])),
         {:error, _reason} <- :file.read_file(:filename.join(directory(), name)) do
      :noport
    else
      {:ok, port} -> {:port, :erlang.binary_to_integer(port), @version}
    end
  end

  def names(_host), do: {:error, :address}

  defp directory(), do: :os.getenv(@directory)
end
