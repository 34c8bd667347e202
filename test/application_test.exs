# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ApplicationTest do
  # The application stopped, and its environment changed. Not async: both are everybody's.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog

  alias MuonTrap.{Daemon, Error}
  alias MuonTrap.Test.{OS, Programs, Servers, Sink}

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

  # A caller of cmd/3 that is kept busy with the output until the test says :go. It returns what the call returned or raised, and
  # how many messages that left.
  defp busy_caller({program, args}, opts) do
    into = %MuonTrap.Test.Told{test: self(), with: fn _data -> receive(do: (:go -> :ok)) end}

    Task.async(fn ->
      result = catch_error_of(fn -> MuonTrap.cmd(program, args, [into: into] ++ opts) end)
      {result, Process.info(self(), :message_queue_len)}
    end)
  end

  defp catch_error_of(fun) do
    fun.()
  rescue
    error -> error
  end

  test "stopping it while a caller is busy with the output tells the caller, and halts the collectable", context do
    cmd = busy_caller(Programs.sleeper(), env: context.env)
    assert_receive {:cont, "ready\n"}, 30_000
    :ok = Application.stop(:muontrap)
    assert OS.alive(context.mark) == []
    send(cmd.pid, :go)
    assert {%Error{reason: :vanished, message: message}, {:message_queue_len, 0}} = Task.await(cmd, 30_000)
    assert message =~ "the application :muontrap was stopped"
    assert_received :halt
  end

  test "stopping it doesn't hide the status of a program that had ended", context do
    cmd = busy_caller_with_port(context)
    for program <- OS.alive(context.mark), do: OS.kill(program, "USR1")
    # The end is in the caller's mailbox.
    OS.eventually(fn -> match?({:message_queue_len, 1}, Process.info(cmd.pid, :message_queue_len)) end)
    :ok = Application.stop(:muontrap)
    send(cmd.pid, :go)
    assert {{_told, 138}, {:message_queue_len, 0}} = Task.await(cmd, 30_000)
    assert_received :done
  end

  defp busy_caller_with_port(context) do
    Servers.owner_with_port(
      fn ->
        cmd = busy_caller(Programs.sleeper(), env: context.env)
        assert_receive {:cont, "ready\n"}, 30_000
        {cmd.pid, cmd}
      end,
      fn cmd ->
        for program <- OS.alive(context.mark), do: OS.kill(program, "KILL")
        send(cmd.pid, :go)
        assert {{_told, 137}, {:message_queue_len, 0}} = Task.await(cmd, 30_000)
        assert_received :done
      end
    )
  end

  test "a server that is killed leaves a caller that is told, a collectable that is halted, and no program", context do
    waits = fn caller -> match?({_, {:gen, _, _}}, Process.info(caller, :current_function)) end

    for {before, afterwards} <- [
          {fn _caller -> :ok end, &send(&1, :go)},
          {&(send(&1, :go) && OS.eventually(fn -> waits.(&1) end)), fn _caller -> :ok end}
        ] do
      cmd = busy_caller(Programs.sleeper(), env: context.env)
      assert_receive {:cont, "ready\n"}, 30_000
      servers = Servers.all()
      before.(cmd.pid)
      for server <- servers, do: Process.exit(server, :kill)
      afterwards.(cmd.pid)
      assert {%Error{reason: :vanished, message: message}, {:message_queue_len, 0}} = Task.await(cmd, 30_000)
      assert message =~ "the process of MuonTrap that owned the program's port has ended"
      assert_received :halt
      OS.eventually(fn -> OS.alive(context.mark) == [] end)
    end
  end

  @tag :tmp_dir
  test "a server that is killed while the program is being started leaves whoever starts it an error without the environment",
       %{env: env, mark: mark, tmp_dir: dir} do
    lock = Path.join(dir, "lock")
    {program, args} = Programs.sleeper()
    {:ok, holder} = MuonTrap.Program.start_link(program, args, env: env, lock: lock)
    before = Servers.all()
    opts = [env: [{"TOKEN", "secret"} | env], lock: lock]

    for start <- [
          fn -> MuonTrap.cmd("true", [], opts) end,
          fn -> MuonTrap.stream!("true", [], opts) |> Enum.to_list() end,
          fn -> MuonTrap.Program.start_link("true", [], opts) |> elem(1) |> raise() end
        ] do
      starter =
        Task.async(fn ->
          Process.flag(:trap_exit, true)
          catch_error_of(start)
        end)

      [server] = OS.eventually(fn -> some(Servers.all() -- before) end)
      Process.exit(server, :kill)
      assert %Error{reason: :vanished} = error = Task.await(starter, 30_000)
      refute inspect(error) =~ "secret"
    end

    MuonTrap.Program.stop(holder)
    OS.eventually(fn -> OS.alive(mark) == [] end)
  end

  defp some([]), do: nil
  defp some(list), do: list

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
  test "a helper that is no program is told as such, by a check, too", %{tmp_dir: tmp_dir} do
    path = Path.join(tmp_dir, "muontrap")
    File.write!(path, "")
    File.chmod!(path, 0o755)
    Application.put_env(:muontrap, :helper_path, path)

    for run <- [fn -> MuonTrap.cmd("true", []) end, fn -> MuonTrap.check() end] do
      error = assert_raise Error, ~r/is no program\. It is what config :muontrap, helper_path: names/, run
      assert error.reason == :enoexec
    end
  end

  # Which it is for a library of version 1.0.0.
  @tag :tmp_dir
  test "a helper of another version says so, and runs nothing", %{tmp_dir: dir} do
    path = Path.expand(Path.join(dir, "muontrap"))
    started = Path.join(dir, "started")
    File.write!(path, ~s(#!/bin/sh\nshift\nexec '#{MuonTrap.muontrap_path()}' --port=1.0.0 "$@"\n))
    File.chmod!(path, 0o755)
    Application.put_env(:muontrap, :helper_path, path)
    Process.flag(:trap_exit, true)

    for options <- [[], [lock: Path.join(dir, "lock")]] do
      error = assert_raise Error, fn -> MuonTrap.cmd("touch", [started], options) end
      assert %{stage: :options, reason: :einval} = error
      assert error.message =~ "this helper is muontrap"
      assert error.message =~ "the library that has started it is 1.0.0: install the helper of the library's version"
      assert {:error, %Error{stage: :options}} = MuonTrap.Daemon.start_link("touch", [started], options)
      assert {:error, %Error{stage: :options}} = MuonTrap.Program.start_link("touch", [started], options)
      assert_raise Error, ~r/helper_path/, fn -> "touch" |> MuonTrap.stream!([started], options) |> Enum.to_list() end
    end

    refute File.exists?(started)
  end

  # Before those of the VM's own PATH.
  defp put_path(directories) do
    path = System.fetch_env!("PATH")
    on_exit(fn -> System.put_env("PATH", path) end)
    System.put_env("PATH", Enum.join(directories ++ [path], ":"))
  end

  @tag :tmp_dir
  test "a program is found where PATH is relative, also when it runs in another directory", %{tmp_dir: dir} do
    program = Path.join(dir, "found-by-relative-path")
    File.write!(program, "#!/bin/sh\npwd\n")
    File.chmod!(program, 0o755)
    put_path([Path.relative_to_cwd(dir)])
    assert Path.type(Path.relative_to_cwd(dir)) == :relative
    assert MuonTrap.cmd("found-by-relative-path", [], cd: "/usr") == {"/usr\n", 0}
    assert MuonTrap.cmd("found-by-relative-path", []) == {File.cwd!() <> "\n", 0}
  end

  # A directory, a file that may not be executed, one whose interpreter is missing, and what the kernel doesn't know.
  @tag :tmp_dir
  test "what has the program's name in PATH and is none is passed over, or told of", %{tmp_dir: dir} do
    [one, two, three] = for part <- ["one", "two", "three"], do: Path.expand(Path.join(dir, part))
    for part <- [one, two, three], do: File.mkdir!(part)
    write = fn file, content, mode -> File.write!(file, content) && File.chmod!(file, mode) end
    name = "searched-for"
    put_path([one, two, three])
    File.mkdir!(Path.join(one, name))
    write.(Path.join(two, name), "#!/bin/sh\necho two\n", 0o644)
    assert catch_error(MuonTrap.cmd(name, [])) == :enoent
    write.(Path.join(three, name), "#!/bin/sh\necho three\n", 0o755)
    assert MuonTrap.cmd(name, []) == {"three\n", 0}
    # Another PATH is the program's own affair.
    assert MuonTrap.cmd(name, [], env: [{"PATH", two}]) == {"three\n", 0}
    # What looks like the program is it, as with System.cmd/3, also when there is another one.
    write.(Path.join(two, name), "#!/no/such/interpreter\n", 0o755)
    assert %Error{stage: :exec, reason: :enoent, message: message} = catch_error(MuonTrap.cmd(name, []))
    assert message =~ Path.join(two, name)
    File.rm!(Path.join(two, name))
    write.(Path.join(three, name), "#!/no/such/interpreter\n", 0o755)
    assert %Error{stage: :exec, reason: :enoent, message: message} = catch_error(MuonTrap.cmd(name, []))
    assert message =~ "interpreter"
    write.(Path.join(three, name), "what the kernel doesn't know", 0o755)
    assert %Error{stage: :exec, reason: :enoexec} = catch_error(MuonTrap.cmd(name, []))
  end

  test "the helper that the configuration names is used" do
    elsewhere = Path.join(System.tmp_dir!(), OS.mark())
    File.cp!(MuonTrap.muontrap_path(), elsewhere)
    on_exit(fn -> File.rm(elsewhere) end)
    Application.put_env(:muontrap, :helper_path, elsewhere)
    assert MuonTrap.muontrap_path() == elsewhere
    assert {relay, 0} = MuonTrap.cmd("sh", ["-c", "readlink /proc/$PPID/exe"])
    assert String.trim(relay) == elsewhere

    for path <- [:elsewhere, "", "muontrap", "../muontrap"] do
      Application.put_env(:muontrap, :helper_path, path)

      for run <- [fn -> MuonTrap.cmd("true", []) end, fn -> MuonTrap.check() end],
          do: assert_raise(ArgumentError, ~r/helper_path: must be the absolute path/, run)
    end
  end
end
