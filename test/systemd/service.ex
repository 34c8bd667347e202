# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# `service BYTES SCRIPT` (a program that machine.bash makes): an application as a release has it, which keeps a shell
# running that script in a cgroup below the one that :auto finds. BYTES are the memory limit. What is logged, the
# program's output too, goes to standard output, and "up:" with the path of the cgroup when the program was started.

defmodule Service do
  use Application

  @impl Application
  def start(_type, []) do
    [bytes, script] = Enum.map(:init.get_plain_arguments(), &List.to_string/1)
    limits = %{memory_max: String.to_integer(bytes)}
    options = [cgroup_base: :auto, cgroup: limits, log_output: :info, name: :daemon]
    daemon = {MuonTrap.Daemon, ["sh", ["-c", script], options]}

    with {:ok, pid} <- Supervisor.start_link([daemon], strategy: :one_for_one) do
      IO.puts("up: " <> MuonTrap.Daemon.cgroup_path(:daemon))
      {:ok, pid}
    end
  end
end
