# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.TalkingTest do
  # Programs that are talked to and misbehave, on pipes and on terminals. Not async: it counts what the VM has.
  use ExUnit.Case, async: false

  alias MuonTrap.HelperPort.Pool
  alias MuonTrap.Program
  alias MuonTrap.Test.{Cgroups, Frames, OS, Programs, Sink, Starters}

  @moduletag :tmp_dir

  @megabyte 1_048_576
  # Neither echo nor anything else is done to what passes.
  @raw [icanon: false, echo: false, isig: false, icrnl: false, ixon: false, opost: false, iexten: false]
  @ways [pipes: [], pty: [pty: @raw]]

  setup do
    Programs.marked()
  end

  defp sh(script, opts) do
    {:ok, program} = Program.start_link("sh", ["-c", script], opts)
    program
  end

  # A second process that waits for the answer.
  defp async(fun), do: Task.async(fun)
  defp answer(task), do: Task.await(task, 120_000)

  # What can be asked while the program runs, whatever it does with its streams.
  defp assert_answers(program) do
    pid = Program.os_pid(program)
    assert is_integer(pid) and OS.alive?(pid)
    assert Program.signal(program, :sigcont) == :ok
    assert Program.signal(program, :sigcont, :tree) == if(OS.linux_helper?(), do: :ok, else: {:error, :enosys})
    assert Program.os_pid(program) == pid
  end

  defp assert_stops(program, mark) do
    assert {:ok, status} = Program.stop(program, 60_000)
    assert status in [129, 137, 143]
    assert OS.alive(mark) == []
  end

  # Writes that size in pieces, as far as it can.
  defp write_megabytes(program, count) do
    Enum.reduce_while(1..(count * 16), :ok, fn n, :ok ->
      case Program.write(program, :binary.copy(<<n::32>>, 16_384)) do
        :ok -> {:cont, :ok}
        error -> {:halt, error}
      end
    end)
  catch
    # It was stopped between two writes.
    :exit, {reason, _call} when reason in [:noproc, :normal] -> {:error, :closed}
  end

  defp expected_sha256(count) do
    1..(count * 16)
    |> Enum.reduce(:crypto.hash_init(:sha256), &:crypto.hash_update(&2, :binary.copy(<<&1::32>>, 16_384)))
    |> :crypto.hash_final()
  end

  defp read_sha256(program, state \\ {0, :crypto.hash_init(:sha256)}) do
    {bytes, hash} = state

    case Program.read(program) do
      {:stdout, data} -> read_sha256(program, {bytes + byte_size(data), :crypto.hash_update(hash, data)})
      :eof -> {bytes, :crypto.hash_final(hash)}
    end
  catch
    :exit, {reason, _call} when reason in [:noproc, :normal] -> {elem(state, 0), :stopped}
  end

  describe "nothing waits for ever for a program that" do
    for {way, megabytes} <- [pipes: 100, pty: 20] do
      test "writes #{megabytes} MB while as much is written to it, on #{way}", %{env: env} do
        megabytes = unquote(megabytes)
        opts = [env: env] ++ @ways[unquote(way)]
        {:ok, program} = Program.start_link("head", ["-c", "#{megabytes * @megabyte}"], opts)
        writer = async(fn -> write_megabytes(program, megabytes) end)
        reader = async(fn -> read_sha256(program) end)
        for _ <- 1..10, do: assert_answers(program)
        assert answer(writer) == :ok
        assert answer(reader) == {megabytes * @megabyte, expected_sha256(megabytes)}
        assert Program.await(program) == {:ok, 0}
        Program.stop(program)
      end
    end

    for way <- [:pipes, :pty] do
      @tag way: way
      test "is stopped while it writes and is written to, on #{way}", %{mark: mark, env: env, way: way} do
        {:ok, program} = Program.start_link("cat", [], [env: env] ++ @ways[way])
        writer = async(fn -> write_megabytes(program, 10_000) end)
        reader = async(fn -> read_sha256(program) end)
        assert_answers(program)
        assert_stops(program, mark)
        assert answer(writer) == {:error, :closed}
        assert {_bytes, _hash} = answer(reader)
      end

      @tag way: way
      test "never reads, on #{way}", %{mark: mark, env: env, way: way} do
        program = sh("echo ready; exec sleep 1000", [env: env] ++ @ways[way])
        assert Program.read(program) == {:stdout, "ready\n"}
        # As much as pipe and window hold, and no more. Who writes is held up, and can give up.
        assert Program.write(program, String.duplicate("x", 4 * @megabyte), 500) == {:error, :timeout}
        writer = async(fn -> Program.write(program, "more") end)
        for _ <- 1..10, do: assert_answers(program)
        assert Task.yield(writer, 0) == nil
        assert_stops(program, mark)
        assert answer(writer) == {:error, :closed}
      end

      @tag way: way
      test "never writes, on #{way}", %{mark: mark, env: env, way: way} do
        program = sh("exec cat >/dev/null", [env: env] ++ @ways[way])
        reader = async(fn -> Program.read(program) end)
        assert write_megabytes(program, 2) == :ok
        assert_answers(program)
        assert Program.read(program, 20) == {:error, :timeout}
        assert Task.yield(reader, 0) == nil
        assert_stops(program, mark)
        assert answer(reader) == :eof
      end

      @tag way: way
      test "writes endlessly, reads nothing, and is not read, on #{way}", %{mark: mark, env: env, way: way} do
        {:ok, program} = Program.start_link("yes", [], [env: env] ++ @ways[way])
        writer = async(fn -> write_megabytes(program, 10) end)
        OS.eventually(fn -> OS.blocked?(Program.os_pid(program)) end)
        for _ <- 1..10, do: assert_answers(program)
        assert Task.yield(writer, 0) == nil
        assert_stops(program, mark)
        assert answer(writer) == {:error, :closed}
      end

      @tag way: way
      test "closes its stdout and lives on, on #{way}", %{mark: mark, env: env, way: way} do
        program = sh("echo ready; exec cat >/dev/null 2>&1", [env: env] ++ @ways[way])
        assert Program.read(program) == {:stdout, "ready\n"}
        closed = sh("echo ready; exec >&- 2>&-; while read line; do :; done; exit 4", [env: env] ++ @ways[way])
        assert Program.read(closed) == {:stdout, "ready\n"}
        for one <- [program, closed], do: assert_answers(one)
        for one <- [program, closed], do: assert(Program.write(one, "line\nanother\n") == :ok)
        for one <- [program, closed], do: assert_answers(one)
        Program.stop(program)
        assert_stops(closed, mark)
      end

      @tag way: way
      test "closes its stdin and lives on, on #{way}", %{mark: mark, env: env, way: way} do
        program = sh("exec <&-; echo closed; while :; do sleep 0.05; echo alive; done", [env: env] ++ @ways[way])
        # What it has written meanwhile comes at once.
        read_until(program, &(&1 =~ ~r/\Aclosed\n/))
        # A terminal is open as the standard output still.
        if way == :pipes, do: assert(write_megabytes(program, 1) == {:error, :closed})
        assert_answers(program)
        read_until(program, &(&1 =~ ~r/\A(alive\n)+\z/))
        assert Program.close_stdin(program) == :ok
        assert Program.write(program, "late") == {:error, :closed}
        read_until(program, &(&1 =~ ~r/\A(alive\n)+\z/))
        assert_answers(program)
        assert_stops(program, mark)
      end

      @tag way: way
      @tag :linux
      test "hands its stdin to a daemon and ends, on #{way}", %{mark: mark, env: env, way: way} do
        program =
          sh("exec 3<&0; setsid sh -c 'trap \"\" HUP TERM; echo there; sleep 1000' <&3 & sleep 1000",
            env: env,
            pty: false
          )

        assert Program.read(program) == {:stdout, "there\n"}
        assert_answers(program)
        assert_stops(program, mark)

        script = "exec 3<&0; setsid sh -c 'trap \"\" HUP TERM; echo there; sleep 1000' <&3 & read go; exit 5"
        program = sh(script, [env: env] ++ @ways[way])
        assert Program.read(program) == {:stdout, "there\n"}
        writer = async(fn -> Program.write(program, ["go\n", String.duplicate("x", 4 * @megabyte)]) end)
        assert Program.await(program, 60_000) == {:ok, 5}
        assert answer(writer) == {:error, :closed}
        assert Program.signal(program, :sigterm) == {:error, :exited}
        assert Program.os_pid(program) == {:error, :exited}
        assert Program.read(program) == :eof
        assert OS.alive(mark) == []
        assert Program.stop(program) == {:ok, 5}
      end
    end

    # The terminal is hung up when its master is closed, which kills who has it as its controlling one.
    @tag way: :pty
    test "closes all that it has of a terminal and lives on", %{env: env} do
      for opts <- [[], [stdin: :null]] do
        program =
          sh(
            "echo ready; exec <&- >&- 2>&-; sleep 0.2; echo again >/dev/tty; exit 3",
            [env: env] ++ @ways[:pty] ++ opts
          )

        assert Program.read(program) == {:stdout, "ready\n"}
        assert Program.write(program, "x", 100) in [:ok, {:error, :closed}]
        assert Program.await(program) == {:ok, 3}
        Program.stop(program)
      end
    end

    test "echoes on a terminal what nobody reads", %{mark: mark, env: env} do
      program = sh("exec cat", env: env, pty: true)
      writer = async(fn -> Program.write(program, String.duplicate("a line to be echoed\n", 100_000)) end)
      OS.eventually(fn -> OS.blocked?(Program.os_pid(program)) end)
      for _ <- 1..10, do: assert_answers(program)
      assert Task.yield(writer, 0) == nil
      assert_stops(program, mark)
      assert answer(writer) == {:error, :closed}
    end

    test "has ended just when it is written to and signalled", %{env: env} do
      for way <- [:pipes, :pty], _ <- 1..50 do
        {:ok, program} = Program.start_link("true", [], [env: env] ++ @ways[way])

        writers =
          for _ <- 1..5 do
            async(fn -> Enum.find(Stream.repeatedly(fn -> Program.write(program, "x") end), &(&1 != :ok)) end)
          end

        signaller = async(fn -> Enum.find(Stream.repeatedly(fn -> Program.signal(program, 28) end), &(&1 != :ok)) end)
        for writer <- writers, do: assert(answer(writer) == {:error, :closed})
        assert answer(signaller) in [{:error, :exited}, {:error, :esrch}]
        assert Program.await(program) == {:ok, 0}
        assert Program.stop(program) == {:ok, 0}
      end
    end
  end

  describe "a signal" do
    @listener "trap 'echo hup' HUP; trap 'echo usr1' USR1; trap 'echo int' INT; echo ready; while :; do sleep 0.02; done"

    for way <- [:pipes, :pty] do
      @tag way: way
      test "goes by name and number to the program, on #{way}", %{env: env, mark: mark, way: way} do
        program = sh(@listener, [env: env] ++ @ways[way])
        assert Program.read(program) == {:stdout, "ready\n"}

        for {signal, line} <- [{:sighup, "hup\n"}, {1, "hup\n"}, {:sigint, "int\n"}, {2, "int\n"}, {:sigusr1, "usr1\n"}] do
          assert Program.signal(program, signal) == :ok
          assert Program.read(program) == {:stdout, line}
        end

        assert Program.signal(program, 9) == :ok
        assert Program.await(program) == {:ok, 137}
        assert Program.signal(program, 9) == {:error, :exited}
        assert OS.alive(mark) == []
        Program.stop(program)
      end

      @tag way: way
      @tag :linux
      test "goes to the group, and to the tree, on #{way}", %{env: env, mark: mark, way: way} do
        program = inner_and_outer([env: env] ++ @ways[way])

        for to <- [:group, :group, :program] do
          assert Program.signal(program, :sigusr1, to) == :ok
          assert Program.read(program) == {:stdout, "outer\n"}
        end

        assert Program.signal(program, 10, :tree) == :ok
        said = read_until(program, &(&1 =~ "outer\n" and &1 =~ "inner\n"))
        assert said |> String.split() |> Enum.sort() == ["inner", "outer"]
        assert_stops(program, mark)
      end

      @tag way: way
      @tag :cgroup_core
      test "goes to the cgroup, on #{way}", %{env: env, mark: mark, way: way} do
        base = Cgroups.new_base()
        on_exit(fn -> Cgroups.remove(base) end)
        program = inner_and_outer([env: env, cgroup_base: base] ++ @ways[way])
        assert Program.signal(program, :sigusr1, :cgroup) == :ok
        said = read_until(program, &(&1 =~ "outer\n" and &1 =~ "inner\n"))
        assert said |> String.split() |> Enum.sort() == ["inner", "outer"]
        assert Program.signal(program, :sigkill, :cgroup) == :ok
        assert Program.await(program, 60_000) == {:ok, 137}
        assert OS.alive(mark) == []
        Program.stop(program)
        assert Cgroups.children(base) == []
      end

      @tag way: way
      test "continues a program that has stopped itself, which can be stopped while it is, on #{way}", context do
        %{env: env, mark: mark, way: way} = context
        program = sh("kill -STOP $$; echo on; kill -STOP $$; echo not reached", [env: env] ++ @ways[way])
        pid = Program.os_pid(program)
        OS.eventually(fn -> OS.state(pid) == "T" end)
        assert Program.read(program, 20) == {:error, :timeout}
        assert Program.signal(program, :sigcont) == :ok
        assert Program.read(program) == {:stdout, "on\n"}
        OS.eventually(fn -> OS.state(pid) == "T" end)
        # What is written waits in the pipe.
        assert Program.write(program, "for later\n") == :ok
        assert_stopped_stops(program, mark)
      end
    end

    test "is refused by name", %{env: env} do
      program = sh("echo ready; sleep 1000", env: env)
      assert Program.read(program) == {:stdout, "ready\n"}

      for {signal, to, words} <- [
            {:sigfoo, :program, "such as :sighup, or its number, got: :sigfoo"},
            {"TERM", :program, ~s(got: "TERM")},
            {0, :program, "got: 0"},
            {128, :program, "got: 128"},
            {:sigterm, :all, "for :program, :group, :tree or :cgroup, got: :all"}
          ] do
        error = assert_raise ArgumentError, fn -> Program.signal(program, signal, to) end
        assert error.message =~ words
      end

      assert Program.signal(program, 127) == {:error, :einval}
      assert Program.signal(program, :sigterm, :cgroup) == {:error, :no_cgroup}
      Program.stop(program)
    end
  end

  # Both tell of SIGUSR1; the inner one has a session of its own. Each is there when it has told so: before, the outer one
  # may not have its handler yet, or be about to read, and a signal that perl has noted by then interrupts no read.
  defp inner_and_outer(opts) do
    {perl, args} = Programs.perl(~S[
      use POSIX;
      $| = 1;
      unless (fork) {
        POSIX::setsid();
        $SIG{USR1} = sub { print "inner\n" };
        print "inner ready\n";
        sleep 1 while 1;
      }
      $SIG{USR1} = sub { print "outer\n" };
      my $go = <STDIN>;
      print "ready\n";
      sleep 1 while 1;
    ])
    {:ok, program} = Program.start_link(perl, args, opts)
    assert Program.read(program) == {:stdout, "inner ready\n"}
    Program.write(program, "go\n")
    assert Program.read(program) == {:stdout, "ready\n"}
    program
  end

  # It is stopped, and so only continued or killed by us.
  defp assert_stopped_stops(program, mark) do
    assert {:ok, status} = Program.stop(program, 60_000)
    assert status in [137, 143]
    assert OS.alive(mark) == []
  end

  defp read_until(program, enough?, so_far \\ "") do
    if enough?.(so_far) do
      so_far
    else
      {:stdout, data} = Program.read(program)
      read_until(program, enough?, so_far <> data)
    end
  end

  describe "nothing is lost" do
    for way <- [:pipes, :pty], by <- [:cmd, :stream, :program] do
      @tag :tmp_dir
      test "of what 1,000 programs write just before they end, by #{by} on #{way}", %{tmp_dir: dir} do
        path = Path.join(dir, "bytes")
        bytes = :crypto.strong_rand_bytes(10_000)
        File.write!(path, bytes)

        1..1000
        |> Task.async_stream(
          fn n ->
            size = rem(n * 7919, 10_000) + 1
            output = output(unquote(by), "head", ["-c", "#{size}", path], @ways[unquote(way)])
            {size, output == binary_part(bytes, 0, size)}
          end,
          max_concurrency: 4,
          timeout: 120_000
        )
        |> Enum.each(fn {:ok, {size, whole?}} -> assert({size, whole?} == {size, true}) end)
      end
    end

    for by <- [:cmd, :stream, :program] do
      test "for a reader that is slower than the terminal, by #{by}" do
        # A terminal takes less than it is given at a time.
        code = ~S[my $all = "0123456789" x 20_000; my $at = 0;
          $at += syswrite(STDOUT, $all, 200_000 - $at, $at) while $at < 200_000;]
        opts = [stdio_window: 4_000, slow: true] ++ @ways[:pty]
        # One byte more or less anywhere would shift the rest.
        assert output(unquote(by), "perl", ["-e", code], opts) ==
                 "0123456789" |> String.duplicate(20_000)
      end
    end
  end

  defp output(by, command, args, opts) do
    {slow, opts} = Keyword.pop(opts, :slow, false)
    handle = if slow, do: fn _data -> OS.still() end, else: fn _data -> true end

    case by do
      :cmd ->
        {:ok, collected} = Agent.start_link(fn -> [] end)

        sink = %Sink{
          with: fn data ->
            handle.(data)
            Agent.update(collected, &[&1, data])
          end
        }

        {_sink, 0} = MuonTrap.cmd(command, args, [into: sink] ++ opts)
        output = collected |> Agent.get(& &1) |> IO.iodata_to_binary()
        Agent.stop(collected)
        output

      :stream ->
        command |> MuonTrap.stream!(args, opts) |> Enum.map_join(&(handle.(&1) && &1))

      :program ->
        {:ok, program} = Program.start_link(command, args, opts)
        output = read_slowly(program, handle)
        {:ok, 0} = Program.stop(program)
        output
    end
  end

  defp read_slowly(program, handle, so_far \\ []) do
    case Program.read(program) do
      {:stdout, data} ->
        handle.(data)
        read_slowly(program, handle, [so_far, data])

      :eof ->
        IO.iodata_to_binary(so_far)
    end
  end

  describe "memory is bounded" do
    # The window is at most a megabyte.
    @most 3 * @megabyte

    # What those processes hold, with the binaries that they refer to, and their messages.
    defp held(pids) do
      for pid <- pids, info = Process.info(pid, [:memory, :binary]), reduce: 0 do
        bytes -> bytes + info[:memory] + Enum.sum(for {_id, size, _count} <- info[:binary], do: size)
      end
    end

    defp servers(),
      do: for({_id, pid, _type, _modules} <- DynamicSupervisor.which_children(MuonTrap.HelperPort.Supervisor), do: pid)

    for way <- [:pipes, :pty] do
      @tag way: way
      test "of an endless writer that nobody reads, on #{way}", %{env: env, mark: mark, way: way} do
        opts = [env: env] ++ @ways[way]
        {:ok, program} = Program.start_link("yes", [], opts)
        assert {:stdout, _data} = Program.read(program)

        stream = MuonTrap.stream!("yes", [], opts)
        {:suspended, _data, continue} = Enumerable.reduce(stream, {:cont, nil}, fn data, _ -> {:suspend, data} end)
        assert length(OS.alive(mark)) == 2
        for pid <- OS.alive(mark), do: OS.eventually(fn -> OS.blocked?(pid) end)
        assert held([self(), program | servers()]) < 2 * @most
        {:halted, _data} = continue.({:halt, nil})
        Program.stop(program)
      end

      @tag way: way
      test "with :once, and a number, on #{way}", %{env: env, way: way} do
        {:ok, program} = Program.start_link("yes", [], [env: env, active: :once] ++ @ways[way])
        assert_receive {^program, {:stdout, _data}}, 60_000
        OS.eventually(fn -> OS.blocked?(Program.os_pid(program)) end)
        assert held([self(), program | servers()]) < @most

        Program.set_active(program, 5)
        for _ <- 1..5, do: assert_receive({^program, {:stdout, _data}}, 60_000)
        assert_receive {^program, :passive}, 60_000
        OS.eventually(fn -> OS.blocked?(Program.os_pid(program)) end)
        refute_received {^program, _more}
        assert held([self(), program | servers()]) < @most
        Program.stop(program)
      end
    end
  end

  @tag :linux
  test "nothing leaks: ports, processes, descriptors, helpers, terminals" do
    on_exit(fn -> for name <- [:idle_helpers, :idle_timeout], do: Application.delete_env(:muontrap, name) end)
    sessions(2)
    before = without_idle(fn -> counts() end)
    sessions(200)

    without_idle(fn ->
      OS.eventually(fn -> Enum.all?(Enum.zip(counts(), before), fn {now, before} -> now <= before end) end, 60_000)
    end)
  end

  # Each kind so many times; each second one is cut off.
  defp sessions(count) do
    1..count
    |> Task.async_stream(
      fn n ->
        for {_way, opts} <- @ways, do: session(rem(n, 2), opts)
      end,
      max_concurrency: 4,
      timeout: 120_000
    )
    |> Stream.run()
  end

  defp session(0, opts) do
    assert {"hi", 0} = MuonTrap.cmd("head", ["-c", "2"], [input: "hi"] ++ opts)
    assert "hi" = MuonTrap.stream!("head", ["-c", "2"], [input: "hi"] ++ opts) |> Enum.join()
    {:ok, program} = Program.start_link("head", ["-c", "2"], opts)
    assert Program.write(program, "hi") == :ok
    assert Program.read(program) == {:stdout, "hi"}
    assert Program.stop(program) in [{:ok, 0}, {:ok, 143}]
  end

  defp session(1, opts) do
    assert {_output, :timeout} = MuonTrap.cmd("sleep", ["1000"], [input: Stream.cycle(["hi"]), timeout: 5] ++ opts)
    assert ["y" <> _] = MuonTrap.stream!("yes", [], opts) |> Enum.take(1)
    {:ok, program} = Program.start_link("yes", [], opts)
    assert {:ok, _status} = Program.stop(program)
  end

  defp without_idle(fun) do
    Application.put_env(:muontrap, :idle_helpers, 0)
    # This one takes what still waits, and leaves.
    OS.eventually(fn -> MuonTrap.cmd("true", []) == {"", 0} and Pool.idle() == 0 and OS.helpers_of_vm() == [] end)
    result = fun.()
    Application.delete_env(:muontrap, :idle_helpers)
    result
  end

  # The number of terminals is the machine's.
  defp counts() do
    terminals = "/proc/sys/kernel/pty/nr" |> File.read!() |> String.trim() |> String.to_integer()
    descriptors = length(File.ls!("/proc/#{System.pid()}/fd"))
    children = length(OS.children(String.to_integer(System.pid())))
    [length(Port.list()), length(Process.list()), descriptors, children, length(OS.helpers_of_vm()), terminals]
  end

  describe "it is said what is wrong:" do
    test "after the end of the input, and of the program", %{env: env} do
      for {_way, opts} <- @ways do
        program = sh("cat >/dev/null; exit 3", [env: env] ++ if(opts == [], do: [], else: [pty: [echo: false]]))
        assert Program.close_stdin(program) == :ok
        assert Program.write(program, "more") == {:error, :closed}
        assert Program.close_stdin(program) == :ok
        assert Program.await(program) == {:ok, 3}

        for _ <- 1..2 do
          assert Program.write(program, "more") == {:error, :closed}
          assert Program.close_stdin(program) == :ok
          assert Program.read(program) == :eof
          assert Program.read(program, 0) == :eof
          assert Program.signal(program, :sigterm) == {:error, :exited}
          assert Program.signal(program, :sigterm, :tree) == {:error, :exited}
          assert Program.os_pid(program) == {:error, :exited}
          assert Program.resize(program, 24, 80) == {:error, if(opts == [], do: :no_pty, else: :exited)}
          assert Program.await(program, 0) == {:ok, 3}
        end

        assert Program.stop(program) == {:ok, 3}
      end
    end

    test "without a terminal, without relayed input, and of sizes", %{env: env} do
      program = sh("sleep 1000", env: env, stdin: :null)
      assert Program.resize(program, 24, 80) == {:error, :no_pty}
      assert Program.write(program, "x") == {:error, :closed}

      for {rows, columns} <- [{0, 80}, {24, 0}, {70_000, 80}, {24, 70_000}, {-1, 80}, {24.0, 80}, {nil, 80}] do
        error = assert_raise ArgumentError, fn -> Program.resize(program, rows, columns) end

        assert error.message ==
                 "MuonTrap.Program.resize/3 takes rows and columns from 1 to 65535, got: #{inspect(rows)} and #{inspect(columns)}"
      end

      Program.stop(program)
    end

    test "of calls", %{env: env} do
      program = sh("sleep 1000", env: env)

      for data <- [:none, 5, nil, ["a" | 5], [300], [:a], %{}] do
        error = assert_raise ArgumentError, fn -> Program.write(program, data) end
        assert error.message =~ "MuonTrap.Program.write/3 takes iodata: a binary, or a list of bytes and binaries"
      end

      for active <- [0, -1, :twice, nil, 1.0] do
        error = assert_raise ArgumentError, fn -> Program.set_active(program, active) end

        assert error.message =~
                 "set_active/2 takes true, false, :once or a positive number, got: #{inspect(active)}"
      end

      for timeout <- [-1, :never, 1.5, nil, 0x100000000],
          call <- [
            &Program.read(program, &1),
            &Program.write(program, "x", &1),
            &Program.await(program, &1),
            &Program.stop(program, &1)
          ] do
        error = assert_raise ArgumentError, fn -> call.(timeout) end
        assert error.message =~ "takes a timeout of 0 to 4294967295 milliseconds or :infinity, got: #{inspect(timeout)}"
      end

      assert is_integer(Program.os_pid(program))
      Program.stop(program)
    end

    test "of options", %{tmp_dir: dir} do
      file = {:file, Path.join(dir, "file")}

      for {opts, words} <- [
            {[pty: [eco: true]], "modes that a terminal has, and not :eco (RFC 4254, section 8, lists their names)"},
            {[pty: [{:rows, 0}]], "1 to 65535 as its :rows"},
            {[pty: [{:rows, 70_000}]], "1 to 65535 as its :rows"},
            {[pty: [{:cols, 0}]], "1 to 65535 as its :cols"},
            {[pty: [{:cols, 70_000}]], "1 to 65535 as its :cols"},
            {[pty: [echo: 1]], "true or false as its mode :echo"},
            {[pty: [vintr: 300]], "a character from 0 to 255, or nil for none, as its mode :vintr"},
            {[pty: [tty_op_ispeed: -1]], "a speed such as 38_400 as its mode :tty_op_ispeed"},
            {[pty: :yes], "true, false, or a keyword list with :rows, :cols and modes of a terminal"},
            {[pty: true, stderr: :tag],
             "the option :pty gives the program a terminal, where stdout and stderr are one stream, so that stderr can't be told apart"},
            {[pty: true, capture_stderr_only: true], "one stream, so that stderr can't be told apart"},
            {[pty: true, stdin: file], "the options :stdin and :pty exclude each other"},
            {[stdout: file, stderr: file], "would write over each other in #{elem(file, 1)}: give stderr: :stdout, or"},
            {[stderr: :stdout, stderr_to_stdout: true], "both say where stderr goes: give one of them"},
            {[stderr: :null, capture_stderr_only: true], ":stderr and :capture_stderr_only both say where output goes"},
            {[stdin: :tty], "expected :null or {:file, path}, got: :tty"},
            {[stdin: {:file, ""}], ":null or {:file, path}, the path a string without null bytes"},
            {[stdin: {:file, "a\0b"}], "the path a string without null bytes"},
            {[stdout: {:file, 5}], ":null, {:file, path} or {:file, path, [:append, mode: 0o600]}, got: {:file, 5}"},
            {[stdout: {:file, "x", [:apend]}], "{:file, path, [:append, mode: 0o600]}"},
            {[stdout: {:file, "x", [mode: 0o17777]}], "{:file, path, [:append, mode: 0o600]}"},
            {[stderr: {:file, "x", [:append | :mode]}], "{:file, path, [:append, mode: 0o600]}"},
            {[stderr: :out], ":inherit, :null, :stdout, :tag, {:file, path} or"}
          ],
          {by, message} <- Starters.refused(opts) do
        assert message =~ words
        assert message =~ Starters.where(by)
        [option | _] = Keyword.keys(opts)
        assert message =~ inspect(option)
      end

      refute File.exists?(elem(file, 1))
    end

    test "of options that not all have" do
      for {opts, only, words} <- [
            {[input: "x", stdin: :null], [:cmd, :stream],
             "the options :input and :stdin both say what the program reads: give one of them"},
            {[input: "x"], [:program, :daemon], "unknown option :input for"},
            {[input: 5], [:cmd, :stream], "invalid option :input for"},
            {[active: 0], [:program], "expected true, false, :once or a positive number, got: 0"},
            {[owner: :me], [:program], "expected a process, got: :me"},
            {[when_done: :go], [:program], "expected :stay or :stop, got: :go"},
            {[stderr: :tag, into: ""], [:cmd], "which takes an :into such as []"},
            {[log_output: [stderr: :info], stderr: :null], [:daemon],
             "has a level for stderr, which :stderr sends elsewhere"},
            {[log_output: [stderr: :info], pty: true], [:daemon],
             "has a level for stderr, which :pty makes one stream with stdout"},
            {[log_output: [stdout: :info], stdout: :null], [:daemon],
             "has a level for stdout, which :stdout sends elsewhere"},
            {[log_output: [stdout: :info], stderr_to_stdout: true], [:daemon], "can't be given beside it"}
          ],
          {by, message} <- Starters.refused(opts, only) do
        assert message =~ words
        assert message =~ Starters.where(by)
      end
    end

    test "of an element of the input that is none", %{env: env, mark: mark} do
      for element <- [:none, 5, ["a" | :b]] do
        input = Stream.map([1, 2, 3], fn n -> if n == 2, do: element, else: "#{n}\n" end)

        for fun <- [
              fn -> MuonTrap.cmd("sleep", ["1000"], input: input, env: env) end,
              fn -> "sleep" |> MuonTrap.stream!(["1000"], input: input, env: env) |> Enum.to_list() end
            ] do
          error = assert_raise ArgumentError, fun
          assert error.message =~ "the option :input takes iodata or an enumerable of iodata, of which one element is"
          assert OS.alive(mark) == []
        end
      end
    end

    test "of files that can't be opened", %{env: env, tmp_dir: dir} do
      missing = Path.join(dir, "missing/file")

      for {name, path, reason, words} <-
            for(name <- [:stdin, :stdout, :stderr], do: {name, missing, :enoent, "No such file or directory"}) ++
              for(name <- [:stdout, :stderr], do: {name, dir, :eisdir, "Is a directory"}) do
        cannot_open(name, path, reason, words, env)
      end

      refute File.exists?(Path.dirname(missing))
    end

    test "of a file that is read and emptied", %{env: env, tmp_dir: dir} do
      path = Path.join(dir, "both")
      File.write!(path, "kept")

      for name <- [:stdout, :stderr],
          do: cannot_open(name, path, :edeadlk, "would be emptied before it is read", [{:stdin, {:file, path}}], env)

      assert File.read!(path) == "kept"
    end

    @tag :sysfs
    test "of files that may not be opened", %{env: env} do
      cannot_open(:stdin, forbidden(:read), :eacces, "Permission denied", env)
      for name <- [:stdout, :stderr], do: cannot_open(name, forbidden(:append), :eacces, "Permission denied", env)
    end

    defp cannot_open(name, path, reason, words, others \\ [], env) do
      opts = [{name, {:file, path}}, {:env, env}] ++ others
      one = assert_raise MuonTrap.Error, fn -> MuonTrap.cmd("cat", [], opts) end
      two = assert_raise MuonTrap.Error, fn -> "cat" |> MuonTrap.stream!([], opts) |> Enum.to_list() end
      assert {:error, %MuonTrap.Error{} = three} = Program.start_link("cat", [], opts)

      for error <- [one, two, three] do
        assert {error.stage, error.reason} == {name, reason}
        assert error.message =~ words
        assert error.message =~ path
        assert error.message =~ ~r/standard (input|output|error)/
      end
    end

    # A file that not even root may open so.
    defp forbidden(how) do
      candidates = Path.wildcard("/sys/bus/*/drivers_probe") ++ ["/sys/kernel/notes", "/sys/kernel/uevent_seqnum"]
      path = Enum.find(candidates, &(:file.open(&1, [:raw, how]) == {:error, :eacces}))
      assert path, "there is no file in /sys that may not be opened"
      path
    end
  end

  describe "a frame out of turn is told, and the program is stopped:" do
    for {name, args, frames, words} <- [
          {"input without a pipe for it", [], [<<?i, "x">>], "input"},
          {"an end of input without a pipe for it", [], ["z"], "input"},
          {"more input than there is credit for", ["--stdin", "relay"], [<<?i, 0::size(65_537)-unit(8)>>], "input"},
          {"input of no bytes", ["--stdin", "relay"], ["i"], "input"},
          {"input after its end", ["--stdin", "relay"], ["z", <<?i, "x">>], "input"},
          {"a second end of input", ["--stdin", "relay"], ["z", "z"], "input"},
          {"a size without a terminal", [], [<<?w, 24::16, 80::16>>], "terminal"},
          {"a size of 0 rows", ["--pty=24x80"], [<<?w, 0::16, 80::16>>], "rows"},
          {"a size of 0 columns", ["--pty=24x80"], [<<?w, 24::16, 0::16>>], "columns"},
          {"a size that is too short", ["--pty=24x80"], [<<?w, 24::16>>], "a frame 'w' of 3 bytes"},
          {"a size that is too long", ["--pty=24x80"], [<<?w, 24::16, 80::16, 0>>], "a frame 'w' of 6 bytes"},
          {"an end of input that is too long", ["--stdin", "relay"], ["zz"], "a frame 'z' of 2 bytes"},
          {"an input frame that is too long", ["--stdin", "relay"], [{:raw, <<1_048_578::32, ?i>>}],
           "a frame of 1048578 bytes arrived on standard input, where 1 to 1048577 are allowed"}
        ] do
      @tag arguments: args
      @tag frames: frames
      @tag words: words
      test name, %{arguments: args, frames: frames, words: words, env: env, mark: mark} do
        client = Frames.start(args, ["sh", "-c", "echo ready; trap '' HUP; sleep 1000"], env)
        client = until(client, fn {tag, data} -> tag == "O" and data =~ "ready" end)

        client =
          Enum.reduce(frames, client, fn
            {:raw, bytes}, client -> Frames.send_raw(client, bytes)
            frame, client -> Frames.send_frame(client, frame)
          end)

        {told, client} = Frames.all(client)

        assert [{"!", <<10, _errno::32, n, _name::binary-size(n), message::binary>>}] =
                 for({"!", _} = it <- told, do: it)

        assert message =~ words
        assert {"X", _ending} = List.last(told)
        assert OS.alive(mark) == []
        Frames.close(client)
      end
    end

    defp until(client, fun) do
      {frame, client} = Frames.next(client)
      assert {_tag, _payload} = frame
      if fun.(frame), do: client, else: until(client, fun)
    end
  end

  test "100 with a terminal, and 300 with pipes, answer at once" do
    for {count, opts} <- [{300, []}, {100, pty: @raw}] do
      programs =
        for n <- 1..count do
          {:ok, program} = Program.start_link("cat", [], opts)
          {n, program}
        end

      for {n, program} <- programs, do: assert(Program.write(program, "#{n}") == :ok)
      for {n, program} <- programs, do: assert(Program.read(program, 60_000) == {:stdout, "#{n}"})
      stops = for {_n, program} <- programs, do: async(fn -> Program.stop(program) end)
      for stop <- stops, do: assert({:ok, _status} = answer(stop))
    end
  end
end
