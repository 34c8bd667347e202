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

  @doc """
  An owner that the port sends to: `start` starts one, and returns its pid and what else is to be known of it, which is returned

  An owner to whom nothing comes for 5 ms has the port send to the server, and when the output came just then the end goes there as
  well. Such an owner is let go by `let_go`, which gets what is known of it, and another one tried.
  """
  def owner_with_port(start, let_go, tries \\ 10) do
    {owner, known} = start.()

    if ports_to(owner) != [] do
      known
    else
      if tries == 1, do: raise(ExUnit.AssertionError, message: "the port sends to no owner, of ten")
      let_go.(known)
      owner_with_port(start, let_go, tries - 1)
    end
  end
end
