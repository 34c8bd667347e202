# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ContainmentTest do
  # Nothing survives, without any cgroup. Not async: some of these take all of a machine's CPU.
  use ExUnit.Case, async: false

  alias MuonTrap.Test.{OS, Programs, Sink}

  # Milliseconds within which all is dead.
  setup_all do
    %{within: 3_000 * OS.busyness()}
  end

  # Runs the program in a process of its own, and returns when it has written its first line.
  defp start({program, args}, opts \\ []) do
    mark = OS.mark()
    test = self()
    sink = %Sink{with: fn data -> send(test, {:output, data}) end}

    caller =
      spawn(fn ->
        result = MuonTrap.cmd(program, args, [into: sink, env: OS.marked(mark), stderr_to_stdout: true] ++ opts)
        send(test, {:result, result})
      end)

    assert_receive {:output, "ready\n" <> _}, 60_000
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    %{caller: caller, mark: mark}
  end

  defp assert_all_dead(mark, within) do
    OS.eventually(fn -> OS.alive(mark) == [] end, within)
  end

  # The helper's outer process is the one whose parent is not of the helper.
  defp keeper_and_relay(mark) do
    [a, b] = OS.helpers(mark)
    if OS.parent(b) == a, do: {a, b}, else: {b, a}
  end

  defp assert_told_of_killed_relay({program, args}, within) do
    mark = OS.mark()
    test = self()
    sink = %Sink{with: fn data -> send(test, {:output, data}) end}

    task =
      Task.async(fn ->
        assert_raise MuonTrap.Error, fn -> MuonTrap.cmd(program, args, into: sink, env: OS.marked(mark)) end
      end)

    assert_receive {:output, "ready\n" <> _}, 60_000
    {_keeper, relay} = keeper_and_relay(mark)
    OS.kill(relay, "KILL")
    assert %MuonTrap.Error{stage: :relay, reason: :vanished} = Task.await(task, 60_000)
    assert_all_dead(mark, within)
  end

  @programs [
    sleeper: {Programs.sleeper(), false},
    deaf: {Programs.deaf(), false},
    background_child: {Programs.background_child(), false},
    daemonised: {Programs.daemonised(), true},
    tree_of_300: {Programs.tree(300), false}
  ]

  for {name, {program, linux}} <- @programs do
    if linux, do: @tag(:linux)

    test "when the calling process is killed, nothing is left: #{name}", %{within: within} do
      %{caller: caller, mark: mark} = start(unquote(Macro.escape(program)))
      Process.exit(caller, :kill)
      assert_all_dead(mark, within)
    end

    @tag :linux
    test "when the keeper is killed, nothing is left: #{name}", %{within: within} do
      %{mark: mark} = start(unquote(Macro.escape(program)))
      {keeper, _relay} = keeper_and_relay(mark)
      OS.kill(keeper, "KILL")
      assert_all_dead(mark, within)
      assert_receive {:result, {_sink, status}}, 60_000
      assert status in [137, 143]
    end

    if linux, do: @tag(:linux)

    test "when the relay is killed, nothing is left, and the caller is told: #{name}", %{within: within} do
      assert_told_of_killed_relay(unquote(Macro.escape(program)), within)
    end

    if linux, do: @tag(:linux)

    test "when the program is killed, nothing is left: #{name}", %{within: within} do
      %{mark: mark} = start(unquote(Macro.escape(program)))
      {_keeper, relay} = keeper_and_relay(mark)
      [child] = Enum.filter(OS.children(relay), &(&1 in OS.alive(mark))) |> Enum.take(1)
      OS.kill(child, "KILL")
      assert_all_dead(mark, within)
    end
  end

  test "what a program that exited left behind is dead when cmd/3 returns" do
    mark = OS.mark()
    assert MuonTrap.cmd("sh", ["-c", "sleep 1000 & echo ready"], env: OS.marked(mark)) == {"ready\n", 0}
    assert OS.alive(mark) == []
  end

  @tag :linux
  test "what a program that exited left behind daemonised is dead when cmd/3 returns" do
    {program, args} = Programs.leaves_behind()
    mark = OS.mark()
    assert MuonTrap.cmd(program, args, env: OS.marked(mark)) == {"ready\n", 0}
    assert OS.alive(mark) == []
  end

  @tag :linux
  test "a program that makes itself a subreaper keeps nothing from us", %{within: within} do
    # The helper is such a program.
    mark = OS.mark()
    {program, args} = Programs.daemonised()
    inner = [MuonTrap.muontrap_path(), "--stdin", "null", "--", program | args]
    %{caller: caller, mark: mark} = start({hd(inner), tl(inner)}) |> Map.put_new(:unused, mark)
    Process.exit(caller, :kill)
    assert_all_dead(mark, within)
    OS.eventually(fn -> OS.helpers(mark) == [] end)
  end

  for {name, program} <- [fork_chain: Programs.fork_chain(), fork_storm: Programs.fork_storm()] do
    @tag :linux
    test "a tree that forks as fast as it can is gone when its time is up: #{name}" do
      {program, args} = unquote(Macro.escape(program))
      mark = OS.mark()

      assert {"ready\n" <> _, :timeout} =
               Programs.cmd_until_ready(program, args, 1_500, env: OS.marked(mark), delay_to_sigkill: 100)

      assert OS.alive(mark) == []
    end

    @tag :linux
    test "a tree that forks as fast as it can is gone when its caller is: #{name}", %{within: within} do
      %{caller: caller, mark: mark} = start(unquote(Macro.escape(program)))
      Process.exit(caller, :kill)
      assert_all_dead(mark, within)
    end

    @tag :linux
    test "a tree that forks as fast as it can is gone when the relay is killed: #{name}", %{within: within} do
      assert_told_of_killed_relay(unquote(Macro.escape(program)), within)
    end
  end

  @tag :linux
  test "when the VM is killed, nothing is left of what it ran, daemonised or not", %{within: within} do
    mark = OS.mark()
    {program, args} = Programs.daemonised()

    code = """
    Application.ensure_all_started(:muontrap)
    {:ok, _daemon} = MuonTrap.Daemon.start_link("sleep", ["1000"])
    spawn(fn -> MuonTrap.cmd("sh", ["-c", "trap '' TERM; sleep 1000"]) end)
    MuonTrap.cmd(#{inspect(program)}, #{inspect(args)}, into: IO.stream(:stdio, :line))
    """

    elixir = System.find_executable("elixir")
    ebin = Application.app_dir(:muontrap, "ebin")

    port =
      Port.open({:spawn_executable, elixir}, [
        :binary,
        args: ["-pa", ebin, "-e", code],
        env: for({name, value} <- OS.marked(mark), do: {String.to_charlist(name), String.to_charlist(value)})
      ])

    assert_receive {^port, {:data, "ready\n"}}, 60_000
    {:os_pid, vm} = Port.info(port, :os_pid)
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)

    # Two sleeps, the shell, the daemonised perl and its grandparent, beside the VM itself.
    OS.eventually(fn -> length(OS.helpers(mark)) == 6 end)
    assert length(OS.alive(mark)) >= 5
    OS.kill(vm, "KILL")
    OS.eventually(fn -> OS.alive(mark) == [] and OS.helpers(mark) == [] end, within)
  end
end
