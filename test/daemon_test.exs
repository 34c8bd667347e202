# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.DaemonTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias MuonTrap.{Daemon, Error}
  alias MuonTrap.Test.{OS, Programs}

  doctest MuonTrap.Daemon

  setup do
    Programs.marked()
  end

  # Options that send each line to the test.
  defp lines_to_me(opts \\ []), do: [logger_fun: Programs.lines_to_me()] ++ opts

  defp start({program, args}, opts) do
    {:ok, daemon} = Daemon.start_link(program, args, lines_to_me(opts))
    daemon
  end

  describe "starting" do
    test "gives the pid of the helper, whose descendant the program is", %{env: env, mark: mark} do
      daemon = start(Programs.sleeper(), env: env)
      assert_receive {:line, "ready"}, 30_000
      [program] = OS.alive(mark)
      keeper = Daemon.os_pid(daemon)
      assert program |> OS.parent() |> OS.parent() == keeper
      GenServer.stop(daemon)
    end

    test "registers the name", %{env: env} do
      {:ok, daemon} = Daemon.start_link("sleep", ["1000"], name: __MODULE__, env: env)
      assert Process.whereis(__MODULE__) == daemon
      assert {:error, {:already_started, ^daemon}} = Daemon.start_link("sleep", ["1000"], name: __MODULE__)
      GenServer.stop(daemon)

      {:ok, daemon} = Daemon.start_link("sleep", ["1000"], name: {:global, mark = OS.mark()}, env: env)
      assert :global.whereis_name(mark) == daemon
      GenServer.stop(daemon)
    end

    test "fails with what was wrong" do
      assert {:error, {:enoent, _stack}} = Daemon.start_link("no-such-program", [])
      assert {:error, {:eacces, _stack}} = Daemon.start_link("/etc/passwd", [])
      assert {:error, %Error{stage: :cd, reason: :enoent}} = Daemon.start_link("true", [], cd: "/no/such")
      assert {:error, %Error{stage: :uid}} = Daemon.start_link("true", [], uid: "root")
      assert {:error, {%ArgumentError{message: message}, _stack}} = Daemon.start_link("true", [], nonsense: 1)
      assert message =~ ":nonsense"
    end

    test "refuses options of the wrong type, and those of cmd/3 that make no sense, by name" do
      for {name, _value} = option <- [
            into: "",
            timeout: 5,
            log_output: :loud,
            log_prefix: 5,
            log_transform: fn -> :x end,
            logger_fun: fn -> :x end,
            logger_fun: {IO, "puts"},
            logger_fun: {IO, :puts, [1 | 2]},
            hibernate_after: -1,
            logger_metadata: [1],
            max_line_length: 0,
            exit_status_to_reason: :reason,
            wait_for: fn _x -> :ok end,
            name: "string",
            name: :undefined,
            name: {:via, nil, :name}
          ] do
        assert {:error, {%ArgumentError{message: message}, _stack}} = Daemon.start_link("true", [], [option])
        assert message =~ inspect(name)
      end
    end
  end

  describe ":wait_for" do
    # A function for :wait_for that tells the test its process, and waits for :go or for a function to call.
    defp waiting() do
      test = self()

      fn ->
        send(test, {:waiting, self()})

        receive do
          :go -> :ignored
          fun -> fun.()
        end
      end
    end

    test "runs beside the daemon, which can be asked meanwhile, and then the program starts", %{env: env, mark: mark} do
      {:ok, daemon} = Daemon.start_link("sleep", ["1000"], wait_for: waiting(), env: env)
      assert_receive {:waiting, waiting}, 30_000
      assert waiting != daemon
      assert Daemon.os_pid(daemon) == :error
      assert Daemon.cgroup_path(daemon) == nil
      assert Daemon.cgroup_config(daemon) == %{}
      assert Daemon.cgget(daemon, "memory.max") == {:error, :no_cgroup}
      assert Daemon.statistics(daemon) == %{output_byte_count: 0, cgroup: %{}}
      assert OS.alive(mark) == []

      send(waiting, :go)
      OS.eventually(fn -> length(OS.alive(mark)) == 1 end)
      assert is_integer(Daemon.os_pid(daemon))
      GenServer.stop(daemon)
      assert OS.alive(mark) == []
    end

    test "that raises, throws or exits ends the daemon with that", %{env: env, mark: mark} do
      for {fun, reason?} <- [
            {fn -> raise "no" end, &match?({%RuntimeError{message: "no"}, _stack}, &1)},
            {fn -> throw(:no) end, &match?({{:nocatch, :no}, _stack}, &1)},
            {fn -> exit(:no) end, &(&1 == :no)},
            {fn -> exit(:normal) end, &(&1 == :normal)}
          ] do
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link("sleep", ["1000"], wait_for: waiting(), env: env)
          assert_receive {:waiting, waiting}, 30_000
          send(waiting, fun)
          assert_receive {:EXIT, ^daemon, reason}, 30_000
          assert reason?.(reason), inspect(reason)
        end)
      end

      assert OS.alive(mark) == []
    end

    test "is ended with the daemon, whether that is stopped or killed", %{env: env, mark: mark} do
      for stop <- [&GenServer.stop/1, &Process.exit(&1, :shutdown), &Process.exit(&1, :kill)] do
        {:ok, daemon} = Daemon.start_link("sleep", ["1000"], wait_for: waiting(), env: env)
        assert_receive {:waiting, waiting}, 30_000
        monitor = Process.monitor(waiting)
        stop.(daemon)
        assert_receive {:DOWN, ^monitor, :process, ^waiting, _reason}, 30_000
        assert_receive {:EXIT, ^daemon, _reason}, 30_000
      end

      assert OS.alive(mark) == []
    end

    test "holds up neither the supervisor's other children nor its stop", %{env: env} do
      children = [{Daemon, ["sleep", ["1000"], [wait_for: waiting(), env: env]]}, {Agent, fn -> :started end}]
      {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
      assert_receive {:waiting, _waiting}, 30_000
      assert %{active: 2} = Supervisor.count_children(supervisor)
      assert Supervisor.stop(supervisor, :normal, 5_000) == :ok
    end

    @tag :tmp_dir
    test "comes before the program is looked for, and its environment made", %{env: env, tmp_dir: dir} do
      test = self()
      program = Path.join(dir, "made-meanwhile")
      variables = fn -> send(test, :asked) && [{"A", "made"} | env] end
      opts = lines_to_me(wait_for: waiting(), env: variables)
      {:ok, daemon} = Daemon.start_link(program, [], opts)
      assert_receive {:waiting, waiting}, 30_000
      refute_received :asked
      File.write!(program, "#!/bin/sh\necho $A\n")
      File.chmod!(program, 0o755)
      send(waiting, :go)
      assert_receive {:EXIT, ^daemon, :normal}, 30_000
      assert_received :asked
      assert_received {:line, "made"}
    end

    test "is followed by the end of the daemon when program or environment are wrong", %{env: env} do
      for {program, variables, reason?} <- [
            {"no-such-program", fn -> env end, &match?({:enoent, _stack}, &1)},
            {"true", fn -> :none end, &match?({%ArgumentError{message: "invalid option :env" <> _rest}, _stack}, &1)},
            {"true", fn -> fn -> [] end end, &match?({%ArgumentError{}, _stack}, &1)}
          ] do
        log =
          capture_log(fn ->
            {:ok, daemon} = Daemon.start_link(program, [], wait_for: waiting(), env: variables)
            assert_receive {:waiting, waiting}, 30_000
            send(waiting, :go)
            assert_receive {:EXIT, ^daemon, reason}, 30_000
            assert reason?.(reason), inspect(reason)
          end)

        refute log =~ inspect(env)
      end
    end

    test "is followed by the end of the daemon when the program can't be started" do
      capture_log(fn ->
        {:ok, daemon} = Daemon.start_link("true", [], wait_for: waiting(), cd: "/no/such")
        assert_receive {:waiting, waiting}, 30_000
        send(waiting, :go)
        assert_receive {:EXIT, ^daemon, %Error{stage: :cd, reason: :enoent}}, 30_000
      end)
    end
  end

  describe "the child specification" do
    test "says what a child is, and nothing of what was given in its place" do
      for module <- [Daemon, MuonTrap.Program], child <- ["sleep 1", {"sleep", ["1"]}, [], ["a", [], [], "secret"]] do
        error =
          assert_raise ArgumentError, ~r/a child is .*\[command, args, options\]/, fn -> module.child_spec(child) end

        refute error.message =~ "secret"
      end

      for opts <- [%{env: %{"A" => "secret"}}, [{:env, %{"A" => "secret"}}, :stray], "secret"],
          start <- [&MuonTrap.Program.child_spec(["a", [], &1]), &MuonTrap.cmd("a", [], &1)] do
        error = assert_raise ArgumentError, ~r/must be a keyword list/, fn -> start.(opts) end
        refute error.message =~ "secret"
      end
    end

    test "takes one to three elements, and its shutdown leaves time for :delay_to_sigkill" do
      assert Daemon.child_spec(["a"]).start == {Daemon, :start_link, ["a", [], []]}
      assert %{id: Daemon, restart: :permanent, type: :worker} = spec = Daemon.child_spec(["a", ["b"]])
      assert spec.start == {Daemon, :start_link, ["a", ["b"], []]}
      assert spec.shutdown > 500
      assert Daemon.child_spec(["a", [], [delay_to_sigkill: 60_000]]).shutdown > 60_000
    end

    test "works in a supervisor, several times with ids", %{env: env, mark: mark} do
      children = [
        {Daemon, ["sleep", ["1000"], [env: env]]},
        Supervisor.child_spec({Daemon, ["sleep", ["1001"], [env: env]]}, id: :second)
      ]

      {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
      assert length(OS.alive(mark)) == 2
      Supervisor.stop(supervisor)
      assert OS.alive(mark) == []
    end
  end

  describe "stopping" do
    for {name, {program, linux}} <- [
          sleeper: {Programs.sleeper(), false},
          deaf: {Programs.deaf(), false},
          background_child: {Programs.background_child(), false},
          daemonised: {Programs.daemonised(), true},
          tree_of_300: {Programs.tree(300), false}
        ] do
      if linux, do: @tag(:linux)

      test "returns when the tree is dead: #{name}", %{env: env, mark: mark} do
        daemon = start(unquote(Macro.escape(program)), env: env)
        assert_receive {:line, "ready"}, 60_000
        GenServer.stop(daemon)
        assert OS.alive(mark) == []
      end
    end

    test "gives the program its time, and logs what it says at the end", %{env: env, mark: mark} do
      script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
      daemon = start(Programs.sh(script), env: env, delay_to_sigkill: 60_000)
      assert_receive {:line, "ready"}, 30_000
      GenServer.stop(daemon)
      assert OS.alive(mark) == []
      assert_received {:line, "bye"}
    end

    test "happens when a linked process fails", %{env: env, mark: mark} do
      daemon = start(Programs.sleeper(), env: env)
      assert_receive {:line, "ready"}, 30_000
      spawn(fn -> Process.link(daemon) && exit(:broken) end)
      assert_receive {:EXIT, ^daemon, :broken}, 30_000
      assert OS.alive(mark) == []
    end

    test "is seen through by another when the daemon is killed", %{env: env, mark: mark} do
      daemon = start(Programs.deaf(), env: env)
      assert_receive {:line, "ready"}, 30_000
      Process.exit(daemon, :kill)
      OS.eventually(fn -> OS.alive(mark) == [] and OS.helpers(mark) == [] end)
    end
  end

  describe "a restart" do
    # The program holds a directory as its lock, and takes 150 ms to end on SIGTERM.
    @script """
    if ! mkdir "$LOCK"; then echo overlap; exit 3; fi
    trap 'sleep 0.15; rmdir "$LOCK"; exit 1' TERM
    echo ready
    while :; do sleep 0.01; done
    """

    for {name, how} <- [
          "the daemon being killed": quote(do: fn daemon, _program -> Process.exit(daemon, :kill) end),
          "the daemon failing": quote(do: fn daemon, _program -> Process.exit(daemon, :broken) end),
          "the program being told to end": quote(do: fn _daemon, program -> OS.kill(program, "TERM") end)
        ] do
      # Each wait of the fifty has a deadline of its own.
      @tag timeout: 600_000 * OS.patience()
      @tag :tmp_dir
      test "never overlaps its predecessor, fifty times, after #{name}", %{env: env, mark: mark, tmp_dir: dir} do
        env = [{"LOCK", Path.join(dir, "lock")} | env]
        end_it = unquote(how)
        opts = lines_to_me(env: env, delay_to_sigkill: 10_000)
        options = [strategy: :one_for_one, max_restarts: 1_000]
        {:ok, supervisor} = Supervisor.start_link([{Daemon, ["sh", ["-c", @script], opts]}], options)

        for _ <- 1..50 do
          assert_receive {:line, line}, 30_000
          assert line == "ready"
          [{_id, daemon, _type, _modules}] = Supervisor.which_children(supervisor)
          # Asked for, not looked for: the predecessor's keeper may still be leaving.
          [relay] = daemon |> Daemon.os_pid() |> OS.children()
          [program | _] = OS.children(relay)
          end_it.(daemon, program)
        end

        assert_receive {:line, "ready"}, 30_000
        Supervisor.stop(supervisor)
        assert OS.alive(mark) == []
        refute_received {:line, "overlap"}
      end
    end
  end

  describe "a function of the user's that raises" do
    for {name, opts} <- [
          exit_status_to_reason: quote(do: [exit_status_to_reason: fn _status -> raise "broken" end]),
          logger_fun: quote(do: [logger_fun: fn _line -> raise "broken" end]),
          log_transform: quote(do: [log_output: :info, log_transform: fn _line -> raise "broken" end])
        ] do
      test "at the end of the program ends the daemon with that: #{name}" do
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link("printf", ["abc"], unquote(opts))
          assert_receive {:EXIT, ^daemon, {%RuntimeError{message: "broken"}, _stack}}, 30_000
        end)
      end
    end

    test "in the middle of much output ends the daemon, and the supervisor starts it again", %{env: env, mark: mark} do
      test = self()
      script = "sleep 0.3; head -c 10240 /dev/zero | tr '\\0' '\\n'; exec yes"
      raised = :counters.new(1, [])

      raise_once = fn _line ->
        if :counters.get(raised, 1) == 0 do
          :counters.add(raised, 1, 1)
          send(test, {:raised, self()})
          raise "broken"
        end
      end

      for opts <- [[logger_fun: raise_once], [log_output: :debug, log_transform: &(raise_once.(&1) && &1)]] do
        :counters.put(raised, 1, 0)

        capture_log(fn ->
          child = {Daemon, ["sh", ["-c", script], [env: env] ++ opts]}
          {:ok, supervisor} = Supervisor.start_link([child], strategy: :one_for_one)
          assert_receive {:raised, daemon}, 30_000
          monitor = Process.monitor(daemon)
          assert_receive {:DOWN, ^monitor, :process, ^daemon, _reason}, 10_000

          OS.eventually(fn ->
            match?([{_id, next, _type, _modules}] when is_pid(next), Supervisor.which_children(supervisor))
          end)

          assert Supervisor.stop(supervisor, :normal, 30_000) == :ok
          assert OS.alive(mark) == []
        end)
      end
    end

    test "doesn't mix the line that it was called with into the next one", %{env: env, mark: mark} do
      script =
        "trap 'printf \"c\\nde\"' USR1; trap 'echo BYE; exit 0' TERM; echo ready; printf ab; while :; do sleep 0.01; done"

      test = self()
      fun = fn line -> if(line == "abc", do: raise("broken"), else: send(test, {:line, line})) end

      capture_log(fn ->
        {:ok, daemon} = Daemon.start_link("sh", ["-c", script], env: env, logger_fun: fun, delay_to_sigkill: 30_000)
        assert_receive {:line, "ready"}, 30_000
        OS.eventually(fn -> Daemon.statistics(daemon).output_byte_count == 8 end)
        relays = OS.helpers(mark)
        mark |> OS.alive() |> Enum.find(&(OS.parent(&1) in relays)) |> OS.kill("USR1")
        assert_receive {:EXIT, ^daemon, {%RuntimeError{message: "broken"}, _stack}}, 30_000
        assert_receive {:line, "deBYE"}, 30_000
      end)
    end

    test "while the daemon is being stopped leaves nothing running", %{env: env, mark: mark} do
      script = "trap 'echo bye; sleep 0.3; exit 0' TERM; echo ready >&2; while :; do sleep 0.01; done"

      capture_log(fn ->
        {:ok, daemon} = Daemon.start_link("sh", ["-c", script], env: env, logger_fun: fn _line -> raise "broken" end)

        OS.eventually(fn -> OS.alive(mark) != [] end)
        Process.exit(daemon, :shutdown)
        assert_receive {:EXIT, ^daemon, _reason}, 30_000
      end)

      OS.eventually(fn -> OS.alive(mark) == [] end)
    end
  end

  for {name, height, names} <- [
        {"its supervisor", 0, []},
        {"its supervisor, which has a name,", 0, [name: :killed_supervisor]},
        {"its supervisor's supervisor", 1, []},
        {"the supervisor above these", 2, []}
      ] do
    @tag :tmp_dir
    test "a daemon is not overlapped by the next one when #{name} is killed", %{env: env, tmp_dir: dir} do
      env = [{"LOCK", Path.join(dir, "lock")} | env]
      child = {Daemon, ["sh", ["-c", @script], lines_to_me(env: env, delay_to_sigkill: 10_000)]}

      # A supervisor above the daemon, and as many above that one as are needed; the uppermost one is never killed.
      above = fn child, opts ->
        %{id: :above, type: :supervisor, start: {Supervisor, :start_link, [[child], [strategy: :one_for_one] ++ opts]}}
      end

      lowest = above.(child, unquote(names))
      killed = Enum.reduce(List.duplicate([], unquote(height)), lowest, fn opts, child -> above.(child, opts) end)
      {:ok, top} = Supervisor.start_link([killed], strategy: :one_for_one, max_restarts: 1_000)

      for _ <- 1..10 do
        assert_receive {:line, line}, 30_000
        assert line == "ready"
        [{:above, supervisor, _type, _modules}] = Supervisor.which_children(top)
        Process.exit(supervisor, :kill)
      end

      assert_receive {:line, "ready"}, 30_000
      Supervisor.stop(top)
      refute_received {:line, "overlap"}
    end
  end

  @tag :tmp_dir
  test "a daemon whose supervisor was killed while it was being started starts nothing beside the next one",
       %{env: env, mark: mark, tmp_dir: dir} do
    env = [{"LOCK", Path.join(dir, "lock")} | env]
    test = self()

    # Called in the daemon's process, before it waits for its predecessor and starts its program.
    variables = fn ->
      send(test, {:asked, self()})
      receive do: (:go -> env)
    end

    child =
      {Daemon, ["sh", ["-c", @script], lines_to_me(env: variables, wait_for: fn -> :ok end, delay_to_sigkill: 10_000)]}

    killed = %{id: :killed, type: :supervisor, start: {Supervisor, :start_link, [[child], [strategy: :one_for_one]]}}
    {:ok, top} = Supervisor.start_link([killed], strategy: :one_for_one, max_restarts: 1_000)

    for _ <- 1..20 do
      assert_receive {:asked, orphan}, 30_000
      [{:killed, supervisor, _type, _modules}] = Supervisor.which_children(top)
      Process.exit(supervisor, :kill)
      assert_receive {:asked, next}, 30_000
      send(next, :go)
      monitor = Process.monitor(orphan)
      send(orphan, :go)
      assert_receive {:DOWN, ^monitor, :process, ^orphan, :killed}, 30_000
      assert_receive {:line, "ready"}, 30_000
      refute_received {:line, _another}
      [{:killed, supervisor, _type, _modules}] = Supervisor.which_children(top)
      Process.exit(supervisor, :kill)
    end

    assert_receive {:asked, last}, 30_000
    send(last, :go)
    Supervisor.stop(top)
    OS.eventually(fn -> OS.alive(mark) == [] end)
    refute_received {:line, _overlap}
  end

  describe "the environment" do
    @secret [{"TOKEN", "s3cret"}]

    # What is logged when a daemon fails in each of its states, and what its state is at any time.
    test "is not logged with a daemon that fails, nor kept while it runs", %{env: env} do
      test = self()
      wait = fn -> send(test, :waiting) && Process.sleep(:infinity) end

      log =
        capture_log(fn ->
          {:ok, waiting} = Daemon.start_link("sleep", ["1000"], wait_for: wait, env: @secret ++ env)
          assert_receive :waiting, 30_000
          refute inspect(:sys.get_status(waiting)) =~ "s3cret"
          Process.exit(waiting, :broken)
          assert_receive {:EXIT, ^waiting, :broken}, 30_000

          {:ok, running} = Daemon.start_link("sleep", ["1000"], env: @secret ++ env)
          refute inspect(:sys.get_state(running), limit: :infinity) =~ "s3cret"
          Process.exit(running, :broken)
          assert_receive {:EXIT, ^running, :broken}, 30_000

          opts = [logger_fun: fn _line -> raise "broken" end, env: @secret ++ env]
          {:ok, logging} = Daemon.start_link("echo", ["hi"], opts)
          assert_receive {:EXIT, ^logging, {%RuntimeError{}, _stack}}, 30_000
        end)

      assert log =~ "broken"
      refute log =~ "s3cret"
    end

    test "is not in the reason of a daemon that doesn't start", %{env: env} do
      for {program, opts} <- [
            {"no-such-program", []},
            {"/etc/passwd", []},
            {"true", [cd: "/no/such"]},
            {"true", [nonsense: 1]},
            {"true", [env: [{"B", 1} | @secret]]}
          ] do
        assert {:error, reason} = Daemon.start_link(program, [], Keyword.merge([env: @secret ++ env], opts))
        refute inspect(reason) =~ "s3cret"
      end
    end

    test "is not in what a supervisor says of its child when it is a function's", %{env: env, mark: mark} do
      child = {Daemon, ["sleep", ["1000"], [env: fn -> @secret ++ env end]]}
      {:ok, supervisor} = Supervisor.start_link([child], strategy: :one_for_one)
      [program] = OS.alive(mark)
      assert File.read!("/proc/#{program}/environ") =~ "TOKEN=s3cret"
      {:ok, child} = :supervisor.get_childspec(supervisor, Daemon)
      refute inspect(child) =~ "s3cret"
      Supervisor.stop(supervisor)
    end
  end

  describe "a start" do
    # A daemon that this function's caller starts and is neither linked to nor outlived by.
    defp start_alone(args, opts) do
      {starter, monitor} =
        spawn_monitor(fn ->
          {:ok, daemon} = Daemon.start_link("sh", args, opts)
          Process.unlink(daemon)
          exit({:started, daemon})
        end)

      assert_receive {:DOWN, ^monitor, :process, ^starter, {:started, daemon}}, 30_000
      daemon
    end

    test "doesn't wait for a daemon that goes on although its starter is dead", %{env: env} do
      args = ["-c", "sleep 1000"]
      first = start_alone(args, env: env)
      second = Task.async(fn -> start_alone(args, env: env) end) |> Task.await(30_000)
      assert Process.alive?(first)
      for daemon <- [first, second], do: GenServer.stop(daemon)
    end

    # Two children that differ in their ids alone, and one between them that does something and isn't there afterwards.
    defp twins(env, between \\ fn -> :ok end) do
      twin = {Daemon, ["sleep", ["1000"], [env: env]]}
      ignored = %{id: :between, start: {__MODULE__, :ignore_after, [between]}}
      [Supervisor.child_spec(twin, id: :first), ignored, Supervisor.child_spec(twin, id: :second)]
    end

    test "doesn't wait for the same program beside it, whose supervisor is dying", %{env: env, mark: mark} do
      test = self()

      parent =
        spawn(fn ->
          parent = self()

          kill = fn ->
            send(test, {:supervisor, hd(Process.get(:"$ancestors")), self()})
            monitor = Process.monitor(parent)
            Process.exit(parent, :kill)
            receive do: ({:DOWN, ^monitor, :process, ^parent, :killed} -> :ok)
          end

          Supervisor.start_link(twins(env, kill), strategy: :one_for_one)
        end)

      assert_receive {:supervisor, ^parent, supervisor}, 30_000
      monitor = Process.monitor(supervisor)
      assert_receive {:DOWN, ^monitor, :process, ^supervisor, _reason}, 30_000
      OS.eventually(fn -> OS.alive(mark) == [] end)
    end

    test "doesn't wait for the same program beside it, whose supervisor goes on without its starter", %{env: env} do
      {starter, monitor} =
        spawn_monitor(fn ->
          {:ok, supervisor} = Supervisor.start_link([], strategy: :one_for_one)
          Process.unlink(supervisor)
          exit({:started, supervisor})
        end)

      assert_receive {:DOWN, ^monitor, :process, ^starter, {:started, supervisor}}, 30_000
      [first, _between, second] = twins(env)
      {:ok, _daemon} = Supervisor.start_child(supervisor, first)
      start = Task.async(fn -> Supervisor.start_child(supervisor, second) end)
      assert {:ok, {:ok, _daemon}} = Task.yield(start, 30_000) || Task.shutdown(start, :brutal_kill)
      Supervisor.stop(supervisor)
    end

    # The program ignores SIGTERM, and its daemon gives it more time than the test has.
    defp start_deaf(opts) do
      {"sh", args} = Programs.deaf()
      {:ok, daemon} = Daemon.start_link("sh", args, lines_to_me([delay_to_sigkill: 600_000] ++ opts))
      assert_receive {:line, "ready"}, 30_000
      daemon
    end

    # What a killed program leaves is deaf, and has the rest of the time.
    defp kill_all(mark) do
      OS.eventually(fn ->
        Enum.each(OS.alive(mark), &OS.kill(&1, "KILL"))
        OS.alive(mark) == []
      end)
    end

    test "doesn't wait for a dying daemon that differs in an option", %{env: env, mark: mark} do
      dying = start_deaf(env: env)
      programs = OS.alive(mark)
      Process.exit(dying, :kill)
      other = start_deaf(env: [{"OTHER", "1"} | env])
      assert programs -- OS.alive(mark) == []
      kill_all(mark)
      assert_receive {:EXIT, ^other, _reason}, 30_000
    end

    test "waits for the dying daemon that it replaces", %{env: env, mark: mark} do
      dying = start_deaf(env: env)
      programs = OS.alive(mark)
      group = -Daemon.program_pid(dying)
      Process.exit(dying, :kill)
      # Were the next one not to wait, it would be there long before these are killed. It has their mark, too.
      killer = Task.async(fn -> receive(after: (500 -> OS.kill(group, "KILL"))) end)
      next = start_deaf(env: env)
      assert programs -- OS.alive(mark) == programs
      assert Task.await(killer, 30_000)
      kill_all(mark)
      assert_receive {:EXIT, ^next, _reason}, 30_000
    end
  end

  describe "a stop" do
    @describetag :tmp_dir

    # The log has what others' daemons do, too, so this program has a name of its own.
    defp log_of_stop(script, dir, opts) do
      name = Path.join(dir, "server-#{System.unique_integer([:positive])}")
      File.ln_s!(System.find_executable("sh"), name)

      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link(name, ["-c", script], lines_to_me(opts))
          assert_receive {:line, "ready"}, 30_000
          GenServer.stop(daemon)
        end)

      log |> String.split("\n") |> Enum.filter(&(&1 =~ name)) |> Enum.join("\n")
    end

    test "that took SIGKILL is logged, with how many were killed", %{env: env, tmp_dir: dir} do
      deaf = "trap '' TERM; echo ready; while :; do sleep 1000; done"
      log = log_of_stop(deaf, dir, env: env, delay_to_sigkill: 100)
      assert log =~ "[warning] "
      assert log =~ "the process did not end within 100 ms of SIGTERM, and was killed"
      assert log =~ "see :delay_to_sigkill"
      refute log_of_stop(deaf, dir, env: env, delay_to_sigkill: 0) =~ "SIGTERM"
    end

    @tag :linux
    test "that took SIGKILL for what a shell had left behind is logged", %{env: env, tmp_dir: dir} do
      deaf = ~S[(trap '' TERM; exec perl -e '$| = 1; print "ready\n"; sleep 1000'); true]
      log = log_of_stop(deaf, dir, env: env, delay_to_sigkill: 100)

      assert log =~
               "was ended by signal 15, but 1 descendant did not end within 100 ms of SIGTERM, and had to be killed; see :delay_to_sigkill (perl)"
    end

    @tag :linux
    test "that was enough is not logged, and gives what runs behind a shell its time", %{env: env, tmp_dir: dir} do
      inner = "trap 'sleep 0.3; echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
      refute log_of_stop("(#{inner}); true", dir, env: env, delay_to_sigkill: 60_000) =~ "SIGTERM"
      assert_received {:line, "bye"}
    end
  end

  describe "the end of the program" do
    test "with status 0 is normal, with another an error" do
      {:ok, daemon} = Daemon.start_link("true", [])
      assert_receive {:EXIT, ^daemon, :normal}, 30_000

      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link("sh", ["-c", "exit 5"])
          assert_receive {:EXIT, ^daemon, :error_exit_status}, 30_000
        end)

      assert log =~ "exited with status 5"

      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link("sh", ["-c", "kill -KILL $$"])
          assert_receive {:EXIT, ^daemon, :error_exit_status}, 30_000
        end)

      assert log =~ "ended by signal 9"
    end

    test "has the reason that :exit_status_to_reason says" do
      {:ok, daemon} = Daemon.start_link("sh", ["-c", "exit 5"], exit_status_to_reason: &{:status, &1})
      assert_receive {:EXIT, ^daemon, {:status, 5}}, 30_000
      {:ok, daemon} = Daemon.start_link("sh", ["-c", "kill -9 $$"], exit_status_to_reason: &{:status, &1})
      assert_receive {:EXIT, ^daemon, {:status, 137}}, 30_000
      {:ok, daemon} = Daemon.start_link("sh", ["-c", "exit 5"], exit_status_to_reason: fn _status -> :normal end)
      assert_receive {:EXIT, ^daemon, :normal}, 30_000
    end

    @tag :linux
    test "by a killed helper has an error that says so", %{env: env, mark: mark} do
      daemon = start(Programs.sleeper(), env: env)
      assert_receive {:line, "ready"}, 30_000
      [relay] = OS.children(Daemon.os_pid(daemon))

      log =
        capture_log(fn ->
          OS.kill(relay, "KILL")
          assert_receive {:EXIT, ^daemon, %Error{stage: :relay, reason: :vanished}}, 30_000
        end)

      assert log =~ "the helper was killed"
      assert OS.alive(mark) == []
    end
  end

  describe "output" do
    test "is logged line by line, with prefix, at the level, and the last line without newline too" do
      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link("printf", ["one\\ntwo\\nthree"], log_output: :info)
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
        end)

      program = System.find_executable("printf")
      for line <- ["one", "two", "three"], do: assert(log =~ "[info] #{program}: #{line}\n")

      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link("echo", ["hi"], log_output: :error, log_prefix: "me> ")
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
        end)

      assert log =~ "[error] me> hi\n"
    end

    test "is not logged unless asked for" do
      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link("echo", ["nothing to see"])
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
        end)

      refute log =~ "nothing to see"
    end

    test "goes through :log_transform, which by default mends what is not UTF-8" do
      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link("echo", ["hi"], log_output: :error, log_transform: &String.upcase/1)
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
          {:ok, daemon} = Daemon.start_link("printf", ["a\\377b\\303"], log_output: :error, log_prefix: "")
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
        end)

      assert log =~ "HI"
      assert log =~ "a\uFFFDb\uFFFD"
    end

    test "goes to :logger_fun as a function, or as a module's, with arguments or without" do
      Process.register(self(), :logger_fun_test)
      {:ok, _daemon} = Daemon.start_link("echo", ["hi"], logger_fun: {__MODULE__, :line})
      assert_receive {:line, "hi"}, 30_000
      {:ok, _daemon} = Daemon.start_link("echo", ["hi"], logger_fun: {__MODULE__, :line, [self(), :extra]})
      assert_receive {:line, "hi", :extra}, 30_000
    end

    test "has the logger's metadata" do
      opts = [log_output: :error, log_prefix: "", logger_metadata: [color: "red", muontrap_cmd: "no"]]

      log =
        capture_log([metadata: [:color, :muontrap_cmd, :muontrap_args], format: "$metadata$message\n"], fn ->
          {:ok, daemon} = Daemon.start_link("echo", ["hi", "there"], opts)
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
        end)

      assert log =~ "color=red"
      assert log =~ "muontrap_cmd=echo"
      assert log =~ "muontrap_args=hi there"
    end

    test "lines longer than :max_line_length come in pieces, none dropped" do
      {:ok, _daemon} = Daemon.start_link("echo", ["abcdefgh"], lines_to_me(max_line_length: 3))
      for piece <- ["abc", "def", "gh"], do: assert_receive({:line, ^piece}, 30_000)

      {:ok, daemon} = Daemon.start_link("head", ["-c", "200000", "/dev/zero"], lines_to_me())
      assert_receive {:EXIT, ^daemon, :normal}, 30_000

      for size <- [65_536, 65_536, 65_536, 3_392] do
        assert_received {:line, line}
        assert byte_size(line) == size
      end
    end

    test "of 100,000 lines comes whole and in order, through any window" do
      for opts <- [[], [stdio_window: 100]] do
        {:ok, daemon} = Daemon.start_link("seq", ["20000"], lines_to_me(opts))
        assert_receive {:EXIT, ^daemon, :normal}, 60_000

        for n <- 1..20_000 do
          expected = "#{n}"
          assert_received {:line, ^expected}
        end
      end
    end

    test "longer than Logger's limit is logged in pieces, none dropped" do
      line = String.duplicate("ä", 10_000) <> "END"
      # among what others' daemons log
      prefix = "#{OS.mark()}> "

      log =
        capture_log([format: "$message\n"], fn ->
          {:ok, daemon} = Daemon.start_link("echo", [line], log_output: :error, log_prefix: prefix)
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
        end)

      pieces = for piece <- String.split(log, "\n"), String.starts_with?(piece, prefix), do: piece
      assert Enum.map_join(pieces, &String.replace_prefix(&1, prefix, "")) == line
    end

    test "is stderr too, or stderr alone, when asked for" do
      script = "echo out; echo err >&2"
      {:ok, daemon} = Daemon.start_link("sh", ["-c", script], lines_to_me(stderr_to_stdout: true))
      assert_receive {:EXIT, ^daemon, :normal}, 30_000
      assert_received {:line, "out"}
      assert_received {:line, "err"}

      {:ok, daemon} = Daemon.start_link("sh", ["-c", script], lines_to_me(capture_stderr_only: true))
      assert_receive {:EXIT, ^daemon, :normal}, 30_000
      assert_received {:line, "err"}
      refute_received {:line, "out"}
    end

    test "that has been handled takes no memory once the program is silent", %{env: env} do
      script = "seq 200000; echo end; exec sleep 1000"
      {:ok, daemon} = Daemon.start_link("sh", ["-c", script], lines_to_end(env: env, hibernate_after: 100))
      assert_receive :end, 60_000

      # Bytes of the daemon's own heap, and of the output that it still refers to.
      OS.eventually(fn ->
        [memory: memory, binary: binaries] = Process.info(daemon, [:memory, :binary])
        memory + Enum.sum(for {_id, size, _count} <- binaries, do: size) < 50_000
      end)

      GenServer.stop(daemon)
    end

    defp lines_to_end(opts) do
      test = self()
      [logger_fun: fn line -> if line == "end", do: send(test, :end) end] ++ opts
    end

    test "is counted, logged or not" do
      test = self()

      {:ok, daemon} =
        Daemon.start_link("sh", ["-c", "printf 12345; echo ready >&2; sleep 1000"], stderr_to_stdout: true)

      OS.eventually(fn -> Daemon.statistics(daemon).output_byte_count == 11 end)
      assert Daemon.statistics(daemon).cgroup == %{}
      GenServer.stop(daemon)
      send(test, :done)
    end
  end

  def ignore_after(fun) do
    fun.()
    :ignore
  end

  def line(line), do: send(:logger_fun_test, {:line, line})
  def line(line, test, extra), do: send(test, {:line, line, extra})
end
