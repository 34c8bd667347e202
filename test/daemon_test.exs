# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.DaemonTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias MuonTrap.{Daemon, Error}
  alias MuonTrap.Test.{OS, Programs}

  doctest MuonTrap.Daemon

  setup do
    Process.flag(:trap_exit, true)
    mark = OS.mark()
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    %{mark: mark, env: OS.marked(mark)}
  end

  # Options that send each line to the test.
  defp lines_to_me(opts \\ []) do
    test = self()
    [logger_fun: &send(test, {:line, &1})] ++ opts
  end

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
            logger_fun: {IO, :puts},
            logger_metadata: [1],
            max_line_length: 0,
            exit_status_to_reason: :reason,
            wait_for: fn _x -> :ok end,
            name: "string"
          ] do
        assert {:error, {%ArgumentError{message: message}, _stack}} = Daemon.start_link("true", [], [option])
        assert message =~ inspect(name)
      end
    end

    test "waits for :wait_for, and is called off when it raises", %{env: env, mark: mark} do
      test = self()

      starter =
        Task.async(fn ->
          Process.flag(:trap_exit, true)

          wait = fn ->
            send(test, {:waiting, self()})
            receive do: (:go -> :ignored)
          end

          {:ok, daemon} = Daemon.start_link("sleep", ["1000"], wait_for: wait, env: env)
          alive = OS.alive(mark)
          GenServer.stop(daemon)
          alive
        end)

      assert_receive {:waiting, daemon}, 30_000
      assert OS.alive(mark) == []
      send(daemon, :go)
      assert [_program] = Task.await(starter, 30_000)

      assert {:error, {%RuntimeError{message: "no"}, _stack}} =
               Daemon.start_link("sleep", ["1000"], wait_for: fn -> raise "no" end, env: env)

      assert OS.alive(mark) == []
    end
  end

  describe "the child specification" do
    test "takes two or three elements, and its shutdown leaves time for :delay_to_sigkill" do
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

  @tag :tmp_dir
  test "a daemon whose supervisor is killed is not overlapped by the next supervisor's", %{env: env, tmp_dir: dir} do
    env = [{"LOCK", Path.join(dir, "lock")} | env]
    child = {Daemon, ["sh", ["-c", @script], lines_to_me(env: env, delay_to_sigkill: 10_000)]}
    inner = %{id: :inner, type: :supervisor, start: {Supervisor, :start_link, [[child], [strategy: :one_for_one]]}}
    {:ok, outer} = Supervisor.start_link([inner], strategy: :one_for_one, max_restarts: 1_000)

    for _ <- 1..10 do
      assert_receive {:line, line}, 30_000
      assert line == "ready"
      [{:inner, supervisor, _type, _modules}] = Supervisor.which_children(outer)
      Process.exit(supervisor, :kill)
    end

    assert_receive {:line, "ready"}, 30_000
    Supervisor.stop(outer)
    refute_received {:line, "overlap"}
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

    test "goes to :logger_fun as a function or with arguments" do
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

      log =
        capture_log([format: "$message\n"], fn ->
          {:ok, daemon} = Daemon.start_link("echo", [line], log_output: :error, log_prefix: "> ")
          assert_receive {:EXIT, ^daemon, :normal}, 30_000
        end)

      refute log =~ "truncated"
      assert log |> String.split("\n") |> Enum.map_join(&String.replace_prefix(&1, "> ", "")) == line
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

  def line(line, test, extra), do: send(test, {:line, line, extra})
end
