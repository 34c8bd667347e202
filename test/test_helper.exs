# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

# What this machine can't show is left out aloud: by whom the tests run, and which helper they run.
left_out =
  [
    {:root, MuonTrap.Test.OS.root?(), "needs root"},
    {:new_privileges, MuonTrap.Test.OS.new_privileges?(),
     "needs that a program can get privileges, which no_new_privs (prctl(2)) keeps from it"},
    {:sysfs, File.exists?("/sys/kernel"), "needs /sys"},
    {:linux, MuonTrap.Test.OS.linux_helper?(), "needs the helper built for Linux, not PORTABLE=1"},
    {:musl, MuonTrap.Test.OS.static_helper?(), "needs the static helper (musl-gcc)"},
    {:cgroup_core, MuonTrap.Test.Cgroups.core?(),
     "needs cgroup2 mounted, and #{MuonTrap.Test.Cgroups.base()} writable"},
    {:cgroup_kill, not MuonTrap.Test.Cgroups.core?() or MuonTrap.Test.Cgroups.kill?(),
     "needs cgroup.kill, which Linux has from 5.14 on"},
    {:cgroup_controllers, MuonTrap.Test.Cgroups.controllers?(["cpu", "cpuset", "memory", "pids"]),
     "needs cgroup2 with the controllers cpu, cpuset, memory and pids in #{MuonTrap.Test.Cgroups.base()}"}
  ]
  |> Enum.reject(fn {_tag, can, _why} -> can end)

for {tag, _can, why} <- left_out, do: IO.puts("LEFT OUT: tests tagged #{inspect(tag)}: #{why}")

# Where they are run for the sake of cgroups (test/vm/cgroups), there is no leaving that out.
if System.get_env("CGROUPS_NEEDED") && List.keymember?(left_out, :cgroup_controllers, 0),
  do: raise("cgroups are needed, and can't be had: see above")

# The servers' suite takes their packages, and has a target of its own: make test-servers.
asked = if System.get_env("MUONTRAP_TEST_SERVERS"), do: [], else: [:servers]

# The tests leave no process that works on, and no more helpers than may wait for the next program.
ExUnit.after_suite(fn _result ->
  case MuonTrap.Test.OS.remaining(&MuonTrap.Test.Busy.processes/0, 30_000) do
    [] ->
      :ok

    working ->
      raise "these processes still work when the tests have ended: #{inspect(working, pretty: true, limit: :infinity)}"
  end

  MuonTrap.Test.OS.eventually(fn ->
    idle = MuonTrap.HelperPort.Pool.idle()
    idle <= MuonTrap.HelperPort.Pool.most() and length(MuonTrap.Test.OS.helpers_of_vm()) == 2 * idle
  end)
end)

# More of them at a time than ExUnit would have, for most wait most of their time for programs; but not where the
# processor is emulated.
ExUnit.start(
  max_cases: if(MuonTrap.Test.OS.patience() == 1, do: 4, else: 2) * System.schedulers_online(),
  exclude: asked ++ Enum.map(left_out, fn {tag, _can, _why} -> tag end),
  timeout: 180_000 * MuonTrap.Test.OS.patience(),
  capture_log: true
)
