# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ProgramTest do
  # A running program to talk to.
  use ExUnit.Case, async: true
  doctest MuonTrap.Program

  alias MuonTrap.Program
  alias MuonTrap.Test.OS

  setup do
    mark = OS.mark()
    {:ok, mark: mark, env: OS.marked(mark)}
  end

  defp start(script, opts \\ []) do
    {:ok, program} = Program.start_link("sh", ["-c", script], opts)
    program
  end

  defp read_all(program, so_far \\ "") do
    case Program.read(program, 60_000) do
      {:stdout, data} -> read_all(program, so_far <> data)
      :eof -> so_far
    end
  end

  test "answers what is asked" do
    {:ok, bc} = Program.start_link("bc")

    for n <- 1..100 do
      assert Program.write(bc, ["#{n} * ", ?2, ?\n]) == :ok
      assert Program.read(bc) == {:stdout, "#{2 * n}\n"}
    end

    assert Program.close_stdin(bc) == :ok
    assert Program.await(bc) == {:ok, 0}
    assert Program.stop(bc) == {:ok, 0}
  end

  test "gives both streams, and the end again and again" do
    program = start("echo out; read line; echo $line >&2; exit 3")
    assert Program.read(program) == {:stdout, "out\n"}
    assert Program.read(program, 50) == {:error, :timeout}
    assert Program.write(program, "err\n") == :ok
    assert Program.read(program) == {:stderr, "err\n"}
    assert Program.read(program) == :eof
    assert Program.read(program) == :eof
    assert Program.await(program) == {:ok, 3}
    assert Program.write(program, "more") == {:error, :closed}
    assert Program.signal(program, :sigterm) == {:error, :exited}
    assert Program.os_pid(program) == {:error, :exited}
    assert Program.stop(program) == {:ok, 3}
    refute Process.alive?(program)
  end

  test "keeps what is left to be read after the end" do
    program = start("seq 1000")
    assert Program.await(program) == {:ok, 0}
    assert read_all(program) == Enum.map_join(1..1000, &"#{&1}\n")
    assert Program.stop(program) == {:ok, 0}
  end

  test "sends messages when it is active, as a socket does" do
    program = start("while read line; do echo $line; done; exit 4")
    line = fn text -> Program.write(program, text <> "\n") end

    Program.set_active(program, :once)
    line.("one")
    assert_receive {^program, {:stdout, "one\n"}}, 60_000
    line.("two")
    refute_receive {^program, _anything}, 50
    assert Program.read(program) == {:stdout, "two\n"}

    Program.set_active(program, 2)
    line.("three")
    assert_receive {^program, {:stdout, "three\n"}}, 60_000
    line.("four")
    assert_receive {^program, {:stdout, "four\n"}}, 60_000
    assert_receive {^program, :passive}, 60_000

    Program.set_active(program, true)
    line.("five")
    assert_receive {^program, {:stdout, "five\n"}}, 60_000
    Program.close_stdin(program)
    assert_receive {^program, :eof}, 60_000
    assert_receive {^program, {:exit, 4}}, 60_000
    assert Program.stop(program) == {:ok, 4}
    refute_received _anything
  end

  test "holds the program up when nobody reads, and nothing else" do
    program = start("exec yes", stdio_window: 10_000)
    {:memory, before} = Process.info(program, :memory)
    OS.eventually(fn -> OS.blocked?(Program.os_pid(program)) end)
    {:memory, now} = Process.info(program, :memory)
    assert now - before < 1_000_000
    assert Program.signal(program, :sigcont) == :ok
    assert is_integer(Program.os_pid(program))
    assert {:stdout, "y\n" <> _rest} = Program.read(program)
    assert Program.stop(program) == {:ok, 143}
  end

  test "waits in a write for a program that doesn't read, and gives up in time" do
    program = start("sleep 1000")
    large = String.duplicate("x", 1_000_000)
    assert Program.write(program, large, 100) == {:error, :timeout}
    assert Program.write(program, large, 100) == {:error, :timeout}
    assert Program.signal(program, :sigkill) == :ok
    assert Program.await(program) == {:ok, 137}
    assert Program.write(program, "x") == {:error, :closed}
    Program.stop(program)
    refute_received _anything
  end

  test "goes on when its standard input is closed by the program" do
    program = start("exec <&-; echo closed; sleep 0.2; echo alive")
    assert Program.read(program) == {:stdout, "closed\n"}
    assert Program.write(program, String.duplicate("x", 1_000_000)) == {:error, :closed}
    assert Program.read(program) == {:stdout, "alive\n"}
    assert Program.await(program) == {:ok, 0}
  end

  test "ends the program with its owner, and when it is stopped or killed", %{mark: mark, env: env} do
    test = self()

    owner =
      spawn(fn ->
        program = start("sleep 1000 & sleep 1000", env: env)
        send(test, {:program, program})
        Process.sleep(:infinity)
      end)

    assert_receive {:program, program}, 60_000
    monitor = Process.monitor(program)
    Process.exit(owner, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^program, _reason}, 60_000
    assert OS.alive(mark) == []

    program = start("sleep 1000 & sleep 1000", env: env)
    assert Program.stop(program) == {:ok, 143}
    assert OS.alive(mark) == []

    Process.flag(:trap_exit, true)
    program = start("sleep 1000 & sleep 1000", env: env)
    Process.exit(program, :kill)
    OS.eventually(fn -> OS.alive(mark) == [] end)
  end

  test "ends with the program under a supervisor, which is told how" do
    for {script, reason} <- [
          {"exit 0", :normal},
          {"exit 3", {:exit_status, 3}},
          {"kill -KILL $$", {:signal, :sigkill}}
        ] do
      Process.flag(:trap_exit, true)
      program = start(script, when_done: :stop)
      assert_receive {:EXIT, ^program, ^reason}, 60_000
    end

    {:ok, supervisor} = DynamicSupervisor.start_link(strategy: :one_for_one)
    {:ok, program} = DynamicSupervisor.start_child(supervisor, {Program, ["sleep", ["1000"], [owner: self()]]})
    assert is_integer(Program.os_pid(program))
    DynamicSupervisor.stop(supervisor)
    refute Process.alive?(program)
  end

  test "has no input to end when it reads something else" do
    for stdin <- [:null, {:file, "mix.exs"}] do
      program = start("read -r line; sleep 0.1; echo survived", stdin: stdin)
      assert Program.close_stdin(program) == :ok
      assert Program.write(program, "x") == {:error, :closed}
      assert read_all(program) == "survived\n"
      Program.stop(program)
    end
  end

  test "lives on for another owner when who has started it ends, but not when that fails", %{mark: mark, env: env} do
    for {reason, alive} <- [{:normal, true}, {:oops, false}] do
      test = self()

      starter =
        spawn(fn ->
          {:ok, program} = Program.start_link("cat", [], owner: test, env: env)
          send(test, {:program, program})
          exit(reason)
        end)

      monitor = Process.monitor(starter)
      assert_receive {:program, program}, 60_000
      assert_receive {:DOWN, ^monitor, :process, ^starter, ^reason}, 60_000

      if alive do
        assert Program.write(program, "hello") == :ok
        assert Program.read(program) == {:stdout, "hello"}
        Program.stop(program)
      else
        OS.eventually(fn -> not Process.alive?(program) end)
      end

      OS.eventually(fn -> OS.alive(mark) == [] end)
    end
  end

  test "gives a reader that has died nothing" do
    program = start("cat")
    reader = Task.async(fn -> Program.read(program) end)
    OS.eventually(fn -> not :queue.is_empty(:sys.get_state(program).readers) end)
    Task.shutdown(reader, :brutal_kill)
    Program.write(program, "precious")
    assert Program.read(program) == {:stdout, "precious"}
    Program.stop(program)
  end

  test "sends all messages before it ends under a supervisor" do
    child = {Program, ["sh", ["-c", "echo one; read line; echo two"], [active: :once, owner: self()]]}

    {:ok, supervisor} =
      Supervisor.start_link([Supervisor.child_spec(child, restart: :temporary)], strategy: :one_for_one)

    [{Program, program, _type, _modules}] = Supervisor.which_children(supervisor)
    monitor = Process.monitor(program)
    assert_receive {^program, {:stdout, "one\n"}}, 60_000
    assert Program.write(program, "\n") == :ok
    assert Program.await(program) == {:ok, 0}
    assert Program.set_active(program, :once) == :ok
    assert_receive {^program, {:stdout, "two\n"}}, 60_000
    assert Program.set_active(program, :once) == :ok
    assert_receive {^program, :eof}, 60_000
    assert_receive {^program, {:exit, 0}}, 60_000
    assert_receive {:DOWN, ^monitor, :process, ^program, :normal}, 60_000
    Supervisor.stop(supervisor)
  end

  test "has a name as its id under a supervisor, to which it sends nothing" do
    assert %{id: :my_cat} = Program.child_spec(["cat", [], [name: :my_cat]])
    assert %{id: Program} = Program.child_spec(["cat"])
    assert_raise ArgumentError, ~r/keyword list/, fn -> Program.child_spec(["cat", [], :active]) end
    assert_raise ArgumentError, ~r/keyword list/, fn -> Program.start_link("cat", [], :active) end
    assert_raise ArgumentError, ~r/needs :owner/, fn -> Program.child_spec(["cat", [], [active: true]]) end
  end

  @tag :tmp_dir
  test "isn't started any more when who wants it has died while it waited for a lock", context do
    %{tmp_dir: dir, env: env, mark: mark} = context
    lock = Path.join(dir, "lock")
    {:ok, holder} = Program.start_link("sleep", ["1000"], lock: lock, env: env)
    started = Path.join(dir, "started")
    waiting = spawn(fn -> Program.start_link("touch", [started], lock: lock, env: env) end)
    OS.eventually(fn -> length(OS.helpers(mark)) > 2 end)
    Process.exit(waiting, :kill)
    OS.eventually(fn -> length(OS.helpers(mark)) == 2 end)
    Program.stop(holder)
    refute File.exists?(started)
  end

  test "isn't started for an owner who has died, nor restarted in vain" do
    owner = spawn(fn -> :ok end)
    OS.eventually(fn -> not Process.alive?(owner) end)
    assert Program.start_link("sleep", ["1000"], owner: owner) == :ignore

    owner = spawn(fn -> Process.sleep(:infinity) end)
    child = Supervisor.child_spec({Program, ["sleep", ["1000"], [owner: owner]]}, restart: :permanent)
    {:ok, supervisor} = Supervisor.start_link([child], strategy: :one_for_one, max_restarts: 1)
    Process.exit(owner, :kill)
    OS.eventually(fn -> match?([{_id, :undefined, :worker, _modules}], Supervisor.which_children(supervisor)) end)
    Supervisor.stop(supervisor)
  end

  test "says what is wrong" do
    Process.flag(:trap_exit, true)
    assert {:error, {:enoent, _stack}} = Program.start_link("no-such-program")
    assert {:error, {%ArgumentError{}, _stack}} = Program.start_link("cat", [], active: :sometimes)
    assert {:error, %MuonTrap.Error{stage: :cd}} = Program.start_link("cat", [], cd: "/no/such")
    program = start("sleep 1000")
    assert_raise ArgumentError, fn -> Program.write(program, :none) end
    assert_raise ArgumentError, fn -> Program.set_active(program, 0) end
    assert_raise ArgumentError, fn -> Program.signal(program, :signone) end
    assert Program.signal(program, :sigterm, :cgroup) == {:error, :no_cgroup}
    Program.stop(program)
  end

  test "300 of them answer at once" do
    1..300
    |> Enum.map(fn n ->
      {:ok, program} = Program.start_link("cat")
      {n, program}
    end)
    |> Enum.map(fn {n, program} ->
      :ok = Program.write(program, "#{n}")
      {n, program}
    end)
    |> Enum.each(fn {n, program} ->
      assert Program.read(program, 60_000) == {:stdout, "#{n}"}
      Program.close_stdin(program)
      assert Program.await(program) == {:ok, 0}
      Program.stop(program)
    end)
  end
end
