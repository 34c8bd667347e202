# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.CgroupTest do
  # Programs in cgroups, on the kernel's own. Tagged :cgroup_core is what takes no controller, :cgroup_controllers what
  # takes cpu, cpuset, memory and pids. Not async: some of these take all of a machine's CPU.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog

  alias MuonTrap.{Daemon, Error}
  alias MuonTrap.Test.{Cgroups, OptionRows, OS, Programs}

  # Milliseconds within which what is killed at once is dead. To be asked before that has been started.
  defp at_once(), do: Cgroups.within(1_000) * OS.busyness()

  setup do
    Process.flag(:trap_exit, true)
    mark = OS.mark()
    base = Cgroups.new_base()

    on_exit(fn ->
      for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL")
      Cgroups.remove(base)
      # It was here before, where an ordinary user's tests run, and may be another test's.
      File.rmdir(Cgroups.directory(Cgroups.base()))
    end)

    %{mark: mark, env: OS.marked(mark), base: base}
  end

  # A daemon of a program that writes "ready" when it is, and its cgroup.
  defp start({program, args}, opts) do
    test = self()
    {:ok, daemon} = Daemon.start_link(program, args, [logger_fun: &send(test, {:line, &1})] ++ opts)
    assert_receive {:line, "ready"}, 60_000
    {daemon, Daemon.cgroup_path(daemon)}
  end

  defp keeper_and_relay(daemon) do
    keeper = Daemon.os_pid(daemon)
    [relay] = OS.children(keeper)
    {keeper, relay}
  end

  # Stopped before, so that none sees another's death. One that was about to leave may be gone by then.
  defp kill_together(pids) do
    for signal <- ["-STOP", "-KILL"],
        do: System.cmd("kill", [signal | Enum.map(pids, &"#{&1}")], stderr_to_stdout: true)
  end

  defp refused(opts, stage \\ :cgroup) do
    error = assert_raise Error, fn -> MuonTrap.cmd("true", [], opts) end
    assert error.stage == stage
    assert {:error, %Error{stage: ^stage}} = Daemon.start_link("true", [], opts)
    error
  end

  # Allocates so many megabytes, and touches them.
  defp hog(megabytes) do
    {"perl", ["-e", "open(my $zero, '/dev/zero'); sysread($zero, my $x, #{megabytes} << 20); print 'done'"]}
  end

  describe "a program with :cgroup_base" do
    @describetag :cgroup_core

    test "runs in a cgroup of its own below it, which is gone with it", %{base: base, env: env, mark: mark} do
      {daemon, path} = start(Programs.background_child(), cgroup_base: base, env: env)
      assert path =~ ~r"\A#{base}/[0-9a-f]{12}\z"
      assert length(OS.alive(mark)) == 2
      for pid <- OS.alive(mark), do: assert(Cgroups.of(pid) == path)
      assert Enum.sort(Cgroups.pids(path)) == Enum.sort(OS.alive(mark))

      GenServer.stop(daemon)
      assert OS.alive(mark) == []
      refute Cgroups.exists?(path)
    end

    test "is in it whoever starts it, also from a shell", %{base: base} do
      Cgroups.make!("#{base}/made")
      OptionRows.assert_seen(OptionRows.cgroups(base, "#{base}/made"))
    end

    test "is in it from its first instruction", %{base: base} do
      {text, 0} = MuonTrap.cmd("cat", ["/proc/self/cgroup"], cgroup_base: base)
      assert text =~ ~r"^0::/#{base}/[0-9a-f]{12}$"m
      assert Cgroups.children(base) == []
    end

    test "takes a base that exists, and leaves it", %{base: base} do
      Cgroups.make!(base)
      assert MuonTrap.cmd("echo", ["hello"], cgroup_base: base) == {"hello\n", 0}
      assert Cgroups.exists?(base)
      assert Cgroups.children(base) == []
    end

    test "takes deaf and daemonised descendants along", %{base: base, env: env, mark: mark} do
      for program <- [Programs.deaf(), Programs.daemonised(), Programs.tree(100)] do
        {daemon, path} = start(program, cgroup_base: base, env: env)
        GenServer.stop(daemon)
        assert OS.alive(mark) == []
        refute Cgroups.exists?(path)
      end
    end

    test "takes cgroups along that it has made in its own, and what it has moved there", %{
      base: base,
      env: env,
      mark: mark
    } do
      script = ~S"""
      own="$MOUNT$(sed -n 's/^0:://p' /proc/self/cgroup)"
      mkdir -p "$own/a/b" "$own/c"
      for place in a a/b c; do
        sleep 1000 &
        echo $! >"$own/$place/cgroup.procs" || exit
      done
      echo ready
      wait
      """

      {daemon, path} = start(Programs.sh(script), cgroup_base: base, env: [{"MOUNT", Cgroups.mount()} | env])
      for place <- ["a", "a/b", "c"], do: assert([_sleep] = Cgroups.pids("#{path}/#{place}"))
      GenServer.stop(daemon)
      assert OS.alive(mark) == []
      assert Cgroups.children(base) == []
    end

    # However long a program is given to end: what forks a thousand times when it is told to isn't about to.
    test "that forks as fast as it can is dead at once when it is stopped", %{base: base, env: env, mark: mark} do
      # It begins in earnest when it is told, for on a busy machine its five seconds could be over before.
      bomb = ~S[
        my $first = $$; my $told; $| = 1; $SIG{TERM} = sub { $told = 1 };
        fork for 1 .. 8;
        sleep 1000 if $$ != $first;
        print "ready\n";
        select(undef, undef, undef, 0.01) until $told;
        my $end = time + 5;
        while (time < $end) { fork }
        sleep 1000;
      ]

      limit = at_once()
      {daemon, path} = start(Programs.perl(bomb), cgroup_base: base, env: env, delay_to_sigkill: 60_000)
      OS.eventually(fn -> length(Cgroups.pids(path)) > 200 end)
      before = System.monotonic_time(:millisecond)
      GenServer.stop(daemon, :normal, 180_000)
      took = System.monotonic_time(:millisecond) - before
      assert OS.alive(mark) == []
      refute Cgroups.exists?(path)
      assert took <= limit
    end

    test "two hundred times at once, stopped at once, leaves no cgroup", %{base: base, env: env, mark: mark} do
      daemons =
        1..200
        |> Enum.map(fn n ->
          Task.async(fn ->
            Process.flag(:trap_exit, true)
            {:ok, daemon} = Daemon.start_link("sleep", ["#{1_000 + n}"], cgroup_base: base, env: env)
            Process.unlink(daemon)
            {daemon, Daemon.cgroup_path(daemon)}
          end)
        end)
        |> Task.await_many(Cgroups.within(60_000))

      paths = Enum.map(daemons, &elem(&1, 1))
      assert length(Enum.uniq(paths)) == 200
      assert Enum.sort(Cgroups.children(base)) == Enum.sort(Enum.map(paths, &Path.basename/1))

      daemons
      |> Enum.map(fn {daemon, _path} -> Task.async(fn -> GenServer.stop(daemon, :normal, :infinity) end) end)
      |> Task.await_many(Cgroups.within(60_000))

      assert Cgroups.children(base) == []
      assert OS.alive(mark) == []
    end

    test "leaves nothing when its time is up, its caller dies or its output can't be collected", context do
      %{base: base, env: env, mark: mark} = context
      {program, args} = Programs.deaf()
      opts = [cgroup_base: base, env: env, delay_to_sigkill: 100]
      assert Programs.cmd_until_ready(program, args, 500, opts) == {"ready\n", :timeout}
      assert Cgroups.children(base) == []

      caller = spawn(fn -> MuonTrap.cmd(program, args, opts) end)
      OS.eventually(fn -> Cgroups.children(base) != [] end)
      Process.exit(caller, :kill)
      OS.eventually(fn -> Cgroups.children(base) == [] and OS.alive(mark) == [] end)

      broken = %MuonTrap.Test.Sink{with: fn _data -> raise "no more" end}
      assert_raise RuntimeError, fn -> MuonTrap.cmd(program, args, [into: broken] ++ opts) end
      assert Cgroups.children(base) == []
    end

    test "leaves nothing when it can't be started", %{base: base} do
      assert %{stage: :cd} = assert_raise(Error, fn -> MuonTrap.cmd("true", [], cgroup_base: base, cd: "/no/such") end)
      assert Cgroups.children(base) == []
    end
  end

  describe "a program with :cgroup_path" do
    @describetag :cgroup_core

    test "runs in a cgroup that was there, with its settings, and leaves it in place", %{base: base, env: env} do
      path = "#{base}/made"
      Cgroups.make!(path)
      Cgroups.write!(path, "cgroup.max.depth", "3")
      {daemon, ^path} = start(Programs.daemonised(), cgroup_path: path, env: env)
      assert Daemon.cgget(daemon, "cgroup.max.depth") == {:ok, "3"}
      GenServer.stop(daemon)
      assert Cgroups.pids(path) == []
      assert Cgroups.read!(path, "cgroup.max.depth") == "3"
    end

    # Some kernels kill what clone3(2) makes in another cgroup when the two have not been killed equally often.
    @tag :cgroup_kill
    test "may have been killed before, as may that of its caller", %{base: base} do
      path = "#{base}/killed"
      Cgroups.make!(path)
      Cgroups.write!(path, "cgroup.kill", "1")
      assert MuonTrap.cmd("echo", ["hello"], cgroup_path: path) == {"hello\n", 0}

      script = ~S[echo $$ >"$KILLED/cgroup.procs" && exec "$@"]
      helper = [MuonTrap.muontrap_path(), "--stdin", "null", "-g", "#{base}/new", "--", "echo", "hello"]

      assert MuonTrap.cmd("sh", ["-c", script, "sh" | helper], env: [{"KILLED", Cgroups.directory(path)}]) ==
               {"hello\n", 0}
    end

    test "makes one that wasn't there, and removes it", %{base: base, env: env} do
      {daemon, path} = start(Programs.sleeper(), cgroup_path: "#{base}/a/b", env: env)
      assert path == "#{base}/a/b"
      assert Cgroups.exists?(path)
      GenServer.stop(daemon)
      refute Cgroups.exists?("#{base}/a")
    end

    test "refuses one that holds processes, and leaves these alone", %{base: base} do
      path = "#{base}/populated"
      Cgroups.make!(path)
      port = Port.open({:spawn_executable, System.find_executable("sleep")}, args: ["1000"])
      {:os_pid, sleep} = Port.info(port, :os_pid)
      Cgroups.write!(path, "cgroup.procs", "#{sleep}")

      error = refused(cgroup_path: path)
      assert error.reason == :ebusy
      assert error.message =~ path
      assert OS.alive?(sleep)
      assert Cgroups.pids(path) == [sleep]
      OS.kill(sleep, "KILL")
    end

    test "refuses one that another daemon is in, which lives on", %{base: base, env: env} do
      {daemon, path} = start(Programs.sleeper(), cgroup_path: "#{base}/one", env: env)
      assert refused(cgroup_path: path).message =~ path
      assert [_program] = Cgroups.pids(path)
      GenServer.stop(daemon)
    end

    test "is restarted in it by its supervisor", %{base: base, env: env, mark: mark} do
      child = {Daemon, ["sleep", ["1000"], [cgroup_path: "#{base}/one", env: env]]}
      {:ok, supervisor} = Supervisor.start_link([child], strategy: :one_for_one, max_restarts: 100)

      for n <- 1..10 do
        [{_id, daemon, _type, _modules}] = Supervisor.which_children(supervisor)
        [program] = Cgroups.pids("#{base}/one")
        if rem(n, 2) == 0, do: OS.kill(program, "KILL"), else: Process.exit(daemon, :kill)

        OS.eventually(fn ->
          match?([{_, pid, _, _}] when is_pid(pid) and pid != daemon, Supervisor.which_children(supervisor))
        end)
      end

      Supervisor.stop(supervisor)
      assert OS.alive(mark) == []
      refute Cgroups.exists?("#{base}/one")
    end
  end

  describe "what can't be had" do
    @describetag :cgroup_core

    test "is told with the file, the value and what to do, and leaves nothing", %{base: base} do
      for {name, value, reason} <- [
            {"cgroup.max.depth", "deep", :einval},
            {"cgroup.max.descendants", -5, :erange}
          ] do
        error = refused(cgroup_base: base, cgroup_sets: [{"freezer", name, value}])
        assert error.reason == reason
        assert error.message =~ Cgroups.directory(base)
        assert error.message =~ name
        assert error.message =~ "#{value}"
        assert Cgroups.children(base) == []
      end
    end

    test "is told when it is a file that containment takes, or a name that has no counterpart", %{base: base} do
      for name <- ["cgroup.procs", "cgroup.freeze", "cgroup.kill", "memory.swappiness"] do
        assert refused([cgroup_base: base, cgroup_sets: [{"freezer", name, 1}]], :options).message =~ name
        assert Cgroups.children(base) == []
      end
    end

    test "is told when it is a controller", %{base: base} do
      available = Cgroups.controllers(Cgroups.mount())
      missing = Enum.find(["memory", "cpu", "rdma", "no_such_controller"], &(&1 not in available))
      error = refused(cgroup_base: base, cgroup_controllers: [missing])
      assert error.message =~ missing
      assert Cgroups.children(base) == []
    end
  end

  describe "a daemon's functions" do
    @describetag :cgroup_core

    test "read and write the cgroup's files", %{base: base, env: env, mark: mark} do
      {daemon, path} = start(Programs.sleeper(), cgroup_base: base, env: env)
      [program] = OS.alive(mark)

      assert Daemon.cgget(daemon, "cgroup.procs") == {:ok, "#{program}"}
      assert Daemon.cgget(daemon, "cgroup.max.depth") == {:ok, "max"}
      assert Daemon.cgset(daemon, "cgroup.max.depth", "3") == :ok
      assert Cgroups.read!(path, "cgroup.max.depth") == "3"
      assert Daemon.cgget(daemon, "cgroup.max.depth") == {:ok, "3"}

      assert Daemon.cgset(daemon, "cgroup.max.depth", "deep") == {:error, :einval}
      assert Daemon.cgset(daemon, "cgroup.max.depth", "-5") == {:error, :erange}
      assert Daemon.cgset(daemon, "no.such.file", "1") == {:error, :enoent}
      assert Daemon.cgget(daemon, "no.such.file") == {:error, :enoent}
      GenServer.stop(daemon)
    end

    test "don't leave the cgroup's directory", %{base: base, env: env} do
      {daemon, _path} = start(Programs.sleeper(), cgroup_base: base, env: env)

      for name <- ["../cgroup.procs", "..", ".", "", "/etc/passwd", "a/b", "cgroup.procs\0", "cgroup.procs\n"] do
        assert Daemon.cgget(daemon, name) == {:error, :einval}
        assert Daemon.cgset(daemon, name, "1") == {:error, :einval}
      end

      GenServer.stop(daemon)
    end

    test "tell that there is no cgroup", %{env: env} do
      {daemon, nil} = start(Programs.sleeper(), env: env)
      assert Daemon.cgget(daemon, "cgroup.procs") == {:error, :no_cgroup}
      assert Daemon.cgset(daemon, "cgroup.freeze", "1") == {:error, :no_cgroup}
      assert Daemon.cgroup_config(daemon) == %{}
      assert Daemon.statistics(daemon).cgroup == %{}
      GenServer.stop(daemon)
    end

    test "look for the mount once each time", %{base: base, env: env} do
      {daemon, _path} = start(Programs.sleeper(), cgroup_base: base, env: env)
      :erlang.trace_pattern({MuonTrap.Cgroup.Mount, :find, 0}, true, [:local])
      :erlang.trace(daemon, true, [:call])
      Daemon.statistics(daemon)
      Daemon.cgroup_config(daemon)
      Daemon.cgget(daemon, "cgroup.procs")
      :erlang.trace(daemon, false, [:call])
      delivered = :erlang.trace_delivered(daemon)
      assert_receive {:trace_delivered, ^daemon, ^delivered}, 30_000
      for _ <- 1..3, do: assert_received({:trace, ^daemon, :call, {MuonTrap.Cgroup.Mount, :find, []}})
      refute_received {:trace, ^daemon, :call, _function}
      GenServer.stop(daemon)
    end

    test "freeze the program", %{base: base, env: env, mark: mark} do
      {daemon, path} = start(Programs.sleeper(), cgroup_base: base, env: env)
      assert Daemon.cgset(daemon, "cgroup.freeze", "1") == :ok
      OS.eventually(fn -> Cgroups.read!(path, "cgroup.events") =~ "frozen 1" end)
      # A frozen program, too, is stopped.
      GenServer.stop(daemon)
      assert OS.alive(mark) == []
      refute Cgroups.exists?(path)
    end

    @tag :cgroup_kill
    test "kill the program", %{base: base, env: env} do
      {daemon, _path} = start(Programs.sleeper(), cgroup_base: base, env: env, exit_status_to_reason: &{:status, &1})
      assert Daemon.cgset(daemon, "cgroup.kill", "1") == :ok
      assert_receive {:EXIT, ^daemon, {:status, 137}}, 60_000
    end

    test "count what the cgroup has used", %{base: base, env: env} do
      program = Programs.perl(~S[$| = 1; 1 while times() < 0.2; print "ready\n"; sleep 1000])
      {daemon, path} = start(program, cgroup_base: base, env: env)
      statistics = Daemon.statistics(daemon)
      assert statistics.output_byte_count == 6
      assert statistics.cgroup["cpu.stat"]["usage_usec"] >= 190_000
      assert %{"nr_descendants" => 0, "nr_dying_descendants" => dying} = statistics.cgroup["cgroup.stat"]
      assert is_integer(dying)

      for file <- ["cpu.pressure", "memory.pressure", "io.pressure"],
          File.exists?(Path.join(Cgroups.directory(path), file)) do
        assert %{"some" => %{"avg10" => average, "avg60" => _, "avg300" => _, "total" => total}} =
                 statistics.cgroup[file]

        assert is_float(average)
        assert is_integer(total)
      end

      GenServer.stop(daemon)
    end
  end

  describe "kill -9" do
    @describetag :cgroup_core

    setup %{base: base, env: env} do
      {_neighbour, path} = start(Programs.sleeper(), cgroup_base: base)
      {daemon, dead} = start(Programs.daemonised(), cgroup_base: base, env: env)
      %{neighbour: path, daemon: daemon, path: dead}
    end

    defp assert_only_neighbour(%{base: base, neighbour: neighbour, mark: mark}) do
      assert OS.alive(mark) == []
      assert Cgroups.children(base) == [Path.basename(neighbour)]
      assert [_program] = Cgroups.pids(neighbour)
    end

    test "of the keeper leaves nothing", %{daemon: daemon} = context do
      {keeper, _relay} = keeper_and_relay(daemon)
      OS.kill(keeper, "KILL")
      assert_receive {:EXIT, ^daemon, :error_exit_status}, 60_000
      assert_only_neighbour(context)
    end

    test "of the relay leaves nothing", %{daemon: daemon} = context do
      {_keeper, relay} = keeper_and_relay(daemon)
      OS.kill(relay, "KILL")
      assert_receive {:EXIT, ^daemon, %Error{reason: :vanished}}, 60_000
      assert_only_neighbour(context)
    end

    test "of both leaves nothing by the time that the daemon ends", %{daemon: daemon} = context do
      {keeper, relay} = keeper_and_relay(daemon)
      kill_together([keeper, relay])
      assert_receive {:EXIT, ^daemon, %Error{reason: :vanished}}, 60_000
      assert_only_neighbour(context)
    end

    test "of both and the daemon leaves nothing by the time that the next one starts", context do
      %{daemon: daemon, base: base, env: env} = context
      {keeper, relay} = keeper_and_relay(daemon)
      :sys.suspend(daemon)
      kill_together([keeper, relay])
      Process.exit(daemon, :kill)
      assert_receive {:EXIT, ^daemon, :killed}, 60_000
      {next, path} = start(Programs.daemonised(), cgroup_base: base, env: env)
      assert length(Cgroups.children(base)) == 2
      for pid <- OS.alive(context.mark), do: assert(Cgroups.of(pid) == path)
      GenServer.stop(next)
      assert_only_neighbour(context)
    end

    test "of both leaves nothing of what cmd/3 ran by the time that it raises", %{base: base, env: env} = context do
      {program, args} = Programs.daemonised()

      task =
        Task.async(fn -> assert_raise Error, fn -> MuonTrap.cmd(program, args, cgroup_base: base, env: env) end end)

      OS.eventually(fn -> length(OS.alive(context.mark)) == 4 end)
      own = Enum.filter(OS.helpers(context.mark), &(&1 not in Tuple.to_list(keeper_and_relay(context.daemon))))
      kill_together(own)
      assert %{reason: :vanished} = Task.await(task, 60_000)
      assert length(Cgroups.children(base)) == 2
      GenServer.stop(context.daemon)
      assert_only_neighbour(context)
    end

    test "of both in a cgroup that was there before empties it and leaves it", %{base: base, env: env} = context do
      GenServer.stop(context.daemon)
      path = "#{base}/made"
      Cgroups.make!(path)
      {daemon, ^path} = start(Programs.daemonised(), cgroup_path: path, env: env)
      {keeper, relay} = keeper_and_relay(daemon)
      kill_together([keeper, relay])
      assert_receive {:EXIT, ^daemon, %Error{reason: :vanished}}, 60_000
      assert Cgroups.pids(path) == []
      assert OS.alive(context.mark) == []
    end

    test "of both and the whole VM leaves nothing once another program is started below the same base", context do
      %{base: base, env: env, mark: mark} = context
      GenServer.stop(context.daemon)
      {program, args} = Programs.daemonised()

      code = """
      Application.ensure_all_started(:muontrap)
      MuonTrap.cmd(#{inspect(program)}, #{inspect(args)}, cgroup_base: #{inspect(base)}, into: IO.stream(:stdio, :line))
      """

      port =
        Port.open({:spawn_executable, System.find_executable("elixir")}, [
          :binary,
          args: ["-pa", Application.app_dir(:muontrap, "ebin"), "-e", code],
          env: for({name, value} <- env, do: {String.to_charlist(name), String.to_charlist(value)})
        ])

      assert_receive {^port, {:data, "ready\n"}}, 120_000
      {:os_pid, vm} = Port.info(port, :os_pid)
      [left] = Cgroups.children(base) -- [Path.basename(context.neighbour)]
      kill_together([vm | OS.helpers(mark)])
      OS.eventually(fn -> OS.helpers(mark) == [] end)
      # The daemonised one, whom nobody but its cgroup holds any more.
      assert [_survivor | _] = Cgroups.pids("#{base}/#{left}")

      assert MuonTrap.cmd("true", [], cgroup_base: base) == {"", 0}
      OS.eventually(fn -> OS.alive(mark) == [] end)
      assert_only_neighbour(context)
    end
  end

  describe "cgroup_base: :auto" do
    @describetag :cgroup_core

    # What a VM within a cgroup of its own prints. `before` is a command that ends in becoming another one.
    defp in_delegated_vm(code, opts, before \\ []) do
      code = "Application.ensure_all_started(:muontrap);" <> code
      elixir = ["elixir", "-pa", Application.app_dir(:muontrap, "ebin"), "-e", code]
      [program | args] = before ++ elixir
      {text, 0} = MuonTrap.cmd(program, args, [stderr_to_stdout: true] ++ opts)
      text
    end

    test "moves the VM to a leaf of its cgroup, once, and runs programs beside it", %{base: base} do
      text =
        in_delegated_vm(
          ~S"""
          1..20
          |> Enum.map(fn _ -> Task.async(fn -> MuonTrap.cmd("cat", ["/proc/self/cgroup"], cgroup_base: :auto) end) end)
          |> Task.await_many(600_000)
          |> Enum.each(fn {text, 0} -> IO.puts("program " <> hd(Regex.run(~r/^0::.*/m, text))) end)

          {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["1000"], cgroup_base: :auto)
          IO.puts("daemon " <> MuonTrap.Daemon.cgroup_path(daemon))
          GenServer.stop(daemon)
          IO.puts("vm " <> hd(Regex.run(~r/^0::.*/m, File.read!("/proc/self/cgroup"))))
          # What the VM starts its programs by.
          [child] = String.split(File.read!("/proc/self/task/" <> System.pid() <> "/children"))
          IO.puts("starter " <> String.trim(File.read!("/proc/" <> child <> "/comm")))
          IO.puts("starter's " <> hd(Regex.run(~r/^0::.*/m, File.read!("/proc/" <> child <> "/cgroup"))))
          """,
          cgroup_base: base
        )

      assert [own] = Regex.run(~r"^vm 0::/(#{base}/[0-9a-f]{12})/muontrap\.vm$"m, text, capture: :all_but_first)
      assert text =~ "starter erl_child_setup\nstarter's 0::/#{own}/muontrap.vm\n"
      programs = Regex.scan(~r"^program 0::/(.*)$"m, text, capture: :all_but_first)
      assert length(programs) == 20
      for [path] <- programs, do: assert(path =~ ~r"\A#{own}/muontrap/[0-9a-f]{12}\z")
      assert text =~ ~r"^daemon #{own}/muontrap/[0-9a-f]{12}$"m
      assert Cgroups.children(base) == []
    end
  end

  describe "MuonTrap.check/1 with cgroup_base: :auto, and without any option," do
    @describetag :cgroup_core

    test "says where programs would run, and moves nothing", %{base: base} do
      text =
        in_delegated_vm(
          ~S"""
          for opts <- [[], [cgroup_base: :auto]] do
            {:ok, points} = MuonTrap.check(opts)
            for point <- points, do: IO.puts("point " <> point.text)
          end
          IO.puts("vm " <> hd(Regex.run(~r/^0::.*/m, File.read!("/proc/self/cgroup"))))
          """,
          cgroup_base: base
        )

      assert [own] = Regex.run(~r"^vm 0::/(#{base}/[0-9a-f]{12})$"m, text, capture: :all_but_first)
      started = ~r"^point a process was started in #{Cgroups.directory(own)}/muontrap/check$"m
      assert [_one, _other] = Regex.scan(started, text)
    end
  end

  describe "cgroup_base: :auto where the VM's cgroup is mounted as the root, as in a container," do
    @describetag :cgroup_core
    @describetag :root

    test "moves what is there to a leaf of that", %{base: base} do
      script = ~S[umount -l "$MOUNT" && mount -t cgroup2 cgroup2 "$MOUNT" && exec "$@"]
      code = ~S|IO.inspect(MuonTrap.cmd("grep", ["^0:", "/proc/self/cgroup"], cgroup_base: :auto))|
      container = ["unshare", "--cgroup", "--mount", "sh", "-c", script, "sh"]
      text = in_delegated_vm(code, [cgroup_base: base, env: [{"MOUNT", Cgroups.mount()}]], container)
      assert text =~ ~r"{\"0::/muontrap/[0-9a-f]{12}\\n\", 0}"
      assert Cgroups.children(base) == []
    end
  end

  describe "MuonTrap.check/1" do
    @describetag :cgroup_core

    test "says that programs can be run below a base, and makes nothing", %{base: base} do
      assert {:ok, points} = MuonTrap.check(cgroup_base: base)
      assert points != []
      for point <- points, do: assert(%{ok?: true, remedy: []} = point)
      refute Cgroups.exists?(base)
    end

    test "says which controller is missing", %{base: base} do
      assert {:error, points} = MuonTrap.check(cgroup_base: base, cgroup_controllers: ["no_such_controller"])
      assert Enum.any?(points, &(not &1.ok? and &1.text =~ "no_such_controller"))
      refute Cgroups.exists?(base)
    end
  end

  describe "limits" do
    @describetag :cgroup_controllers

    test "of memory end a program that takes twice as much, and it is told that the OOM killer did", %{base: base} do
      {program, args} = hog(128)
      opts = [cgroup_base: base, cgroup: %{memory_max: 64 * 1_048_576, memory_swap_max: 0}]
      assert MuonTrap.cmd(program, args, opts) == {"", 137}

      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link(program, args, opts)
          assert_receive {:EXIT, ^daemon, :oom_killed}, 120_000
        end)

      assert log =~ "OOM killer"
      assert log =~ base

      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link(program, args, [exit_status_to_reason: &{:status, &1}] ++ opts)
          assert_receive {:EXIT, ^daemon, {:status, 137}}, 120_000
        end)

      assert log =~ "OOM killer"
    end

    test "of memory that a cgroup above has are told when they end a program", %{base: base} do
      {program, args} = hog(128)
      limited = "#{base}/limited"
      Cgroups.make!(limited)
      # Which enables the controller on the way.
      assert {"", 0} = MuonTrap.cmd("true", [], cgroup_base: limited, cgroup_controllers: ["memory"])
      Cgroups.write!(limited, "memory.max", "#{64 * 1_048_576}")
      Cgroups.write!(limited, "memory.swap.max", "0")

      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link(program, args, cgroup_base: limited, cgroup_controllers: ["memory"])
          assert_receive {:EXIT, ^daemon, :oom_killed}, 120_000
        end)

      assert log =~ "struck in the cgroup #{limited}/"
      assert log =~ "or a cgroup above (memory_max or MemoryMax= of /#{limited}: 67108864 bytes)"
    end

    test "of memory don't end one that takes half as much", %{base: base} do
      {program, args} = hog(32)
      assert MuonTrap.cmd(program, args, cgroup_base: base, cgroup: %{memory_max: 64 * 1_048_576}) == {"done", 0}
    end

    test "of memory take the siblings of the one that is killed, with :memory_oom_group", %{base: base} do
      {_perl, [_e, code]} = hog(128)
      args = ["-c", ~s(perl -e "$1" 2>&1 >/dev/null; echo survived), "sh", code]
      limit = %{memory_max: 64 * 1_048_576, memory_swap_max: 0}
      assert {text, 0} = MuonTrap.cmd("sh", args, cgroup_base: base, cgroup: limit)
      assert text =~ "survived"

      limit = Map.put(limit, :memory_oom_group, true)
      assert MuonTrap.cmd("sh", args, cgroup_base: base, cgroup: limit) == {"", 137}
    end

    test "of memory leave a daemon normal whose program copes with a child's end, but tell of it", %{base: base} do
      {_perl, [_e, code]} = hog(128)
      args = ["-c", ~s(perl -e "$1"; exit 0), "sh", code]

      log =
        capture_log(fn ->
          opts = [cgroup_base: base, cgroup: %{memory_max: 64 * 1_048_576, memory_swap_max: 0}]
          {:ok, daemon} = Daemon.start_link("sh", args, opts)
          assert_receive {:EXIT, ^daemon, :normal}, 120_000
        end)

      assert log =~ "OOM killer"
    end

    test "of CPU time hold a program that never rests to its share", %{base: base, env: env} do
      program = Programs.perl(~S[$| = 1; print "ready\n"; 1 while 1])
      {daemon, _path} = start(program, cgroup_base: base, env: env, cgroup: %{cpu_max: {50_000, 100_000}})

      # A program is throttled in a period of 100 ms when it has had its 50 ms, which a busy machine gives it more seldom.
      {%{"nr_throttled" => throttled_before, "usage_usec" => cpu_before}, before} = cpu_stat(daemon)
      OS.eventually(fn -> elem(cpu_stat(daemon), 0)["nr_throttled"] >= throttled_before + 30 end, 120_000)
      {%{"nr_throttled" => throttled_after, "usage_usec" => cpu_after}, now} = cpu_stat(daemon)
      used = cpu_after - cpu_before
      assert used >= 0.8 * 50_000 * (throttled_after - throttled_before)
      assert used <= 0.6 * (now - before)
      GenServer.stop(daemon)
    end

    # With the time, in microseconds like what the kernel counts.
    defp cpu_stat(daemon),
      do: {Daemon.statistics(daemon).cgroup["cpu.stat"], System.monotonic_time(:microsecond)}

    test "of processes hold a fork bomb, which is dead at once when it is stopped", %{base: base, env: env, mark: mark} do
      bomb = Programs.perl(~S[$SIG{TERM} = 'IGNORE'; $| = 1; print "ready\n"; fork while 1])
      opts = [cgroup_base: base, env: env, cgroup: %{pids_max: 50}, delay_to_sigkill: 60_000]
      limit = at_once()
      {daemon, path} = start(bomb, opts)
      OS.eventually(fn -> (Daemon.statistics(daemon).cgroup["pids.events"] || %{})["max"] > 0 end, 120_000)
      assert Daemon.statistics(daemon).cgroup["pids.current"] <= 50
      assert length(Cgroups.pids(path)) <= 50

      before = System.monotonic_time(:millisecond)
      GenServer.stop(daemon, :normal, :infinity)
      assert System.monotonic_time(:millisecond) - before <= limit
      assert OS.alive(mark) == []
      refute Cgroups.exists?(path)
    end

    test "are seen by the program, whoever starts it, also from a shell", %{base: base} do
      OptionRows.assert_seen(OptionRows.settings(base))
    end

    test "of CPUs are seen by the program", %{base: base} do
      assert MuonTrap.cmd("nproc", [], cgroup_base: base, cgroup: %{cpuset_cpus: "0"}) == {"1\n", 0}
    end

    test "that the kernel refuses are told with file and value, and leave nothing", %{base: base} do
      for {name, value, reason} <- [
            {"cpu.weight", 0, :erange},
            {"cpu.weight", "heavy", :einval},
            {"cpu.max", "5 5", :einval},
            {"memory.max", "much", :einval},
            {"pids.max", -1, :einval},
            {"pids.no_such_file", 1, :enoent}
          ] do
        [controller, _file] = String.split(name, ".")
        error = refused(cgroup_base: base, cgroup_sets: [{controller, name, value}])
        assert error.reason == reason
        assert error.message =~ name
        assert error.message =~ "#{value}"
        assert Cgroups.children(base) == []
      end
    end
  end

  describe "settings" do
    @describetag :cgroup_controllers

    @settings %{
      cpu_weight: 250,
      cpu_max: {50_000, 200_000},
      cpu_idle: false,
      memory_min: 4_096,
      memory_low: 8_192,
      memory_high: 536_870_912,
      memory_max: 1_073_741_824,
      memory_swap_max: 0,
      memory_oom_group: true,
      pids_max: 500,
      cpuset_cpus: "0-1",
      cpuset_mems: "0"
    }

    @files %{
      "cpu.weight" => "250",
      "cpu.max" => "50000 200000",
      "memory.high" => "536870912",
      "memory.max" => "1073741824",
      "memory.oom.group" => "1",
      "pids.max" => "500",
      "cpuset.cpus" => "0-1"
    }

    test "are what libcgroup sees too, and start an equal daemon", %{base: base, env: env} do
      {daemon, path} = start(Programs.sleeper(), cgroup_base: base, env: env, cgroup: @settings)
      assert Cgroups.listed?(path)

      for {file, text} <- @files do
        assert Cgroups.cgget!(path, file) == text
        assert Daemon.cgget(daemon, file) == {:ok, text}
      end

      config = Daemon.cgroup_config(daemon)
      assert Map.take(config, Map.keys(@settings)) == @settings

      {equal, other} = start(Programs.sleeper(), cgroup_base: base, env: env, cgroup: config)
      assert other != path
      assert Daemon.cgroup_config(equal) == config

      assert Daemon.cgset(equal, "memory.max", "max") == :ok
      assert Daemon.cgset(equal, "cpu.max", "max") == :ok
      assert Daemon.cgroup_config(equal) == %{config | memory_max: :max, cpu_max: :max}
      GenServer.stop(daemon)
      GenServer.stop(equal)
      refute Cgroups.listed?(path)
    end

    test "of an idle cgroup start an equal daemon", %{base: base, env: env} do
      {daemon, _path} = start(Programs.sleeper(), cgroup_base: base, env: env, cgroup: %{cpu_idle: true})
      assert %{cpu_idle: true} = config = Daemon.cgroup_config(daemon)
      {equal, _path} = start(Programs.sleeper(), cgroup_base: base, env: env, cgroup: config)
      assert Daemon.cgroup_config(equal) == config
      GenServer.stop(daemon)
      GenServer.stop(equal)
    end

    test "of each controller are told, with what it counts", %{base: base, env: env} do
      opts = [cgroup_base: base, env: env, cgroup_controllers: ["cpu", "memory", "pids"]]
      {daemon, _path} = start(Programs.sleeper(), opts)

      assert %{cpu_weight: 100, cpu_max: :max, memory_max: :max, memory_min: 0, pids_max: :max} =
               Daemon.cgroup_config(daemon)

      statistics = Daemon.statistics(daemon).cgroup
      for file <- ["memory.current", "memory.swap.current", "pids.current"], do: assert(is_integer(statistics[file]))
      assert statistics["memory.current"] > 0
      assert statistics["pids.current"] == 1
      assert %{"low" => 0, "high" => 0, "max" => 0, "oom" => 0, "oom_kill" => 0} = statistics["memory.events"]
      assert %{"max" => 0} = statistics["pids.events"]

      assert %{"usage_usec" => _, "nr_periods" => 0, "nr_throttled" => 0, "throttled_usec" => 0} =
               statistics["cpu.stat"]

      GenServer.stop(daemon)
    end

    test "with names of the first version are those of the second", %{base: base, env: env} do
      sets = [
        {"memory", "memory.limit_in_bytes", "268435456"},
        {"cpu", "cpu.cfs_period_us", "100000"},
        {"cpu", "cpu.cfs_quota_us", 50000}
      ]

      {daemon, path} = start(Programs.sleeper(), cgroup_base: base, env: env, cgroup_sets: sets)
      assert Cgroups.cgget!(path, "memory.max") == "268435456"
      assert Cgroups.cgget!(path, "cpu.max") == "50000 100000"
      assert %{memory_max: 268_435_456, cpu_max: {50_000, 100_000}} = Daemon.cgroup_config(daemon)
      GenServer.stop(daemon)
    end

    test "of a cgroup that cgcreate and cgset have made are used, and left", %{base: base, env: env} do
      path = "#{base}/made"
      Cgroups.make!(base)
      {_output, 0} = System.cmd("cgcreate", ["-g", "memory,pids:#{path}"], stderr_to_stdout: true)

      {_output, 0} =
        System.cmd("cgset", ["-r", "memory.max=268435456", "-r", "pids.max=77", path], stderr_to_stdout: true)

      {daemon, ^path} = start(Programs.sleeper(), cgroup_path: path, env: env)
      assert %{memory_max: 268_435_456, pids_max: 77} = Daemon.cgroup_config(daemon)
      GenServer.stop(daemon)
      assert Cgroups.cgget!(path, "memory.max") == "268435456"
      assert Cgroups.cgget!(path, "pids.max") == "77"
    end

    test "can be had in what cgroup_base: :auto finds", %{base: base} do
      text =
        in_delegated_vm(
          ~S"""
          opts = [cgroup_base: :auto, cgroup: %{pids_max: 33}]
          {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["1000"], opts)
          IO.puts("limit #{inspect(MuonTrap.Daemon.cgget(daemon, "pids.max"))}")
          GenServer.stop(daemon)
          """,
          cgroup_base: base,
          cgroup_controllers: ["pids"]
        )

      assert text =~ ~s(limit {:ok, "33"})
    end
  end

  describe "the examples of earlier versions' documents" do
    @describetag :cgroup_controllers
    @describetag :root
    @describetag :tmp_dir

    # Programs of the names that are in the examples.
    setup %{tmp_dir: dir} do
      own = ~S[$MOUNT$(sed -n 's/^0:://p' /proc/self/cgroup)]

      for {name, script} <- [
            {"spawning_program", "sleep 1000 & echo hello"},
            {"memory_hog", "exec perl -e 'my $x = q(x) x (512 << 20); print q(done)'"},
            {"cpu_hog", ~s(cat "#{own}/cpu.max")},
            {"long_running_command", "exec sleep 1000"}
          ] do
        File.write!(Path.join(dir, name), "#!/bin/sh\n#{script}\n")
        File.chmod!(Path.join(dir, name), 0o755)
      end

      path = System.fetch_env!("PATH")
      System.put_env("PATH", Path.expand(dir) <> ":" <> path)
      System.put_env("MOUNT", Cgroups.mount())

      on_exit(fn ->
        System.put_env("PATH", path)
        System.delete_env("MOUNT")
        Cgroups.remove("mycgroup")
      end)

      {user, 0} = System.cmd("whoami", [])

      {_output, 0} =
        System.cmd("cgcreate", ["-a", String.trim(user), "-g", "memory,cpu:mycgroup"], stderr_to_stdout: true)

      :ok
    end

    test "containment" do
      assert MuonTrap.cmd("spawning_program", [], cgroup_controllers: ["cpu"], cgroup_base: "mycgroup") ==
               {"hello\n", 0}

      assert Cgroups.children("mycgroup") == []
    end

    test "the memory that a program uses" do
      assert {_output, 137} =
               MuonTrap.cmd("memory_hog", [],
                 cgroup_controllers: ["memory"],
                 cgroup_base: "mycgroup",
                 cgroup_sets: [{"memory", "memory.limit_in_bytes", "268435456"}]
               )
    end

    test "the CPU time that a program uses" do
      assert {"50000 100000\n", 0} =
               MuonTrap.cmd("cpu_hog", [],
                 cgroup_controllers: ["cpu"],
                 cgroup_base: "mycgroup",
                 cgroup_sets: [{"cpu", "cpu.cfs_period_us", "100000"}, {"cpu", "cpu.cfs_quota_us", 50000}]
               )
    end

    test "a daemon" do
      children = [
        {MuonTrap.Daemon,
         [
           "long_running_command",
           ["arg1", "arg2"],
           [cgroup_controllers: ["memory"], cgroup_base: "mycgroup"]
         ]}
      ]

      {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
      [{_id, daemon, _type, _modules}] = Supervisor.which_children(supervisor)
      assert "mycgroup/" <> name = Daemon.cgroup_path(daemon)
      assert Cgroups.children("mycgroup") == [name]
      assert Daemon.cgget(daemon, "memory.max") == {:ok, "max"}
      Supervisor.stop(supervisor)
      assert Cgroups.children("mycgroup") == []
    end
  end
end
