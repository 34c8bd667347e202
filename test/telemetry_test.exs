# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.TelemetryTest do
  # Not async: the library :telemetry is there for all that run meanwhile.
  use ExUnit.Case, async: false

  import MuonTrap.Test.OS, only: [eventually: 1]

  alias MuonTrap.{Daemon, Error, Program}
  alias MuonTrap.Test.{Cgroups, OS, Programs, Servers, Sink, Telemetry}

  @moduletag :capture_log

  @start_measurements [:launch_duration, :monotonic_time, :system_time]
  @program_metadata [:args, :cgroup, :command, :os_pid, :owner, :server, :starter]
  @usage [:cpu_system_us, :cpu_user_us, :peak_memory_bytes, :stragglers]
  @end_metadata [:cause, :core_dumped, :forced, :oom_killed, :signal, :status]

  setup do
    Process.flag(:trap_exit, true)
    mark = OS.mark()
    :ok = Telemetry.install()

    on_exit(fn ->
      Telemetry.remove()
      {:ok, _started} = Application.ensure_all_started(:muontrap)
      Application.delete_env(:muontrap, :idle_helpers)
      for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL")
    end)

    :ok = Telemetry.attach()
    %{env: OS.marked(mark), mark: mark}
  end

  # What has come of the owner's program: its start and its end. Programs that others have left may end meanwhile.
  defp events(owner) do
    assert_receive {:event, :start, start, %{owner: ^owner} = program, server}, 150_000
    assert_receive {:event, last, ending, %{owner: ^owner} = metadata, ^server}, 150_000
    assert last in [:stop, :exception]
    assert program.server == server
    assert keys(program) == @program_metadata
    assert Map.take(metadata, @program_metadata) == program
    assert start.monotonic_time + ending.duration == ending.monotonic_time
    assert_in_delta start.system_time, System.system_time(), System.convert_time_unit(600, :second, :native)
    {start, last, ending, metadata}
  end

  # Of one that has run, and whose end was told.
  defp stopped(owner) do
    assert {start, :stop, ending, metadata} = events(owner)
    assert keys(start) == @start_measurements
    assert keys(ending) == Enum.sort([:duration, :monotonic_time, :output_byte_count | @usage])
    assert keys(metadata) == Enum.sort(@program_metadata ++ @end_metadata)
    {ending, metadata}
  end

  defp failed(owner) do
    assert {start, :exception, ending, metadata} = events(owner)
    assert keys(metadata) == Enum.sort([:kind, :reason, :stacktrace | @program_metadata])
    assert %{kind: :error, stacktrace: []} = metadata
    {start, ending, metadata}
  end

  defp keys(map), do: map |> Map.keys() |> Enum.sort()

  defp elsewhere(fun), do: start_supervised!({Task, fun}, id: make_ref())

  # When it has written its first line.
  defp running(fun, env) do
    test = self()
    {program, args} = Programs.deaf()
    owner = elsewhere(fn -> fun.(program, args, &send(test, {:read, &1}), env: env, delay_to_sigkill: 100) end)
    assert_receive {:read, _ready}, 60_000
    owner
  end

  defp cmd(program, args, tell, opts), do: MuonTrap.cmd(program, args, [into: %Sink{with: tell}] ++ opts)
  defp stream(program, args, tell, opts), do: program |> MuonTrap.stream!(args, opts) |> Enum.each(tell)

  describe "a program that ends by itself" do
    test "has its start and its end, whoever has started it", %{env: env} do
      words = ["-c", "echo hello; exit 3"]
      test = self()
      {"hello\n", 3} = MuonTrap.cmd("sh", words, env: env)
      assert {ending, %{starter: :cmd} = metadata} = stopped(test)
      assert %{command: "sh", args: ^words, cgroup: nil, status: 3, signal: nil, cause: :exited} = metadata
      assert %{core_dumped: false, forced: false, oom_killed: false} = metadata
      assert %{output_byte_count: 6, stragglers: 0} = ending
      assert ending.peak_memory_bytes > 100_000
      assert is_integer(metadata.os_pid)

      {"hello\n", 3} = MuonTrap.shell("echo hello; exit 3", env: env)
      assert {%{output_byte_count: 6}, %{starter: :shell, args: ^words, status: 3}} = stopped(test)

      ["hello\n", {:exit, 3}] = "sh" |> MuonTrap.stream!(words, env: env, exit: :return) |> Enum.to_list()
      assert {%{output_byte_count: 6}, %{starter: :stream, status: 3, cause: :exited}} = stopped(test)

      {:ok, program} = Program.start_link("sh", words, env: env)
      assert {%{output_byte_count: 6}, %{starter: :program, status: 3, cause: :exited}} = stopped(program)
      {:ok, 3} = Program.stop(program)

      {:ok, daemon} = Daemon.start_link("sh", words, env: env)
      assert {%{output_byte_count: 6}, %{starter: :daemon, status: 3, cause: :exited}} = stopped(daemon)
      refute_received {:event, _name, _measurements, %{owner: ^test}, _server}
    end

    test "has them, too, with a helper that is not used again", %{env: env} do
      Application.put_env(:muontrap, :idle_helpers, 0)
      {"hello\n", 3} = MuonTrap.cmd("sh", ["-c", "echo hello; exit 3"], env: env)
      assert {%{output_byte_count: 6}, %{status: 3, cause: :exited}} = stopped(self())
    end

    test "has the output counted that comes directly and that is served", %{env: env} do
      script = "head -c 300000 /dev/zero; sleep 0.1; echo; sleep 0.1; head -c 100000 /dev/zero"
      {output, 0} = MuonTrap.cmd("sh", ["-c", script], env: env)
      assert byte_size(output) == 400_001
      assert {%{output_byte_count: 400_001}, %{status: 0}} = stopped(self())
    end

    @tag :linux
    test "has the processor's time and what it has left behind", %{env: env} do
      busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 1000 & exit 0"
      {"", 0} = MuonTrap.cmd("sh", ["-c", busy], env: env)
      assert {ending, %{status: 0, cause: :exited, forced: forced}} = stopped(self())
      assert ending.cpu_user_us + ending.cpu_system_us >= 10_000
      assert ending.stragglers == 1
      assert is_boolean(forced)
    end

    test "by a signal has that signal", %{env: env} do
      {"", 143} = MuonTrap.cmd("sh", ["-c", "kill -TERM $$"], env: env)
      assert {_ending, %{status: 143, signal: :sigterm, cause: :exited}} = stopped(self())
    end

    test "is told of before its stream's consumer asks for the end", %{env: env} do
      test = self()

      owner =
        elsewhere(fn ->
          "echo"
          |> MuonTrap.stream!(["hello"], env: env)
          |> Enum.each(fn "hello\n" ->
            send(test, :handling)
            receive do: (:go -> :ok)
          end)

          send(test, :done)
        end)

      assert_receive :handling, 60_000
      assert {_ending, %{status: 0, cause: :exited}} = stopped(owner)
      send(owner, :go)
      assert_receive :done, 60_000
      refute_receive {:event, _name, _measurements, %{owner: ^owner}, _server}, 100
    end
  end

  describe "a program that is ended" do
    test "by the timeout says so", %{env: env} do
      time_out(env, 300)
    end

    # With the time up before the program runs, as on a busy machine, there is no stop.
    defp time_out(env, timeout) do
      called = System.monotonic_time()
      opts = [env: env, timeout: timeout, delay_to_sigkill: 60_000]
      {output, :timeout} = MuonTrap.cmd("sh", ["-c", "echo ready; exec sleep 1000"], opts)
      took = System.monotonic_time() - called

      if output == "" and timeout < 60_000 do
        events(self())
        time_out(env, 2 * timeout)
      else
        assert output == "ready\n"
        assert {ending, %{status: 143, signal: :sigterm, cause: :timed_out, forced: false}} = stopped(self())
        # The timeout counts from the call, and the duration from the time of the start, which may be much later.
        assert ending.duration in 1..took
        assert ending.monotonic_time - called >= System.convert_time_unit(timeout, :millisecond, :native)
      end
    end

    test "by who runs it says so, and whether it took force", %{env: env} do
      {program, args} = Programs.deaf()
      {:ok, daemon} = Daemon.start_link(program, args, env: env, delay_to_sigkill: 100)
      eventually(fn -> Daemon.statistics(daemon).output_byte_count > 0 end)
      GenServer.stop(daemon)
      assert {_ending, %{status: 137, signal: :sigkill, cause: :stopped, forced: true}} = stopped(daemon)

      {:ok, program} = Program.start_link("sleep", ["1000"], env: env, delay_to_sigkill: 60_000)
      {:ok, 143} = Program.stop(program, 60_000)
      assert {_ending, %{status: 143, cause: :stopped, forced: false}} = stopped(program)

      ["y\n" <> _] = "yes" |> MuonTrap.stream!([], env: env) |> Enum.take(1)
      assert {%{output_byte_count: bytes}, %{signal: :sigterm, cause: :stopped}} = stopped(self())
      assert bytes > 0

      assert_raise RuntimeError, fn ->
        MuonTrap.cmd("yes", [], env: env, into: %Sink{with: fn _data -> raise "enough" end})
      end

      assert {_ending, %{signal: :sigterm, cause: :stopped}} = stopped(self())
    end

    test "because its owner was killed says so", %{env: env} do
      for fun <- [&cmd/4, &stream/4] do
        owner = running(fun, env)
        Process.exit(owner, :kill)
        assert {_ending, %{status: 137, cause: :owner_died, forced: true}} = stopped(owner)
      end

      for start <- [&Program.start_link/3, &Daemon.start_link/3] do
        {:ok, owner} = start.("sleep", ["1000"], env: env, delay_to_sigkill: 60_000)
        Process.exit(owner, :kill)
        assert {_ending, %{status: 143, cause: :owner_died, forced: false}} = stopped(owner)
      end
    end

    test "and whose owner was killed before it has heard of that has an end of which little is known", ctx do
      test = self()

      tell = fn data ->
        send(test, {:read, data})
        receive do: (:never -> :ok)
      end

      # The owner has the output in hand when the end comes to its mailbox.
      for idle <- [2, 0] do
        Application.put_env(:muontrap, :idle_helpers, idle)
        owner = owner_with_port(fn -> cmd("sh", ["-c", "echo hello; exec sleep 1000"], tell, env: ctx.env) end)
        eventually(fn -> match?([pid] when is_integer(pid), OS.alive(ctx.mark)) end)
        for pid <- OS.alive(ctx.mark), do: OS.kill(pid, "TERM")
        eventually(fn -> Process.info(owner, :message_queue_len) == {:message_queue_len, 1} end)
        Process.exit(owner, :kill)
        assert {_start, :stop, ending, metadata} = events(owner)
        assert keys(ending) == [:duration, :monotonic_time, :output_byte_count]
        assert ending.output_byte_count == 6
        assert %{status: nil, signal: nil, forced: nil, oom_killed: nil, cause: :owner_died} = metadata
      end
    end

    defp owner_with_port(fun) do
      Servers.owner_with_port(
        fn ->
          owner = elsewhere(fun)
          assert_receive {:read, "hello\n"}, 60_000
          {owner, owner}
        end,
        fn owner ->
          Process.exit(owner, :kill)
          assert {_start, :stop, _ending, _metadata} = events(owner)
        end
      )
    end

    test "by the application's stop says so", %{env: env} do
      owner = running(&cmd/4, env)
      {:ok, daemon} = Daemon.start_link("sleep", ["1000"], env: env)
      {:ok, program} = Program.start_link("sleep", ["1000"], env: env)
      :ok = Application.stop(:muontrap)
      assert {_ending, %{signal: :sigkill, cause: :application_stopped, forced: true}} = stopped(owner)
      assert {_ending, %{signal: :sigterm, cause: :application_stopped}} = stopped(daemon)
      assert {_ending, %{signal: :sigterm, cause: :application_stopped}} = stopped(program)
    end

    @tag :cgroup_controllers
    test "by the OOM killer says so", %{env: env} do
      hog = ["-e", "open(my $zero, '/dev/zero'); sysread($zero, my $x, 128 << 20); print 'done'"]
      limit = %{memory_max: 32 * 1_048_576, memory_swap_max: 0}
      opts = [env: env, cgroup_base: Cgroups.base(), cgroup: limit]
      {"", 137} = MuonTrap.cmd("perl", hog, opts)
      assert {ending, metadata} = stopped(self())
      assert %{oom_killed: true, status: 137, signal: :sigkill, cause: :exited, forced: false} = metadata
      assert metadata.cgroup =~ ~r"^#{Cgroups.base()}/"
      assert ending.peak_memory_bytes in 1_000_000..(40 * 1_048_576)

      {:ok, daemon} = Daemon.start_link("perl", hog, opts)
      assert_receive {:EXIT, ^daemon, :oom_killed}, 120_000
      assert {_ending, %{oom_killed: true, starter: :daemon}} = stopped(daemon)
    end
  end

  describe "a helper that is killed" do
    test "has an exception when nobody is left who knows of the end", %{env: env, mark: mark} do
      owner = running(fn program, args, tell, opts -> catch_error(cmd(program, args, tell, opts)) end, env)
      {_keeper, relay} = OS.keeper_and_relay(mark)
      OS.kill(relay, "KILL")
      assert {_start, ending, %{reason: %Error{stage: :relay, reason: :vanished}}} = failed(owner)
      assert keys(ending) == [:duration, :monotonic_time, :output_byte_count]

      {:ok, daemon} = Daemon.start_link("sleep", ["1000"], env: env)
      {keeper, relay} = OS.keeper_and_relay(mark)
      for pid <- [relay, keeper], do: OS.kill(pid, "STOP")
      for pid <- [keeper, relay], do: OS.kill(pid, "KILL")
      assert {_start, _ending, %{reason: %Error{reason: :vanished}}} = failed(daemon)
    end

    test "by halves has the program's end", %{env: env, mark: mark} do
      {:ok, program} = Program.start_link("sleep", ["1000"], env: env)
      {keeper, _relay} = OS.keeper_and_relay(mark)
      OS.kill(keeper, "KILL")
      assert {_ending, %{status: 143, signal: :sigterm, cause: :exited}} = stopped(program)
    end
  end

  describe "a program that can't be started" do
    test "has a start and an exception", %{env: env} do
      opts = [env: env, cd: "/no/such/directory"]
      assert_raise Error, fn -> MuonTrap.cmd("true", [], opts) end
      assert {start, ending, metadata} = failed(self())
      assert keys(start) == @start_measurements -- [:launch_duration]
      assert keys(ending) == [:duration, :monotonic_time]
      assert %{starter: :cmd, command: "true", os_pid: nil, reason: %Error{stage: :cd, reason: :enoent}} = metadata

      assert_raise Error, fn -> "true" |> MuonTrap.stream!([], opts) |> Enum.to_list() end
      assert {_start, _ending, %{starter: :stream, reason: %Error{stage: :cd}}} = failed(self())

      for {module, starter} <- [{Program, :program}, {Daemon, :daemon}] do
        {:error, error} = module.start_link("true", [], opts)
        # Whose exit signal comes before OTP 26 only.
        assert_receive {:event, :start, _start, %{starter: ^starter, owner: owner}, _server} = start, 150_000
        send(self(), start)
        assert {_start, _ending, %{starter: ^starter, reason: ^error}} = failed(owner)
      end
    end

    test "has neither when there is no such program, or an option is wrong", %{env: env} do
      test = self()
      assert_raise ErlangError, fn -> MuonTrap.cmd("no-such-program", [], env: env) end
      assert_raise ErlangError, fn -> MuonTrap.cmd("/no/such/program", [], env: env) end
      assert_raise ErlangError, fn -> "no-such" |> MuonTrap.stream!([], env: env) |> Enum.to_list() end
      assert_raise ArgumentError, fn -> MuonTrap.cmd("true", [], timeout: :soon) end
      {:error, _error} = Daemon.start_link("no-such-program", [], env: env)
      {:error, _error} = Program.start_link("no-such-program", [], env: env)
      {"", 0} = MuonTrap.cmd("true", [], env: env)
      assert {_ending, %{command: "true", starter: :cmd}} = stopped(test)
      refute_received {:event, _name, _measurements, %{command: "no-such" <> _}, _server}
      refute_received {:event, _name, _measurements, %{owner: ^test}, _server}
    end

    test "in time has its exception, and so has one that waits when the application stops", %{env: env} do
      lock = Path.join(System.tmp_dir!(), OS.mark())
      on_exit(fn -> File.rm(lock) end)
      {:ok, holder} = Daemon.start_link("sleep", ["1000"], env: env, lock: lock)
      assert_receive {:event, :start, _start, %{owner: ^holder}, _server}, 60_000

      {"", :timeout} = MuonTrap.cmd("true", [], env: env, lock: lock, timeout: 300)
      assert {_start, _ending, %{reason: :timeout, os_pid: nil}} = failed(self())

      assert_raise Error, fn -> MuonTrap.cmd("true", [], env: env, lock: lock, lock_timeout: 100) end
      assert {_start, _ending, %{reason: %Error{stage: :lock}}} = failed(self())

      {:ok, waiting} = Daemon.start_link("sleep", ["1000"], env: env, lock: lock)
      killed = elsewhere(fn -> MuonTrap.cmd("true", [], env: env, lock: lock) end)
      eventually(fn -> Enum.count(MuonTrap.list(), &(&1.owner in [waiting, killed] and &1.state == :waiting)) == 2 end)
      Process.exit(killed, :kill)
      assert {_start, _ending, %{reason: %Error{}, os_pid: nil}} = failed(killed)
      :ok = Application.stop(:muontrap)
      assert {_start, _ending, %{reason: %Error{}, os_pid: nil}} = failed(waiting)
    end
  end

  describe "a handler" do
    # Which waits in each event until it is let go on.
    def hold([:muontrap, :program, name], _measurements, %{command: "echo"}, test) do
      send(test, {:held, name, self()})
      receive do: (:go -> :ok)
    end

    def hold(_event, _measurements, _metadata, _test), do: :ok

    defp hold(names) do
      :ok =
        apply(:telemetry, :attach_many, [
          :hold,
          for(name <- names, do: [:muontrap, :program, name]),
          &__MODULE__.hold/4,
          self()
        ])
    end

    test "holds up nobody who waits for the start, nor for the end", %{env: env} do
      hold([:start])
      {:ok, program} = Program.start_link("echo", ["hello"], env: env)
      assert_receive {:held, :start, server}, 60_000
      send(server, :go)
      {:stdout, "hello\n"} = Program.read(program)
      assert {:ok, 0} = Program.await(program)
      assert {_ending, %{status: 0}} = stopped(program)

      apply(:telemetry, :detach, [:hold])
      hold([:stop])
      assert {"hello\n", 0} = MuonTrap.cmd("echo", ["hello"], env: env)
      assert_receive {:held, :stop, server}, 60_000
      send(server, :go)
      assert {_ending, %{status: 0}} = stopped(self())
    end

    def fail(_event, _measurements, _metadata, _config), do: raise("no")

    test "that raises harms no program", %{env: env} do
      events = for name <- [:start, :stop], do: [:muontrap, :program, name]
      :ok = apply(:telemetry, :attach_many, [:fail, events, &__MODULE__.fail/4, nil])
      assert {"hello\n", 0} = MuonTrap.cmd("echo", ["hello"], env: env)
      assert {_ending, %{status: 0}} = stopped(self())
    end
  end

  @tag timeout: 600_000 * OS.patience()
  test "each of a thousand programs at once has its start and then its end", %{env: env} do
    ends = [{"exit 0", [], 0}, {"exit 3", [], 3}, {"kill -KILL $$", [], 137}, {"sleep 1000", [timeout: 1], :timeout}]

    owners =
      for {script, opts, status} <- ends |> Stream.cycle() |> Enum.take(1_000) do
        {spawn_link(fn -> {"", ^status} = MuonTrap.cmd("sh", ["-c", script], [env: env] ++ opts) end), status}
      end

    for {owner, status} <- owners do
      case events(owner) do
        {_start, :stop, _ending, %{cause: :exited, status: ^status}} -> :ok
        {_start, :stop, _ending, %{cause: :timed_out}} when status == :timeout -> :ok
        {_start, :exception, _ending, %{reason: :timeout}} when status == :timeout -> :ok
      end
    end

    for {owner, _status} <- owners do
      assert_receive {:EXIT, ^owner, :normal}, 60_000
      refute_received {:event, _name, _measurements, %{owner: ^owner}, _server}
    end
  end

  # What the guide shows is run as it stands there, but for what takes Phoenix, whose grammar alone is looked at.
  @guide "docs/telemetry.md"
  @external_resource @guide

  for {[code], n} <-
        ~r/```elixir\n(.*?)```/s |> Regex.scan(File.read!(@guide), capture: :all_but_first) |> Enum.with_index(1) do
    test "block #{n} of #{@guide}" do
      apply(:telemetry, :detach, [self()])
      Code.eval_string(unquote(code), [], file: "#{@guide}, block #{unquote(n)}")
    end
  end

  test "the blocks of #{@guide} that aren't run are Elixir" do
    blocks = Regex.scan(~r/```elixir \w+\n(.*?)```/s, File.read!(@guide), capture: :all_but_first)
    assert blocks != []
    for [code] <- blocks, do: assert({:ok, _quoted} = Code.string_to_quoted(code))
  end
end
