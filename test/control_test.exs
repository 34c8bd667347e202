# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ControlTest do
  use ExUnit.Case, async: true

  # What a server needs beside being started and killed: signals, a stop in steps, a lock, and word of what has happened.

  import ExUnit.CaptureLog

  alias MuonTrap.{Daemon, Error}
  alias MuonTrap.Test.{OS, Programs}

  doctest MuonTrap.Signal

  setup do
    Programs.marked()
  end

  @moduletag :tmp_dir

  # Says which signals it has got, and doesn't end for any of these.
  @listener "for s in HUP USR1 USR2 INT; do trap \"echo $s\" $s; done; echo ready; while :; do sleep 0.05; done"

  defp start(script, opts) do
    {:ok, daemon} = Daemon.start_link("sh", ["-c", script], [logger_fun: Programs.lines_to_me()] ++ opts)
    assert_receive {:line, "ready"}, 30_000
    daemon
  end

  # So many descendants in sessions of their own, which are there when the rest of the script runs.
  defp with_sessions(count, dir, rest) do
    fifo = Path.join(dir, "fifo")
    {_output, 0} = System.cmd("mkfifo", [fifo])
    session = ~s(setsid perl -e 'open F, ">&=3"; syswrite F, "there\n"; sleep 1000' & )
    "exec 3<>#{fifo}; " <> String.duplicate(session, count) <> String.duplicate("read there <&3; ", count) <> rest
  end

  describe "signal/3" do
    test "sends the program a signal, by name or number", %{env: env} do
      daemon = start(@listener, env: env)
      assert Daemon.signal(daemon, :sighup) == :ok
      assert_receive {:line, "HUP"}, 30_000
      assert Daemon.signal(daemon, :sigusr1, :program) == :ok
      assert_receive {:line, "USR1"}, 30_000
      assert Daemon.signal(daemon, 2) == :ok
      assert_receive {:line, "INT"}, 30_000
      GenServer.stop(daemon)
    end

    @tag :linux
    test "sends all that descends from it a signal, or its group", %{env: env} do
      inner = "trap 'echo inner' USR1; echo inner ready; while :; do sleep 0.05; done"

      daemon =
        start(
          "setsid sh -c \"#{inner}\" & trap 'echo outer' USR1; trap '' HUP; echo ready; while :; do sleep 0.05; done",
          env: env
        )

      assert_receive {:line, "inner ready"}, 30_000
      assert Daemon.signal(daemon, :sigusr1, :group) == :ok
      assert_receive {:line, "outer"}, 30_000
      assert Daemon.signal(daemon, :sigusr1, :group) == :ok
      assert_receive {:line, "outer"}, 30_000
      refute_received {:line, "inner"}
      assert Daemon.signal(daemon, :sigusr1, :tree) == :ok
      assert_receive {:line, "inner"}, 30_000
      assert_receive {:line, "outer"}, 30_000
      GenServer.stop(daemon)
    end

    test "tells why a signal could not be sent", %{env: env} do
      daemon = start(@listener, env: env)
      assert Daemon.signal(daemon, :sighup, :cgroup) == {:error, :no_cgroup}
      assert Daemon.signal(daemon, 127) == {:error, :einval}

      assert_raise ArgumentError, ~r/such as :sighup, or its number, got: :sigfoo/, fn ->
        Daemon.signal(daemon, :sigfoo)
      end

      assert_raise ArgumentError, ~r/:tree or :cgroup, got: :all/, fn -> Daemon.signal(daemon, :sighup, :all) end
      GenServer.stop(daemon)
    end

    test "before the program runs there is nobody to get it", %{env: env} do
      test = self()

      wait = fn ->
        send(test, {:waiting, self()})
        receive(do: (:go -> :ok))
      end

      {:ok, daemon} = Daemon.start_link("sleep", ["1000"], wait_for: wait, env: env)
      assert_receive {:waiting, waiting}, 30_000
      assert Daemon.signal(daemon, :sighup) == {:error, :esrch}
      assert Daemon.program_pid(daemon) == :error
      send(waiting, :go)
      OS.eventually(fn -> Daemon.program_pid(daemon) != :error end)
      GenServer.stop(daemon)
    end

    # Either the signal came in time and has an answer, or the program's end is the answer.
    test "that meets the program's end is answered", %{env: env} do
      for _round <- 1..50 do
        {:ok, daemon} = Daemon.start_link("sleep", ["0.01"], env: env)

        callers =
          for _caller <- 1..5 do
            Task.async(fn ->
              try do
                Daemon.signal(daemon, :sigwinch)
              catch
                :exit, _ended -> {:error, :esrch}
              end
            end)
          end

        for answer <- Task.await_many(callers, 60_000), do: assert(answer in [:ok, {:error, :esrch}])
        assert_receive {:EXIT, ^daemon, _reason}, 30_000
      end
    end

    test "program_pid/1 is the program's, and os_pid/1 the helper's", %{env: env, mark: mark} do
      daemon = start("echo ready; exec sleep 1000", env: env)
      assert OS.alive(mark) == [Daemon.program_pid(daemon)]
      assert daemon |> Daemon.program_pid() |> OS.parent() |> OS.parent() == Daemon.os_pid(daemon)
      GenServer.stop(daemon)
    end
  end

  describe "a stop" do
    test "begins with :stop_signal", %{env: env} do
      daemon =
        start("trap 'echo int; exit 0' INT; echo ready; while :; do sleep 0.05; done",
          env: env,
          stop_signal: :sigint,
          delay_to_sigkill: 60_000
        )

      GenServer.stop(daemon)
      assert_received {:line, "int"}
    end

    test "goes on with the next signal of :stop_sequence", %{env: env} do
      script = "trap 'echo int' INT; trap 'echo term; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
      daemon = start(script, env: env, stop_sequence: [sigint: 300, sigterm: 60_000])
      refute capture_log(fn -> GenServer.stop(daemon) end) =~ "ms of SIGINT"
      assert_received {:line, "int"}
      assert_received {:line, "term"}
    end

    test "that all steps were not enough for is logged with them", %{env: env} do
      script = "trap '' INT TERM; echo ready; while :; do sleep 0.05; done"
      daemon = start(script, env: env, stop_sequence: [sigint: 100, sigterm: 200])
      log = capture_log(fn -> GenServer.stop(daemon) end)
      assert log =~ "the process did not end within 100 ms of SIGINT and 200 ms of SIGTERM, and was killed"
      assert log =~ "see :stop_sequence"
    end

    test "by the :timeout of cmd/3 takes the same steps", %{env: env} do
      script = "trap 'echo int; exit 0' INT; echo ready; while :; do sleep 0.05; done"

      assert Programs.cmd_until_ready("sh", ["-c", script], 500,
               stop_signal: :sigint,
               delay_to_sigkill: 60_000,
               env: env
             ) ==
               {"ready\nint\n", :timeout}
    end

    test "has its time in the child specification" do
      shutdown = fn opts -> Daemon.child_spec(["sleep", ["60"], opts]).shutdown end
      assert shutdown.(stop_sequence: [sigint: 10_000, sigterm: 5_000]) == 20_000
      assert shutdown.(stop_signal: :sigint, delay_to_sigkill: 1_000) == 6_000
      assert shutdown.(stop_signal: :sigint) == 5_500
      assert shutdown.(stop_sequence: :nonsense) == 5_500
    end

    test "is described by options that are checked" do
      for {opts, words} <- [
            {[stop_signal: :sigkill], "a signal that a program can end by itself for"},
            {[stop_signal: "INT"], "a signal that a program can end by itself for"},
            {[stop_signal: 9], "a signal that a program can end by itself for"},
            {[stop_sequence: [sigint: 0x7FFFFFFF, sigterm: 1]], "up to 8 signals"},
            {[stop_sequence: []], "up to 8 signals"},
            {[stop_sequence: [sigint: -1]], "up to 8 signals"},
            {[stop_sequence: [{:sigint, 1} | :sigterm]], "up to 8 signals"},
            {[stop_sequence: [sigkill: 1]], "up to 8 signals"},
            {[stop_sequence: List.duplicate({:sigint, 1}, 9)], "up to 8 signals"},
            {[stop_sequence: [sigint: 1], stop_signal: :sigint], "can't be given beside it"},
            {[stop_sequence: [sigint: 1], delay_to_sigkill: 5], "can't be given beside it"}
          ] do
        assert_raise ArgumentError, ~r/#{words}/, fn -> MuonTrap.cmd("true", [], opts) end
      end
    end
  end

  describe "a stop command" do
    @echoes "trap 'echo usr1; exit 0' USR1; trap 'echo term; exit 0' TERM; echo ready; while :; do sleep 0.05; done"

    test "is run in place of the signal, whoever started the program", %{env: env, tmp_dir: dir} do
      told = Path.join(dir, "told")
      command = ["sh", "-c", "echo $CHILD_PID $1 $MINE >$0; kill -USR1 $CHILD_PID", told, "an argument"]
      opts = [env: [{"MINE", "mine"} | env], stop_command: command, delay_to_sigkill: 60_000]

      daemon = start(@echoes, opts)
      pid = Daemon.program_pid(daemon)
      GenServer.stop(daemon)
      assert_received {:line, "usr1"}
      assert File.read!(told) == "#{pid} an argument mine\n"

      File.rm!(told)
      assert Programs.cmd_until_ready("sh", ["-c", @echoes], 500, opts) == {"ready\nusr1\n", :timeout}
      assert File.read!(told) =~ "an argument mine"

      File.rm!(told)
      assert "sh" |> MuonTrap.stream!(["-c", @echoes], opts) |> Enum.take(1) == ["ready\n"]
      assert File.read!(told) =~ "an argument mine"

      File.rm!(told)
      {:ok, program} = MuonTrap.Program.start_link("sh", ["-c", @echoes], opts)
      assert MuonTrap.Program.read(program) == {:stdout, "ready\n"}
      assert MuonTrap.Program.stop(program) == {:ok, 0}
      assert File.read!(told) =~ "an argument mine"
    end

    test "is not run for a program that ends by itself", %{env: env, tmp_dir: dir} do
      told = Path.join(dir, "told")
      assert MuonTrap.cmd("echo", ["hi"], stop_command: ["touch", told], env: env) == {"hi\n", 0}
      refute File.exists?(told)
    end

    test "that fails is followed by the signal", %{env: env} do
      for stop_command <- [["false"], ["sh", "-c", "kill -KILL $$"]] do
        daemon = start(@echoes, env: env, stop_command: stop_command, delay_to_sigkill: 60_000)
        GenServer.stop(daemon)
        assert_received {:line, "term"}
      end
    end

    test "that was not enough is named in the log, and nothing of it is left", %{env: env, mark: mark} do
      daemon = start(@echoes, env: env, stop_command: ["sh", "-c", "sleep 1000 & sleep 1000"], delay_to_sigkill: 300)

      assert capture_log(fn -> GenServer.stop(daemon) end) =~
               "did not end within 300 ms of its stop command, and was killed"

      if OS.linux_helper?(), do: assert(OS.alive(mark) == []), else: OS.eventually(fn -> OS.alive(mark) == [] end)

      sequence = [sigint: 200, sigusr1: 60_000]
      daemon = start(@echoes, env: env, stop_command: ["true"], stop_sequence: sequence)
      GenServer.stop(daemon)
      assert_received {:line, "usr1"}
    end

    test "is a list of strings, whose first one names a program" do
      for value <- [[], "true", [""], [true], ["a\0b"], ["true" | "x"], ["true", ~c"x"], List.duplicate("true", 65)] do
        assert_raise ArgumentError,
                     ~r/:stop_command for MuonTrap.cmd.3: expected a list of a program and its arguments/,
                     fn ->
                       MuonTrap.cmd("true", [], stop_command: value)
                     end
      end

      for missing <- ["no-such-program", "/no/such/program", "/etc/passwd"] do
        assert_raise ArgumentError,
                     "the program #{inspect(missing)} of the option :stop_command for MuonTrap.cmd/3 can't be found, or not be executed",
                     fn -> MuonTrap.cmd("true", [], stop_command: [missing]) end
      end
    end
  end

  describe "a lock" do
    test "keeps a start waiting until all that the one before ran is dead", %{env: env, tmp_dir: dir} do
      lock = Path.join(dir, "lock")
      first = start("echo ready; exec sleep 1000", env: env, lock: lock)

      log =
        capture_log(fn ->
          # It returns when it has said that it waits.
          {:ok, second} =
            Daemon.start_link("echo", ["second"], lock: lock, env: env, logger_fun: Programs.lines_to_me())

          refute_received {:line, "second"}
          GenServer.stop(first)
          assert_receive {:line, "second"}, 30_000
          assert_receive {:EXIT, ^second, :normal}, 30_000
        end)

      assert log =~ "echo' waits for the lock '#{lock}', which is held by "
    end

    # A portable helper can't know that nobody is left who holds it, and so lets go of it when it leaves, a moment later.
    @tag :linux
    test "is free when cmd/3 has returned, or a daemon has ended", %{env: env, tmp_dir: dir} do
      lock = Path.join(dir, "lock")
      for _round <- 1..100, do: assert(MuonTrap.cmd("true", [], lock: lock, lock_timeout: 0) == {"", 0})

      for _round <- 1..50 do
        {:ok, daemon} = Daemon.start_link("sleep", ["1000"], lock: lock, lock_timeout: 0, env: env)
        GenServer.stop(daemon)
      end
    end

    test "that is waited for doesn't hold up the supervisor, and the wait can be stopped", context do
      %{env: env, mark: mark, tmp_dir: dir} = context
      lock = Path.join(dir, "lock")
      holder = start("echo ready; exec sleep 1000", env: env, lock: lock)

      capture_log(fn ->
        {:ok, supervisor} = Supervisor.start_link([], strategy: :one_for_one)
        touch = {Daemon, ["touch", [Path.join(dir, "started")], [lock: lock, env: env]]}
        {:ok, waiting} = Supervisor.start_child(supervisor, Supervisor.child_spec(touch, restart: :temporary))
        assert Daemon.program_pid(waiting) == :error
        assert Daemon.os_pid(waiting) == :error
        assert Daemon.signal(waiting, :sighup) == {:error, :esrch}
        Supervisor.stop(supervisor)
        OS.eventually(fn -> length(OS.helpers(mark)) == 2 end)

        {:ok, next} = Daemon.start_link("echo", ["next"], lock: lock, env: env, logger_fun: Programs.lines_to_me())
        GenServer.stop(holder)
        assert_receive {:line, "next"}, 30_000
        assert_receive {:EXIT, ^next, :normal}, 30_000
      end)

      refute File.exists?(Path.join(dir, "started"))
    end

    test "that a daemon waits for whose supervisor was killed starts nothing", context do
      %{env: env, mark: mark, tmp_dir: dir} = context
      lock = Path.join(dir, "lock")
      holder = start("echo ready; exec sleep 1000", env: env, lock: lock)
      opts = [lock: lock, lock_timeout: 600_000, env: env]
      {parent, monitor} = spawn_monitor(fn -> Daemon.start_link("touch", [Path.join(dir, "started")], opts) end)
      OS.eventually(fn -> length(OS.helpers(mark)) > 2 end)
      Process.exit(parent, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^parent, :killed}, 30_000
      OS.eventually(fn -> length(OS.helpers(mark)) == 2 end)
      GenServer.stop(holder)
      refute File.exists?(Path.join(dir, "started"))
    end

    test "is waited for although the starter is gone, from whom the daemon was unlinked", context do
      %{env: env, mark: mark, tmp_dir: dir} = context
      lock = Path.join(dir, "lock")
      holder = start("echo ready; exec sleep 1000", env: env, lock: lock)
      opts = [lock: lock, lock_timeout: 600_000, env: env, wait_for: fn -> :ok end, logger_fun: Programs.lines_to_me()]

      {starter, monitor} =
        spawn_monitor(fn ->
          {:ok, daemon} = Daemon.start_link("echo", ["late"], opts)
          Process.unlink(daemon)
        end)

      assert_receive {:DOWN, ^monitor, :process, ^starter, :normal}, 30_000
      OS.eventually(fn -> length(OS.helpers(mark)) > 2 end)
      GenServer.stop(holder)
      assert_receive {:line, "late"}, 30_000
    end

    test "that could not be had in time is the reason that a daemon stops with", %{env: env, tmp_dir: dir} do
      lock = Path.join(dir, "lock")
      holder = start("echo ready; exec sleep 1000", env: env, lock: lock)

      capture_log(fn ->
        {:ok, daemon} = Daemon.start_link("true", [], lock: lock, lock_timeout: 10, wait_for: fn -> :ok end, env: env)
        assert_receive {:EXIT, ^daemon, %Error{stage: :lock, reason: :etimedout}}, 30_000
      end)

      GenServer.stop(holder)
    end

    @tag :linux
    test "is held by what the helper has left when both its processes were killed", context do
      %{env: env, mark: mark, tmp_dir: dir} = context
      lock = Path.join(dir, "lock")
      daemon = start(with_sessions(1, dir, "echo ready; wait"), env: env, lock: lock)
      keeper = Daemon.os_pid(daemon)
      [relay] = OS.children(keeper)
      OS.kill(relay, "STOP")
      capture_log(fn -> for pid <- [keeper, relay], do: OS.kill(pid, "KILL") end)
      assert_receive {:EXIT, ^daemon, %Error{reason: :vanished}}, 30_000
      [left] = OS.eventually(fn -> match?([_one], OS.alive(mark)) && OS.alive(mark) end)

      assert_raise Error, ~r/could not be had within 200 ms, because it is held by process #{left} \(perl\)/, fn ->
        MuonTrap.cmd("echo", ["no"], lock: lock, lock_timeout: 200)
      end

      assert {:error, %Error{stage: :lock, reason: :etimedout}} =
               Daemon.start_link("sleep", ["1000"], lock: lock, lock_timeout: 0)

      start = Task.async(fn -> MuonTrap.cmd("echo", ["after"], lock: lock, lock_timeout: :infinity) end)
      refute Task.yield(start, 300)
      OS.kill(left, "KILL")
      assert Task.await(start, 30_000) == {"after\n", 0}
    end

    test "bounds no longer than the :timeout of cmd/3", %{env: env, tmp_dir: dir} do
      lock = Path.join(dir, "lock")
      daemon = start("echo ready; exec sleep 1000", env: env, lock: lock)
      assert MuonTrap.cmd("echo", ["no"], lock: lock, timeout: 300) == {"", :timeout}
      GenServer.stop(daemon)
    end

    test "that a killed caller waited for starts nothing", %{env: env, mark: mark, tmp_dir: dir} do
      lock = Path.join(dir, "lock")
      daemon = start("echo ready; exec sleep 1000", env: env, lock: lock)

      {caller, monitor} =
        spawn_monitor(fn -> MuonTrap.cmd("touch", [Path.join(dir, "started")], lock: lock, env: env) end)

      OS.eventually(fn -> length(OS.helpers(mark)) > 2 end)
      Process.exit(caller, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^caller, _reason}, 30_000
      OS.eventually(fn -> length(OS.helpers(mark)) == 2 end)
      GenServer.stop(daemon)
      refute File.exists?(Path.join(dir, "started"))
    end

    test "is refused where it can't be made", %{tmp_dir: dir} do
      assert_raise Error, ~r/cannot open the lock '.*none\/lock': No such file or directory/, fn ->
        MuonTrap.cmd("true", [], lock: Path.join(dir, "none/lock"))
      end

      assert_raise ArgumentError, ~r/needs :lock/, fn -> MuonTrap.cmd("true", [], lock_timeout: 5) end
      assert_raise ArgumentError, ~r/a file as a string/, fn -> MuonTrap.cmd("true", [], lock: :here) end
    end

    test "may be relative to where the VM is", %{tmp_dir: dir} do
      lock = Path.relative_to_cwd(Path.join(dir, "lock"))
      assert MuonTrap.cmd("pwd", [], lock: lock, cd: "/") == {"/\n", 0}
      assert File.exists?(Path.join(dir, "lock"))
    end
  end

  describe "a program that goes on in the background" do
    @tag :linux
    test "is logged, though its end is a normal one", %{env: env, tmp_dir: dir} do
      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link("sh", ["-c", with_sessions(2, dir, "exit 0")], env: env)
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
        end)

      assert log =~ "[warning] "
      assert log =~ "the process exited with status 0 and left 2 descendants (2 perl), which had to be killed"
      assert log =~ "run it in the foreground"
    end

    # The log has what others' daemons do, too, so this program has a name of its own.
    test "and one that has left nothing isn't, nor one that was stopped", %{env: env, tmp_dir: dir} do
      quiet = Path.join(dir, "quiet-server")
      File.ln_s!(System.find_executable("sh"), quiet)

      log =
        capture_log(fn ->
          {:ok, daemon} = Daemon.start_link(quiet, ["-c", "sleep 0 & wait; exit 0"], env: env)
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
          # The trap comes behind the fork: dash's child keeps the handler until it executes, and loses the signal.
          script = "sleep 1000 & trap 'exit 0' TERM; echo ready; wait"
          opts = [env: env, logger_fun: Programs.lines_to_me(), delay_to_sigkill: 60_000]
          {:ok, daemon} = Daemon.start_link(quiet, ["-c", script], opts)
          assert_receive {:line, "ready"}, 30_000
          GenServer.stop(daemon)
        end)

      refute log =~ "quiet-server"
    end
  end

  describe "a log level for each stream" do
    defp log_of(levels, opts \\ []) do
      capture_log(fn ->
        {:ok, daemon} =
          Daemon.start_link(
            "sh",
            ["-c", "printf 'to-out\\nhalf'; printf 'to-err\\nbroken' >&2"],
            [log_output: levels] ++ opts
          )

        assert_receive {:EXIT, ^daemon, :normal}, 30_000
      end)
    end

    test "tells them apart" do
      log = log_of(stdout: :info, stderr: :error)

      for {level, line} <- [info: "to-out", info: "half", error: "to-err", error: "broken"],
          do: assert(log =~ ~r/\[#{level}\] .*: #{line}\n/)
    end

    test "is for those alone that are named" do
      log = log_of(stderr: :warn)
      assert log =~ ~r/\[warning\] .*: to-err\n/
      refute log =~ "to-out"
      log = log_of(stdout: :info)
      assert log =~ ~r/\[info\] .*: to-out\n/
      refute log =~ "to-err"
    end

    test "excludes what makes one of them" do
      for option <- [:stderr_to_stdout, :capture_stderr_only] do
        assert {:error, {%ArgumentError{message: message}, _stack}} =
                 Daemon.start_link("true", [], [{option, true}, log_output: [stderr: :error]])

        assert message =~ "can't be given beside it"
      end

      for wrong <- [[], [stdout: :loud], [stdin: :info], "info"] do
        assert {:error, {%ArgumentError{message: message}, _stack}} = Daemon.start_link("true", [], log_output: wrong)
        assert message =~ "a log level such as :debug, or [stdout: level, stderr: level]"
      end
    end

    test "doesn't count, nor does its stream, when there is a function for the lines" do
      opts = [log_output: [stderr: :error], logger_fun: Programs.lines_to_me()]
      {:ok, daemon} = Daemon.start_link("sh", ["-c", "echo out; echo '(a line of a test)' >&2"], opts)
      assert_receive {:EXIT, ^daemon, :normal}, 30_000
      assert_received {:line, "out"}
      refute_received {:line, _other}
    end
  end
end
