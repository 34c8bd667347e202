# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ExamplesTest do
  # The examples that earlier versions' documents had, as printed there, and of this one's those that guides_test.exs can't run.
  use ExUnit.Case, async: false

  import ExUnit.CaptureIO

  alias MuonTrap.Test.OS

  test "echo" do
    assert MuonTrap.cmd("echo", ["hello"]) == {"hello\n", 0}
  end

  test "a ping whose process is spawned and told to exit is gone" do
    mark = OS.mark()
    test = self()

    output =
      capture_io(fn ->
        pid =
          spawn(fn ->
            MuonTrap.cmd("ping", ["-i", "5", "localhost"],
              into: IO.stream(:stdio, :line),
              env: OS.marked(mark)
            )
          end)

        [ping] = OS.eventually(fn -> match?([_], OS.alive(mark)) && OS.alive(mark) end)
        send(test, {:command, File.read!("/proc/#{ping}/cmdline")})
        within = 3_000 * OS.busyness()
        assert Process.exit(pid, :oops)
        OS.eventually(fn -> OS.alive(mark) == [] end, within)
      end)

    assert is_binary(output)
    assert_received {:command, command}
    assert command |> String.split(<<0>>, trim: true) |> tl() == ["-i", "5", "localhost"]
  end

  test "the ping of System.cmd/3 outlives the process that started it, and that of cmd/3 doesn't" do
    [theirs, ours] = marks = [OS.mark(), OS.mark()]
    on_exit(fn -> for mark <- marks, pid <- OS.alive(mark), do: OS.kill(pid, "KILL") end)

    for {mark, run, left} <- [{theirs, &System.cmd/3, 1}, {ours, &MuonTrap.cmd/3, 0}] do
      pid = spawn(fn -> run.("ping", ["-q", "127.0.0.2"], env: OS.marked(mark)) end)
      OS.eventually(fn -> match?([_], OS.alive(mark)) end)

      [port] = if left == 1, do: MuonTrap.Test.Servers.ports_to(pid), else: [nil]

      Process.exit(pid, :kill)
      OS.eventually(fn -> not Process.alive?(pid) and (port == nil or Port.info(port) == nil) end)
      OS.eventually(fn -> length(OS.alive(mark)) == left end)
    end
  end

  test "a ping prints its lines as they come" do
    assert {_stream, 0} =
             MuonTrap.cmd("ping", ["-c", "1", "localhost"], into: %MuonTrap.Test.Sink{with: &send(self(), {:out, &1})})

    assert_received {:out, "PING localhost" <> _}
  end

  defmodule MyServer do
    def start(_type, _args) do
      children = [
        {MuonTrap.Daemon, ["sleep", ["1000", "2000"], []]}
      ]

      opts = [strategy: :one_for_one, name: MyApp.Supervisor]
      Supervisor.start_link(children, opts)
    end
  end

  test "a daemon among an application's children" do
    {:ok, supervisor} = MyServer.start(:normal, [])
    assert [{MuonTrap.Daemon, daemon, :worker, [MuonTrap.Daemon]}] = Supervisor.which_children(MyApp.Supervisor)
    assert is_integer(MuonTrap.Daemon.os_pid(daemon))
    Supervisor.stop(supervisor)
  end

  test "a daemon with an id and a restart value" do
    spec = Supervisor.child_spec({MuonTrap.Daemon, ["true", ["arg1"], []]}, id: :my_daemon, restart: :transient)
    assert %{id: :my_daemon, restart: :transient} = spec
    {:ok, supervisor} = Supervisor.start_link([spec], strategy: :one_for_one)
    OS.eventually(fn -> match?([{:my_daemon, :undefined, _, _}], Supervisor.which_children(supervisor)) end)
    Supervisor.stop(supervisor)
  end

  test "a daemon in a directory" do
    children = [
      {MuonTrap.Daemon, ["sleep", ["1000"], [cd: "/tmp"]]}
    ]

    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
    [{_id, daemon, _type, _modules}] = Supervisor.which_children(supervisor)
    [relay] = OS.children(MuonTrap.Daemon.os_pid(daemon))
    [program] = OS.children(relay)
    assert File.read_link!("/proc/#{program}/cwd") == "/tmp"
    Supervisor.stop(supervisor)
  end

  test "several daemons under one supervisor" do
    children = [
      Supervisor.child_spec({MuonTrap.Daemon, ["sleep", ["1000"]]}, id: :server1),
      Supervisor.child_spec({MuonTrap.Daemon, ["sleep", ["1000"]]}, id: :server2)
    ]

    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
    assert length(Supervisor.which_children(supervisor)) == 2
    Supervisor.stop(supervisor)
  end
end
