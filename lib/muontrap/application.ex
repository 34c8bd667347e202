# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Application do
  @moduledoc false
  # Supervises the processes that own the ports to the helpers. Stopping the application stops them, and with each of them
  # its program, before the registry goes that they are found by.

  use Application

  @impl Application
  def start(_type, _args) do
    Supervisor.start_link(
      [MuonTrap.Predecessor.registry(), MuonTrap.HelperPort.Pool, MuonTrap.HelperPort.Server.supervisor()],
      strategy: :one_for_one,
      name: MuonTrap.Supervisor
    )
  end
end
