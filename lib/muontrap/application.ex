# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Application do
  @moduledoc false
  use Application

  @impl Application
  def start(_type, _args) do
    Supervisor.start_link([MuonTrap.Reaper.registry()],
      strategy: :one_for_one,
      name: MuonTrap.Supervisor
    )
  end
end
