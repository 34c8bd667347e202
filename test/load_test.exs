# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.LoadTest do
  # Many at once, many in turn, slow readers, idle helpers. Not async: these count what the whole VM holds.
  use ExUnit.Case, async: false

  alias MuonTrap.HelperPort.Pool
  alias MuonTrap.Test.{OS, Sink}

  # What may leak: in the VM, ports, processes and descriptors; below it, processes, dead or alive, of all that descends
  # from it. Its timers are those that process_info can't tell, so each process's mailbox is looked at instead.
  defp held() do
    %{
      ports: length(Port.list()),
      processes: length(Process.list()),
      descriptors: length(File.ls!("/proc/self/fd")),
      below: length(OS.descendants([String.to_integer(System.pid())]))
    }
  end

  defp assert_nothing_left(before, run) do
    run.()

    OS.eventually(fn ->
      :erlang.garbage_collect()
      now = held()
      Enum.all?(before, fn {what, count} -> now[what] <= count end)
    end)

    refute_received _anything
  end

  test "500 commands at once come whole and leave nothing" do
    MuonTrap.cmd("true", [])

    assert_nothing_left(held(), fn ->
      results =
        1..500
        |> Enum.map(fn n ->
          Task.async(fn -> MuonTrap.cmd("sh", ["-c", "echo #{n}; head -c 20000 /dev/zero; exit #{rem(n, 200)}"]) end)
        end)
        |> Task.await_many(150_000)

      for {{output, status}, n} <- Enum.zip(results, 1..500) do
        assert status == rem(n, 200)
        assert output == "#{n}\n" <> String.duplicate(<<0>>, 20_000)
      end
    end)
  end

  test "2,000 commands in turn come whole and leave nothing" do
    MuonTrap.cmd("true", [])

    assert_nothing_left(held(), fn ->
      for n <- 1..2_000, do: assert(MuonTrap.cmd("echo", ["#{n}"]) == {"#{n}\n", 0})
    end)
  end

  test "100 that time out, are given up or fail to start leave nothing" do
    MuonTrap.cmd("true", [])

    assert_nothing_left(held(), fn ->
      for _ <- 1..100 do
        assert {_output, :timeout} = MuonTrap.cmd("yes", [], timeout: 5, delay_to_sigkill: 0)
        assert_raise MuonTrap.Error, fn -> MuonTrap.cmd("true", [], cd: "/no/such") end
        assert_raise RuntimeError, fn -> MuonTrap.cmd("yes", [], into: %Sink{with: fn _data -> raise "no" end}) end
      end
    end)
  end

  test "600 callers that are killed at any moment, or trap exits, leave neither process nor message" do
    MuonTrap.cmd("true", [])
    mark = OS.mark()
    test = self()

    programs = [
      {"true", []},
      {"yes", []},
      {"head", ["-c", "300000", "/dev/zero"]},
      {"sh", ["-c", "while :; do echo x; sleep 0.003; done"]},
      {"sleep", ["1000"]}
    ]

    assert_nothing_left(held(), fn ->
      for n <- 1..600 do
        {program, args} = Enum.at(programs, rem(n, 5))
        opts = [env: OS.marked(mark)] ++ if(rem(n, 7) == 0, do: [timeout: :rand.uniform(10)], else: [])

        {caller, monitor} =
          spawn_monitor(fn ->
            Process.flag(:trap_exit, rem(n, 2) == 0)
            MuonTrap.cmd(program, args, opts)
            receive(do: (message -> send(test, {:left, message})), after: (0 -> :ok))
          end)

        # Not to wait for anything, but to strike at another moment each time.
        Process.sleep(:rand.uniform(8) - 1)
        Process.exit(caller, :kill)
        assert_receive {:DOWN, ^monitor, :process, ^caller, reason}, 30_000
        assert reason in [:normal, :killed]
      end

      refute_received {:left, _message}
      OS.eventually(fn -> OS.alive(mark) == [] and OS.helpers(mark) == [] end)
    end)
  end

  test "a consumer that takes a millisecond for each line of yes keeps the VM within 2 MB for ten seconds" do
    MuonTrap.cmd("yes", [], into: %Sink{with: slowly_for(200)}, timeout: 200)

    most = memory()
    test = self()

    watcher =
      spawn_link(fn ->
        watch(fn -> memory() end, 0, test)
      end)

    assert {%Sink{bytes: bytes}, :timeout} =
             MuonTrap.cmd("yes", [], into: %Sink{with: slowly_for(10_000)}, timeout: 10_000)

    assert bytes > 0
    send(watcher, :stop)
    assert_receive {:peak, peak}, 30_000
    assert peak - most < 2_000_000
  end

  # One piece of output may have thousands of lines, and a millisecond of sleep takes twenty where the processors are
  # busy: what has come when the time is up isn't slept over, and what comes then isn't even looked at.
  defp slowly_for(milliseconds) do
    deadline = System.monotonic_time(:millisecond) + milliseconds
    time? = fn -> System.monotonic_time(:millisecond) < deadline end
    fn data -> if time?.(), do: for("y" <- String.split(data, "\n"), time?.(), do: :timer.sleep(1)) end
  end

  defp memory() do
    :erlang.garbage_collect()
    :erlang.memory(:total)
  end

  defp watch(measure, peak, test) do
    receive do
      :stop -> send(test, {:peak, peak})
    after
      50 -> watch(measure, max(peak, measure.()), test)
    end
  end

  for {name, messages} <- [{"", 0}, {", also one with many other messages", 1_000}] do
    test "a consumer that never comes back holds no more than the window#{name}" do
      test = self()

      stuck =
        spawn(fn ->
          for n <- 1..unquote(messages)//1, do: send(self(), n)

          MuonTrap.cmd("yes", [],
            into: %Sink{with: fn data -> send(test, {:got, byte_size(data)}) && Process.sleep(:infinity) end}
          )
        end)

      # What the helper has sent and nobody has handled is with the consumer, in its mailbox, or with the server.
      assert_receive {:got, got}, 30_000
      [server] = MuonTrap.Test.Servers.of(stuck)
      held = fn -> got + waiting(stuck) + queued(:sys.get_state(server).events) end
      assert eventually_still(held) in 1..10_240
      Process.exit(stuck, :kill)
    end
  end

  # What it is when that has not changed for a while.
  defp eventually_still(measure, last \\ nil) do
    case measure.() do
      ^last -> last
      now -> receive(do: (:never -> :ok), after: (300 -> eventually_still(measure, now)))
    end
  end

  defp queued(events), do: for({_stream, data} <- events, reduce: 0, do: (sum -> sum + byte_size(data)))

  defp waiting(process) do
    {:messages, messages} = Process.info(process, :messages)
    queued(for {port, {:data, frame}} <- messages, is_port(port), do: MuonTrap.Protocol.decode(frame))
  end

  describe "an idle helper" do
    setup context do
      prepare(context.helper)
      waiting = OS.helpers_of_vm()
      mark = OS.mark()
      task = Task.async(fn -> MuonTrap.cmd("sleep", ["1000"], env: OS.marked(mark)) end)
      OS.eventually(fn -> length(OS.alive(mark)) == 1 and length(OS.helpers(mark)) == 2 end)
      # The last that the start does is to give back memory, a moment after the program runs.
      OS.eventually(fn -> slept_for_a_second?(OS.helpers(mark)) end)
      on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
      helpers = OS.helpers(mark)
      assert Enum.all?(helpers, &(&1 in waiting)) == (context.helper == :used and OS.linux_helper?())
      %{helpers: helpers, task: task}
    end

    # One that runs one program alone.
    defp prepare(:single) do
      Application.put_env(:muontrap, :idle_helpers, 0)
      on_exit(fn -> Application.delete_env(:muontrap, :idle_helpers) end)
    end

    # One that will wait for others' programs, and has had none: those that were started in another environment are let go.
    defp prepare(:new) do
      System.put_env("MUONTRAP_TEST_LOAD", OS.mark())
      on_exit(fn -> System.delete_env("MUONTRAP_TEST_LOAD") end)
    end

    defp prepare(:used) do
      input = :binary.copy("x", 2_000_000)

      OS.eventually(fn ->
        assert MuonTrap.cmd("sh", ["-c", "sleep 0.2; exec wc -c"], input: input) == {"2000000\n", 0}
        Pool.idle() > 0 or not OS.linux_helper?()
      end)
    end

    defp slept_for_a_second?(pids) do
      before = sleeps(pids)
      Process.sleep(1000)
      sleeps(pids) == before and Enum.all?(pids, &(OS.state(&1) == "S"))
    end

    defp sleeps(pids), do: for(pid <- pids, do: OS.status_number(pid, "voluntary_ctxt_switches"))

    # A used one has touched the code that moves bytes, and the stack below it. The room for input alone can be a megabyte.
    for {helper, which, most} <- [
          {:single, "of one program", 100},
          {:new, "of those that are used again", 100},
          {:used, "that has relayed 2 MB of input for another program", 150}
        ] do
      @tag helper: helper
      test "#{which} makes no system call in five seconds", %{helpers: helpers, task: task} do
        assert calls_in_five_seconds(helpers) == []
        Task.shutdown(task, :brutal_kill)
      end

      @tag :musl
      @tag helper: helper
      test "#{which} holds less than #{most} KB in both its processes together", %{helpers: helpers, task: task} do
        resident = for pid <- helpers, do: OS.status_number(pid, "VmRSS")
        assert Enum.sum(resident) < unquote(most), "keeper and relay: #{inspect(resident, charlists: :as_lists)} KB"
        Task.shutdown(task, :brutal_kill)
      end
    end

    defp calls_in_five_seconds(helpers) do
      strace = System.find_executable("strace") || flunk("strace is not installed: apt-get install strace")
      trace = Path.join(System.tmp_dir!(), OS.mark())
      pids = Enum.flat_map(helpers, &["-p", "#{&1}"])
      # timeout(1) interrupts strace, which lets go of the processes.
      {output, _status} =
        System.cmd("timeout", ["--preserve-status", "-s", "INT", "5", strace, "-o", trace | pids],
          stderr_to_stdout: true
        )

      calls = File.read!(trace)
      File.rm(trace)
      assert output =~ "attached", output
      # What strace shows is the call that was going on when it came, as it has not returned.
      Enum.reject(
        String.split(calls, "\n", trim: true),
        &(&1 =~ ~r/strace: Process|<unfinished|detached|restart_syscall\(<|poll\(.*<detached/)
      )
    end
  end
end
