# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# A service as an application has it: `elixir service.exs BYTES SCRIPT` keeps a shell running in a cgroup of its own, below
# the one that :auto finds, with that memory limit. It is told when that has been started, and all is logged.

[bytes, script] = System.argv()

daemon =
  {MuonTrap.Daemon,
   [
     "sh",
     ["-c", script],
     [cgroup_base: :auto, cgroup: %{memory_max: String.to_integer(bytes)}, log_output: :info, name: :daemon]
   ]}

{:ok, _pid} = Application.ensure_all_started(:muontrap)
{:ok, _pid} = Supervisor.start_link([daemon], strategy: :one_for_one)
IO.puts("up: " <> MuonTrap.Daemon.cgroup_path(:daemon))
Process.sleep(:infinity)
