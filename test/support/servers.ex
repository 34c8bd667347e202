# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Servers do
  @moduledoc false
  # The processes of the library that see to the programs which run.

  def all() do
    for {_id, server, _type, _modules} <- DynamicSupervisor.which_children(MuonTrap.HelperPort.Supervisor), do: server
  end

  @doc "Those whose programs that process runs"
  def of(owner), do: Enum.filter(all(), &(Process.info(&1, :monitors) == {:monitors, [process: owner]}))

  @doc "The ports that send to that process, which is an owner's while it is not connected to the server"
  def ports_to(process), do: Enum.filter(Port.list(), &(Port.info(&1, :connected) == {:connected, process}))
end
