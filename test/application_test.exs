# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ApplicationTest do
  # The application stopped, and its environment changed. Not async: both are everybody's.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog

  alias MuonTrap.{Daemon, Error}
  alias MuonTrap.Test.{OS, Programs, Sink}

  setup do
    Process.flag(:trap_exit, true)
    mark = OS.mark()

    on_exit(fn ->
      {:ok, _started} = Application.ensure_all_started(:muontrap)
      Application.delete_env(:muontrap, :helper_path)
      for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL")
    end)

    %{env: OS.marked(mark), mark: mark}
  end

  test "stopping it ends what runs, and tells who runs it", %{env: env, mark: mark} do
    test = self()
    {program, args} = Programs.deaf()

    cmd =
      Task.async(fn ->
        sink = %Sink{with: &send(test, {:cmd, &1})}
        assert_raise Error, fn -> MuonTrap.cmd(program, args, env: env, into: sink) end
      end)

    assert_receive {:cmd, "ready\n"}, 30_000
    # Once the caller waits for more it is told in words.
    OS.eventually(fn -> Process.info(cmd.pid, :status) == {:status, :waiting} end)
    {:ok, daemon} = Daemon.start_link(program, args, env: env, logger_fun: &send(test, {:line, &1}))
    assert_receive {:line, "ready"}, 30_000

    capture_log(fn ->
      :ok = Application.stop(:muontrap)
      assert OS.alive(mark) == []
      assert Task.await(cmd, 30_000).message =~ "the application :muontrap was stopped"
      assert_receive {:EXIT, ^daemon, %Error{reason: :vanished}}, 30_000
    end)

    # It is started by who needs it.
    assert MuonTrap.cmd("echo", ["hello"]) == {"hello\n", 0}
  end

  test "the collectable is halted when the helper can't be executed" do
    Application.put_env(:muontrap, :helper_path, "/no/such/muontrap")
    test = self()
    into = %MuonTrap.Test.Told{test: test}
    error = assert_raise Error, fn -> MuonTrap.cmd("true", [], into: into) end
    assert %{stage: :setup, reason: :enoent} = error
    assert error.message =~ "/no/such/muontrap"
    assert error.message =~ "helper_path"
    assert_received :halt
    refute_received _anything
  end

  test "a helper that leaves at once leaves no message to a caller that traps exits" do
    path = MuonTrap.muontrap_path()
    Application.put_env(:muontrap, :helper_path, System.find_executable("true"))

    for _ <- 1..60 do
      error = assert_raise Error, fn -> MuonTrap.cmd("echo", []) end
      assert %{stage: :setup, reason: :vanished} = error
    end

    # What those might have sent is there when another one has come and gone.
    Application.put_env(:muontrap, :helper_path, path)
    MuonTrap.cmd("true", [])
    refute_received _anything
  end

  @tag :tmp_dir
  test "a program is found where PATH is relative, also when it runs in another directory", %{tmp_dir: dir} do
    program = Path.join(dir, "found-by-relative-path")
    File.write!(program, "#!/bin/sh\npwd\n")
    File.chmod!(program, 0o755)
    path = System.fetch_env!("PATH")
    on_exit(fn -> System.put_env("PATH", path) end)
    System.put_env("PATH", Path.relative_to_cwd(dir) <> ":" <> path)
    assert Path.type(Path.relative_to_cwd(dir)) == :relative
    assert MuonTrap.cmd("found-by-relative-path", [], cd: "/usr") == {"/usr\n", 0}
    assert MuonTrap.cmd("found-by-relative-path", []) == {File.cwd!() <> "\n", 0}
  end

  test "the helper that the configuration names is used" do
    elsewhere = Path.join(System.tmp_dir!(), OS.mark())
    File.cp!(MuonTrap.muontrap_path(), elsewhere)
    on_exit(fn -> File.rm(elsewhere) end)
    Application.put_env(:muontrap, :helper_path, elsewhere)
    assert MuonTrap.muontrap_path() == elsewhere
    assert {relay, 0} = MuonTrap.cmd("sh", ["-c", "readlink /proc/$PPID/exe"])
    assert String.trim(relay) == elsewhere
    Application.put_env(:muontrap, :helper_path, :elsewhere)
    assert_raise ArgumentError, ~r/helper_path/, fn -> MuonTrap.cmd("true", []) end
  end
end
