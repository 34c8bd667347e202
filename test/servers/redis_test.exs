# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Servers.RedisTest do
  # Redis, which writes its dump when it gets SIGTERM, and at no other time here: what was set is there again, or it was killed.
  use MuonTrap.Test.ServerCase, async: true

  import ExUnit.CaptureLog

  setup_all do
    program!("redis-server", "redis-server")
    program!("redis-cli", "redis-tools")
    program!("redis-benchmark", "redis-tools")
    :ok
  end

  defp socket(directory), do: Path.join(directory, "redis.sock")
  defp dump(directory), do: Path.join(directory, "dump.rdb")

  # It saves after a day with a change, and at the end. A script is left alone, however long it runs.
  defp command(directory) do
    ["redis-server", "--port", "0", "--unixsocket", socket(directory), "--unixsocketperm", "777"] ++
      ["--dir", directory, "--save", "86400 1", "--lua-time-limit", "0"]
  end

  defp options(context),
    do: [delay_to_sigkill: 30_000, lock: Path.join(context.directory, "lock"), env: context.env] ++ log_to(context.log)

  defp child(context, opts \\ []) do
    [program | args] = command(context.directory)
    {Daemon, [program, args, Keyword.merge(options(context), opts)]}
  end

  defp cli(directory, args), do: run("redis-cli", ["-s", socket(directory) | args])
  defp set!(directory, value), do: {"OK\n", 0} = cli(directory, ["set", "key", value])
  defp get(directory), do: directory |> cli(["get", "key"]) |> elem(0) |> String.trim()
  defp await(directory), do: OS.eventually(fn -> cli(directory, ["ping"]) == {"PONG\n", 0} end, 60_000)

  # Fifty clients that write, until the server is gone.
  defp load!(context) do
    {:ok, load} =
      Task.start_link(fn ->
        args = [
          "-s",
          socket(context.directory),
          "-c",
          "50",
          "-n",
          "1000000000",
          "-t",
          "set",
          "-d",
          "100",
          "-r",
          "10000"
        ]

        run("redis-benchmark", args, env: context.env)
      end)

    OS.eventually(fn -> size(context.directory) > 1_000 end, 60_000)
    load
  end

  defp size(directory), do: directory |> cli(["dbsize"]) |> elem(0) |> String.trim() |> String.to_integer()

  defp await_end(load) do
    monitor = Process.monitor(load)
    assert_receive {:DOWN, ^monitor, :process, ^load, _reason}, 60_000
  end

  test "that is stopped under load writes its dump, and has all of it at its next start", context do
    %{directory: directory, log: log} = context
    supervisor = supervise!([child(context)])
    await(directory)
    set!(directory, "kept")
    load = load!(context)
    refute capture_log(fn -> Supervisor.stop(supervisor) end) =~ "redis-server"
    await_end(load)
    assert count_lines(log, "User requested shutdown") == 1
    assert count_lines(log, "DB saved on disk") == 1
    refute File.exists?(socket(directory))

    supervisor = supervise!([child(context)])
    await(directory)
    assert get(directory) == "kept"
    assert size(directory) > 1_000
    Supervisor.stop(supervisor)
  end

  test "that gets less time than its dump takes is killed, and the log says so", context do
    # It looks at a signal between two commands, and this one has no end. So it is killed however fast the machine is.
    supervisor = supervise!([child(context, delay_to_sigkill: 300)])
    await(context.directory)
    set!(context.directory, "lost")
    script = Task.async(fn -> cli(context.directory, ["eval", "while true do end", "0"]) end)
    OS.eventually(fn -> busy?(context.directory) end)
    said = capture_log(fn -> Supervisor.stop(supervisor) end)

    assert said =~
             "redis-server: the process did not end within 300 ms of SIGTERM, and was killed; see :delay_to_sigkill"

    Task.await(script, 60_000)
    refute File.exists?(dump(context.directory))
  end

  defp busy?(directory), do: run("timeout", ["2", "redis-cli", "-s", socket(directory), "ping"]) == {"", 124}

  test "whose daemon is killed writes its dump, and its successor reads that", context do
    %{directory: directory} = context
    {:ok, supervisor} = Supervisor.start_link([child(context)], strategy: :one_for_one)
    await(directory)
    set!(directory, "kept")
    load = load!(context)
    predecessor = daemon(supervisor)
    Process.exit(predecessor, :kill)
    await_end(load)
    OS.eventually(fn -> daemon(supervisor) not in [nil, predecessor] end, 60_000)
    await(directory)
    assert get(directory) == "kept"
    Supervisor.stop(supervisor)
  end

  test "whose VM is killed writes its dump, and the next VM's waits for that", context do
    %{directory: directory, log: log} = context
    vm_log = Path.join(directory, "vm.log")
    vm = ServerVM.start!([child(context)], vm_log)
    await(directory)
    set!(directory, "kept")
    load = load!(context)
    next = ServerVM.boot!(vm_log)
    ServerVM.kill!(vm)
    ServerVM.supervise!(next, [child(context)])
    await_end(load)
    await(directory)
    assert get(directory) == "kept"
    set!(directory, "kept again")
    ServerVM.stop!(next)
    assert count_lines(log, "DB saved on disk") == 1
    refute File.read!(vm_log) =~ "see :delay_to_sigkill"
  end

  test "behind a shell writes its dump", context do
    %{directory: directory, log: log} = context

    for {script, count} <- [
          # The shell waits for it; the shell has replaced itself by it; it is a part of a pipeline.
          {~s(echo from the shell; "$@"; echo ended), 1},
          {~s(echo from the shell; exec "$@"), 2},
          {~s(echo from the shell; "$@" | cat), 3}
        ] do
      supervisor = supervise!([{Daemon, ["sh", ["-c", script, "sh" | command(directory)], options(context)]}])
      await(directory)
      set!(directory, script)
      processes = processes(context.mark)
      Supervisor.stop(supervisor)
      assert Enum.filter(processes, &OS.alive?/1) == []
      assert File.exists?(dump(directory)), Enum.join(lines(log), "\n")

      supervisor = supervise!([child(context)])
      await(directory)
      assert get(directory) == script
      Supervisor.stop(supervisor)
      assert count_lines(log, "from the shell") == count
      File.rm!(dump(directory))
    end
  end

  test "gets the signals that it is sent, itself and not its helper", context do
    # It heeds no SIGHUP. With SIGINT it ends, and its daemon does, with the status 0.
    {:ok, daemon} = apply(Daemon, :start_link, elem(child(context), 1))
    await(context.directory)
    assert Daemon.signal(daemon, :sighup) == :ok
    assert cli(context.directory, ["ping"]) == {"PONG\n", 0}
    assert Daemon.signal(daemon, :sigint) == :ok
    assert_receive {:EXIT, ^daemon, :normal}, 60_000
    assert count_lines(context.log, "Received SIGINT scheduling shutdown") == 1
  end

  @tag :root
  test "runs as another user, whose the dump is then", %{directory: directory} = context do
    run!("chown", ["redis", directory])
    supervisor = supervise!([child(context, uid: "redis")])
    await(directory)
    set!(directory, "kept")
    Supervisor.stop(supervisor)
    assert run!("stat", ["--format", "%U", dump(directory)]) == "redis\n"
  end
end
