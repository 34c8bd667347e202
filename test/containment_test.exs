# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ContainmentTest do
  # Nothing survives, without any cgroup. Not async: some of these take all of a machine's CPU.
  use ExUnit.Case, async: false

  alias MuonTrap.HelperPort.Pool
  alias MuonTrap.Test.{OS, Programs, Sink}

  # Milliseconds within which all is dead, on a machine that has nothing else to do.
  @within 3_000

  setup_all do
    %{within: @within * OS.busyness()}
  end

  # Each case is one of a helper that was started for the program, and of one that has run another one before.
  setup %{helper: helper} do
    case helper do
      :new ->
        Application.put_env(:muontrap, :idle_helpers, 0)
        on_exit(fn -> Application.delete_env(:muontrap, :idle_helpers) end)

      :reused ->
        # One that has just been started, for in another environment none is kept, and that waits for as long as it takes
        # to look at it where the processors are busy.
        System.put_env("MUONTRAP_TEST_CONTAINMENT", OS.mark())
        Application.put_env(:muontrap, :idle_timeout, 60_000)

        on_exit(fn ->
          Application.delete_env(:muontrap, :idle_timeout)
          # The next program finds another environment, and with it the pool gives up what waits.
          System.delete_env("MUONTRAP_TEST_CONTAINMENT")
        end)

        # A portable one is never kept.
        OS.eventually(fn ->
          MuonTrap.cmd("echo", ["before"]) == {"before\n", 0} and (Pool.idle() > 0 or not OS.linux_helper?())
        end)
    end

    %{helpers: OS.helpers_of_vm()}
  end

  # Runs the program in a process of its own, and returns when it has written its first line.
  defp start({program, args}, context) do
    mark = OS.mark()
    test = self()
    sink = %Sink{with: fn data -> send(test, {:output, data}) end}

    caller =
      spawn(fn ->
        result = MuonTrap.cmd(program, args, into: sink, env: OS.marked(mark), stderr_to_stdout: true)
        send(test, {:result, result})
      end)

    assert_receive {:output, "ready\n" <> _}, 60_000
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    assert_helper(mark, context)
    %{caller: caller, mark: mark}
  end

  # A portable one is never used again.
  defp assert_helper(mark, %{helper: helper, helpers: before}) do
    if OS.linux_helper?() do
      {keeper, relay} = OS.keeper_and_relay(mark)
      assert {keeper in before, relay in before} == {helper == :reused, helper == :reused}
    end
  end

  # What else the machine does may have begun since that was measured. Then it is so busy from the start.
  defp assert_all_dead(mark, within) do
    begun = System.monotonic_time(:millisecond)

    if OS.remaining(fn -> OS.alive(mark) end, within) != [] do
      gone_by = begun + @within * OS.busyness()
      OS.eventually(fn -> OS.alive(mark) == [] end, gone_by - System.monotonic_time(:millisecond))
    end
  end

  defp assert_told_of_killed_relay({program, args}, %{within: within} = context) do
    mark = OS.mark()
    test = self()
    sink = %Sink{with: fn data -> send(test, {:output, data}) end}

    task =
      Task.async(fn ->
        assert_raise MuonTrap.Error, fn -> MuonTrap.cmd(program, args, into: sink, env: OS.marked(mark)) end
      end)

    assert_receive {:output, "ready\n" <> _}, 60_000
    assert_helper(mark, context)
    {_keeper, relay} = OS.keeper_and_relay(mark)
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

  for helper <- [:new, :reused] do
    describe "with a #{helper} helper:" do
      @describetag helper: helper

      for {name, {program, linux}} <- @programs do
        if linux, do: @tag(:linux)

        test "when the calling process is killed, nothing is left: #{name}", %{within: within} = context do
          %{caller: caller, mark: mark} = start(unquote(Macro.escape(program)), context)
          Process.exit(caller, :kill)
          assert_all_dead(mark, within)
        end

        @tag :linux
        test "when the keeper is killed, nothing is left: #{name}", %{within: within} = context do
          %{mark: mark} = start(unquote(Macro.escape(program)), context)
          {keeper, _relay} = OS.keeper_and_relay(mark)
          OS.kill(keeper, "KILL")
          assert_all_dead(mark, within)
          assert_receive {:result, {_sink, status}}, 60_000
          assert status in [137, 143]
        end

        if linux, do: @tag(:linux)

        test "when the relay is killed, nothing is left, and the caller is told: #{name}", context do
          assert_told_of_killed_relay(unquote(Macro.escape(program)), context)
        end

        if linux, do: @tag(:linux)

        test "when the program is killed, nothing is left: #{name}", %{within: within} = context do
          %{mark: mark} = start(unquote(Macro.escape(program)), context)
          {_keeper, relay} = OS.keeper_and_relay(mark)
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
      test "a program that makes itself a subreaper keeps nothing from us", %{within: within} = context do
        # The helper is such a program.
        {program, args} = Programs.daemonised()
        inner = [MuonTrap.muontrap_path(), "--stdin", "null", "--", program | args]
        %{caller: caller, mark: mark} = start({hd(inner), tl(inner)}, context)
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
        test "a tree that forks as fast as it can is gone when its caller is: #{name}", %{within: within} = context do
          %{caller: caller, mark: mark} = start(unquote(Macro.escape(program)), context)
          Process.exit(caller, :kill)
          assert_all_dead(mark, within)
        end

        @tag :linux
        test "a tree that forks as fast as it can is gone when the relay is killed: #{name}", context do
          assert_told_of_killed_relay(unquote(Macro.escape(program)), context)
        end
      end

      @tag :linux
      test "when the VM is killed, nothing is left of what it ran, daemonised or not", %{within: within, helper: helper} do
        mark = OS.mark()
        {program, args} = Programs.daemonised()

        code = """
        Application.put_env(:muontrap, :idle_helpers, #{if helper == :new, do: 0, else: 4})
        Application.ensure_all_started(:muontrap)
        before = for _ <- 1..5, do: Task.async(fn -> MuonTrap.cmd("sleep", ["0.1"]) end)
        Task.await_many(before, 60_000)
        {:ok, _daemon} = MuonTrap.Daemon.start_link("sleep", ["1000"])
        spawn(fn -> MuonTrap.cmd("sh", ["-c", "trap '' TERM; sleep 1000"]) end)
        deaf = "trap '' TERM HUP; setsid sleep 1000 & sleep 1000"
        {:ok, _program} = MuonTrap.Program.start_link("sh", ["-c", deaf], pty: true)
        spawn(fn -> "sh" |> MuonTrap.stream!(["-c", deaf], input: Stream.cycle(["again"])) |> Enum.to_list() end)
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

        # The daemon's sleep, three shells with five sleeps, the daemonised perl and its grandparent, beside the VM itself.
        # Two for each program; and of those that ran one before, some wait.
        OS.eventually(fn -> length(OS.alive(mark)) >= 12 and length(OS.helpers(mark)) >= 10 end)
        OS.kill(vm, "KILL")
        OS.eventually(fn -> OS.alive(mark) == [] and OS.helpers(mark) == [] end, within)
      end
    end
  end
end
