# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.PoolTest do
  # Helpers that wait ready. Not async: the pool is one for the whole VM.
  use ExUnit.Case, async: false

  alias MuonTrap.Daemon
  alias MuonTrap.HelperPort
  alias MuonTrap.HelperPort.Pool
  alias MuonTrap.Test.{OS, Programs}

  @moduletag :linux

  setup do
    on_exit(fn ->
      System.delete_env("MUONTRAP_TEST_POOL")
      for name <- [:idle_helpers, :idle_timeout], do: Application.delete_env(:muontrap, name)
    end)

    # None of those that other tests have left.
    configure(idle_helpers: 0)
    MuonTrap.cmd("true", [])
    configure(idle_helpers: 2, idle_timeout: 60_000)
    System.put_env("MUONTRAP_TEST_POOL", OS.mark())
    drop_idle()
    keeper()
    OS.eventually(fn -> Pool.idle() == 1 end)
    :ok
  end

  defp configure(options), do: for({name, value} <- options, do: Application.put_env(:muontrap, name, value))

  # The pids of the helper that runs a program which prints them, when it waits again.
  defp keeper(opts \\ []) do
    helper = keeper_and_relay(opts)
    await_idle()
    helper
  end

  # Whom an end is told knows nothing of the helper, which comes back in its own time.
  defp await_idle(), do: OS.eventually(fn -> Pool.idle() > 0 or Pool.most() == 0 end)

  defp keeper_and_relay(opts \\ []) do
    {output, 0} = MuonTrap.cmd("sh", ["-c", "echo $PPID; cut -d' ' -f4 /proc/$PPID/stat"], opts)
    [relay, keeper] = output |> String.split() |> Enum.map(&String.to_integer/1)
    {keeper, relay}
  end

  # The pool sees that the environment has changed.
  defp drop_idle() do
    was = System.get_env("MUONTRAP_TEST_POOL")
    System.put_env("MUONTRAP_TEST_POOL", "another")
    {nil, _generation} = Pool.take(:for_short)
    System.put_env("MUONTRAP_TEST_POOL", was)
    {nil, _generation} = Pool.take(:for_short)
  end

  defp restart() do
    ExUnit.CaptureLog.capture_log(fn ->
      :ok = Application.stop(:muontrap)
      OS.eventually(fn -> OS.helpers_of_vm() == [] end)
      :ok = Application.start(:muontrap)
    end)
  end

  defp ended?({keeper, relay}), do: not OS.alive?(keeper) and not OS.alive?(relay)

  describe "the pool" do
    test "hands out the helper that has run a program before" do
      helper = keeper()
      for _ <- 1..20, do: assert(keeper() == helper)
      assert Pool.idle() == 1
    end

    test "holds no more than are configured" do
      for most <- [3, 1, 0] do
        configure(idle_helpers: most)
        1..6 |> Enum.map(fn _ -> Task.async(fn -> MuonTrap.cmd("sleep", ["0.2"]) end) end) |> Task.await_many(60_000)
        # Those that are too many are closed when they come back.
        if most > 0, do: OS.eventually(fn -> length(OS.helpers_of_vm()) == 2 * most end)
        assert Pool.idle() <= max(most, 1)
      end
    end

    test "lets a helper go that nobody has wanted for a while" do
      restart()
      configure(idle_timeout: 100)
      # That it waits may be over before somebody looks.
      helper = keeper_and_relay()
      OS.eventually(fn -> ended?(helper) end)
      OS.eventually(fn -> Pool.idle() == 0 end)
    end

    test "doesn't hand out one of which a process was killed" do
      for which <- [0, 1], _ <- 1..10 do
        helper = keeper()
        killed = elem(helper, which)
        OS.kill(killed, "KILL")
        # As soon as it is dead, and so mostly before the VM has heard of it. Who is killed may go on for a while.
        false = Enum.find(Stream.repeatedly(fn -> OS.alive?(killed) end), &(not &1))
        assert MuonTrap.cmd("echo", ["hi"]) == {"hi\n", 0}
        OS.eventually(fn -> ended?(helper) end)
        assert keeper() != helper
      end
    end

    test "goes with the application, and its helpers with it" do
      helper = keeper()
      restart()
      OS.eventually(fn -> ended?(helper) end)
      assert MuonTrap.cmd("echo", ["hi"]) == {"hi\n", 0}
    end

    @tag :tmp_dir
    test "is configured by numbers, and goes on without", %{tmp_dir: dir} do
      pool = Process.whereis(Pool)

      for {name, value} <- [
            idle_helpers: -1,
            idle_helpers: :many,
            idle_timeout: 1.5,
            idle_timeout: :infinity,
            idle_timeout: 0
          ] do
        configure(idle_helpers: 2, idle_timeout: 60_000)
        test = self()
        told = %MuonTrap.Test.Sink{with: fn data -> send(test, {:output, data}) end}
        go = Path.join(dir, "#{name}-#{inspect(value)}")
        script = "echo ready; until test -e $0; do sleep 0.02; done"
        running = Task.async(fn -> MuonTrap.cmd("sh", ["-c", script, go], into: told) end)
        assert_receive {:output, "ready\n"}, 60_000
        configure([{name, value}])

        assert_raise ArgumentError, ~r/config :muontrap, #{name}: must be the /, fn ->
          MuonTrap.cmd("true", [])
        end

        # The helper comes back under the wrong setting.
        File.touch!(go)
        Task.await(running, 60_000)
        assert is_integer(Pool.idle())
      end

      assert Process.whereis(Pool) == pool
    end

    test "shows no environment" do
      System.put_env("MUONTRAP_TEST_POOL", "secret-of-the-pool")
      keeper()
      refute inspect(:sys.get_state(Pool), limit: :infinity) =~ ~r/secret-of-the-pool|MUONTRAP_TEST_POOL/
      refute inspect(:sys.get_status(Pool), limit: :infinity) =~ "secret-of-the-pool"
    end
  end

  describe "a helper isn't used again" do
    test "after its program was stopped, or has left something" do
      helper = keeper()
      assert {"", :timeout} = MuonTrap.cmd("sleep", ["1000"], timeout: 20)
      assert keeper() != helper
      helper = keeper()
      assert {"", 0} = MuonTrap.cmd("sh", ["-c", "sleep 1000 & exit 0"])
      assert keeper() != helper
      helper = keeper()
      assert_raise MuonTrap.Error, fn -> MuonTrap.cmd("true", [], cd: "/no/such/directory") end
      assert keeper() != helper

      for change <- [
            "renice -n 3 -p $PPID",
            "prlimit --pid $PPID --nofile=64:64",
            "taskset -p 1 $PPID",
            "choom -n 300 -p $PPID"
          ] do
        helper = keeper()
        assert {"", 0} = MuonTrap.cmd("sh", ["-c", change <> " >/dev/null"])
        assert {change, keeper()} != {change, helper}
      end
    end

    test "when the VM's environment is another one" do
      helper = keeper()
      System.put_env("MUONTRAP_TEST_POOL", "another")
      assert MuonTrap.cmd("sh", ["-c", "echo $MUONTRAP_TEST_POOL"]) == {"another\n", 0}
      System.delete_env("MUONTRAP_TEST_POOL")
      assert MuonTrap.cmd("sh", ["-c", "echo $MUONTRAP_TEST_POOL"]) == {"\n", 0}
      assert keeper() != helper
      OS.eventually(fn -> ended?(helper) end)
    end

    @tag :tmp_dir
    test "when the VM is in another directory, be it of the same name", %{tmp_dir: dir} do
      before = File.cwd!()
      helper = keeper()
      one = Path.join(dir, "one")

      try do
        File.mkdir!(one)
        File.cd!(one)
        assert MuonTrap.cmd("pwd", []) == {one <> "\n", 0}
        File.rename!(one, Path.join(dir, "two"))
        File.mkdir!(one)
        File.cd!(one)
        File.touch!("here")
        assert MuonTrap.cmd("ls", []) == {"here\n", 0}
        assert keeper() != helper
      after
        File.cd!(before)
      end
    end

    test "when the owner is killed" do
      helper = keeper()
      test = self()

      pid =
        spawn(fn ->
          MuonTrap.cmd("sh", ["-c", "echo $$; exec sleep 1000"],
            into: %MuonTrap.Test.Sink{with: fn data -> send(test, {:output, data}) end}
          )
        end)

      assert_receive {:output, program}, 60_000
      Process.exit(pid, :kill)
      OS.eventually(fn -> not OS.alive?(String.to_integer(String.trim(program))) and ended?(helper) end)
      assert MuonTrap.cmd("echo", ["hi"]) == {"hi\n", 0}
    end

    # The helper hears of the stop when it has told the end already, and leaves.
    test "when the owner is killed before the server has seen that the program runs, and it ends meanwhile" do
      {_keeper, relay} = helper = keeper()
      assert OS.kill(relay, :STOP)
      owner = spawn(fn -> MuonTrap.cmd("true", []) end)
      server = OS.eventually(fn -> server_of(owner) end)
      OS.eventually(fn -> :sys.get_state(server).phase == :starting end)

      :ok = :sys.suspend(server)
      Process.exit(owner, :kill)
      OS.eventually(fn -> messages(server) == 1 end)
      assert OS.kill(relay, :CONT)
      OS.eventually(fn -> messages(server) == 3 end)

      monitor = Process.monitor(server)
      :ok = :sys.resume(server)
      assert_receive {:DOWN, ^monitor, :process, ^server, :normal}, 60_000
      assert Pool.idle() == 0
      OS.eventually(fn -> ended?(helper) end)
      assert MuonTrap.cmd("echo", ["hi"]) == {"hi\n", 0}
    end
  end

  test "a server whose owner died with the end unread goes when the helper is told to leave" do
    {_keeper, relay} = helper = keeper()
    test = self()

    owner =
      spawn(fn ->
        options = MuonTrap.Options.validate(:cmd, "sh", ["-c", "kill -STOP $$"], [])
        {:ok, port, next} = MuonTrap.HelperPort.start(options)
        {[], _next} = MuonTrap.HelperPort.next(next)
        send(test, {:started, port.server, port.program_pid})
        Process.sleep(:infinity)
      end)

    assert_receive {:started, server, program}, 60_000
    OS.eventually(fn -> OS.state(program) == "T" end)
    assert OS.kill(program, :CONT)
    OS.eventually(fn -> File.read!("/proc/#{relay}/comm") == "muontrap-idle\n" end)
    assert OS.kill(relay, :STOP)
    monitor = Process.monitor(server)
    Process.exit(owner, :kill)
    OS.eventually(fn -> :sys.get_state(server).discarding end)
    assert OS.kill(relay, :TERM)
    assert OS.kill(relay, :CONT)
    assert_receive {:DOWN, ^monitor, :process, ^server, :normal}, 60_000
    OS.eventually(fn -> ended?(helper) end)
  end

  describe "an end that comes while the port is being connected to the owner" do
    # The owner waits, and is linked to the port, as it is when the frame comes just then. It gets no further than to the reply.
    defp end_while_connecting(owner, served) do
      %{server: server, port: port, program_pid: program} = served
      OS.eventually(fn -> :sys.get_state(server).client != nil end)
      OS.eventually(fn -> OS.state(program) == "T" end)
      :erlang.suspend_process(owner)

      :sys.replace_state(server, fn state ->
        true = HelperPort.connect(port, owner)
        true = HelperPort.connect(port, server)
        %{state | direct: true}
      end)

      assert OS.kill(program, :CONT)
      OS.eventually(fn -> :sys.get_state(server).phase == :ended end)
      assert port in links(owner)
      Process.monitor(server)
    end

    defp owner() do
      test = self()
      options = MuonTrap.Options.validate(:cmd, "sh", ["-c", "kill -STOP $$"], [])

      owner =
        spawn(fn ->
          {:ok, port, next} = options |> Map.put(:served, true) |> HelperPort.start()
          send(test, {:started, port})
          events = next |> HelperPort.events() |> Stream.filter(&is_list/1) |> Enum.find(&(&1 != []))
          send(test, {:events, events})
          Process.sleep(:infinity)
        end)

      assert_receive {:started, port}, 60_000
      {owner, port}
    end

    defp links(pid), do: pid |> Process.info(:links) |> elem(1)

    test "leaves the helper for the next program, whatever becomes of the owner" do
      helper = keeper()
      {owner, port} = owner()
      monitor = end_while_connecting(owner, port)
      :erlang.resume_process(owner)
      assert_receive {:events, [{:exited, %{status: 0}}]}, 60_000
      assert_receive {:DOWN, ^monitor, :process, _server, :normal}, 60_000
      assert links(owner) == []
      Process.exit(owner, :kill)
      await_idle()
      assert keeper() == helper
    end

    test "is the helper's when the owner is killed before it has heard of it" do
      helper = keeper()
      {owner, port} = owner()
      monitor = end_while_connecting(owner, port)
      Process.exit(owner, :kill)
      assert_receive {:DOWN, ^monitor, :process, _server, :normal}, 60_000
      OS.eventually(fn -> ended?(helper) end)
      assert MuonTrap.cmd("echo", ["hi"]) == {"hi\n", 0}
    end

    test "is heard of by the owner although the application is stopped" do
      helper = keeper()
      {owner, port} = owner()
      monitor = end_while_connecting(owner, port)
      :ok = DynamicSupervisor.terminate_child(MuonTrap.HelperPort.Supervisor, port.server)
      assert_receive {:DOWN, ^monitor, :process, _server, :shutdown}, 60_000
      OS.eventually(fn -> ended?(helper) end)
      assert Process.alive?(owner)
      :erlang.resume_process(owner)
      assert_receive {:events, [{:exited, %{status: 0}}]}, 60_000
    end
  end

  defp server_of(owner) do
    servers =
      for {_id, pid, _type, _modules} <- DynamicSupervisor.which_children(MuonTrap.HelperPort.Supervisor), do: pid

    Enum.find(servers, &(:sys.get_state(&1).owner == owner))
  end

  defp messages(pid), do: pid |> Process.info(:message_queue_len) |> elem(1)

  test "who fails over the last output doesn't take the helper from others" do
    for _ <- 1..50 do
      failing = %MuonTrap.Test.Sink{with: fn _data -> raise "over it" end}
      assert_raise RuntimeError, fn -> MuonTrap.cmd("echo", ["hi"], into: failing) end
      assert MuonTrap.cmd("echo", ["hi"]) == {"hi\n", 0}
    end

    refute_received _anything
  end

  describe "a helper is used again" do
    test "after a daemon's program has ended by itself" do
      Process.flag(:trap_exit, true)
      helper = keeper()
      {:ok, daemon} = Daemon.start_link("sh", ["-c", "echo ready"], logger_fun: Programs.lines_to_me())
      assert_receive {:line, "ready"}, 60_000
      assert_receive {:EXIT, ^daemon, :normal}, 60_000
      await_idle()
      assert keeper() == helper
    end

    test "whatever of the program's own was asked for" do
      helper = keeper()

      assert keeper(cd: "/", env: [{"A", "b"}, {"HOME", nil}], arg0: "me", stdio_window: 5, delay_to_sigkill: 7) ==
               helper

      assert keeper(stderr_to_stdout: true, stop_sequence: [sigint: 5, sigterm: 6], parallelism: false) == helper
    end

    test "and a failed look for the program leaves it as it was" do
      helper = keeper()
      assert_raise ErlangError, fn -> MuonTrap.cmd("/no/such/program", []) end
      await_idle()
      assert keeper() == helper
    end

    test "but not for what is larger than a launch may be" do
      helper = keeper()
      large = String.duplicate("x", 20_000)
      assert MuonTrap.cmd("echo", [large]) == {large <> "\n", 0}
      many = for n <- 1..600, do: "#{n}"
      assert MuonTrap.cmd("echo", many) == {Enum.join(many, " ") <> "\n", 0}
      variables = for n <- 1..200, do: {"MUONTRAP_V#{n}", "#{n}"}
      assert MuonTrap.cmd("sh", ["-c", "echo $MUONTRAP_V200"], env: variables) == {"200\n", 0}
      assert keeper() == helper
    end
  end

  # Everything by which a program could tell.
  @sees """
  env | sort
  pwd
  ls -l /proc/self/fd | awk 'NR > 1 {print $9, $11}' | sed 's/pipe:.*/pipe/; s#/proc/.*#proc#'
  umask
  grep -E '^(Umask|Sig[PBIC]|Shd|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Speculation|Cpus_allowed|Mems_allowed|TracerPid)' /proc/self/status
  cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj /proc/self/timerslack_ns /proc/self/personality 2>&1
  nice
  chrt -p $$ | sed 's/^pid [0-9]*//'
  ionice -p $$
  awk '{print "session is group:", ($5 == $6), "terminal:", $7, "nice:", $19, "policy:", $41}' /proc/self/stat
  ps -o sid= -p $$ | grep -qw $$ && echo leads its session
  readlink /proc/self/ns/* /proc/self/root
  taskset -p $$ | sed 's/^pid [0-9]*//'
  cat /proc/$$/autogroup 2>/dev/null | sed 's/autogroup-[0-9]*/autogroup/'
  perl -e 'use Config; print "called $0, ignores ", join(" ", grep { ($SIG{$_} // "") eq "IGNORE" } split " ", $Config{sig_name}), "\\n"'
  """

  test "a program finds the same in a helper that was used before as in a new one" do
    see = fn -> MuonTrap.cmd("sh", ["-c", @sees], stderr_to_stdout: true, env: [{"A", "b"}]) end
    configure(idle_helpers: 0)
    {by_command_line, 0} = see.()
    MuonTrap.cmd("true", [])
    configure(idle_helpers: 2)
    drop_idle()
    {new, 0} = see.()
    before = keeper()
    {reused, 0} = see.()
    # A second time, and after a program that has changed what it could.
    MuonTrap.cmd("sh", [
      "-c",
      "umask 0; ulimit -n 30; ulimit -c 0; trap '' TERM HUP INT PIPE; cd /; exec nice -n 5 true"
    ])

    {again, 0} = see.()
    assert keeper() == before
    assert by_command_line =~ "leads its session"
    assert new == by_command_line
    assert reused == new
    assert again == new
  end

  test "a signal that comes too late for its program doesn't reach the next one" do
    Process.flag(:trap_exit, true)

    for _ <- 1..20 do
      {:ok, daemon} = Daemon.start_link("sh", ["-c", "echo ready; exit 0"], logger_fun: Programs.lines_to_me())
      assert_receive {:line, "ready"}, 60_000
      other = Task.async(fn -> MuonTrap.cmd("sh", ["-c", "sleep 0.02; echo whole"]) end)

      for _ <- 1..5 do
        try do
          Daemon.signal(daemon, :sigkill)
        catch
          :exit, _reason -> :ok
        end
      end

      assert Task.await(other, 60_000) == {"whole\n", 0}
      assert_receive {:EXIT, ^daemon, _reason}, 60_000
    end
  end

  test "figures are those of the one program" do
    Process.flag(:trap_exit, true)
    busy = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done"
    helper = keeper()
    options = MuonTrap.Options.validate(:cmd, "sh", ["-c", busy], [])
    used = ending(options).user_us
    assert used > 100_000
    assert keeper() == helper
    options = MuonTrap.Options.validate(:cmd, "true", [], [])
    assert ending(options).user_us < div(used, 2)
  end

  defp ending(options) do
    {:ok, _port, next} = MuonTrap.HelperPort.start(options)

    next
    |> MuonTrap.HelperPort.events()
    |> Stream.filter(&is_list/1)
    |> Enum.find_value(& &1[:exited])
  end
end
