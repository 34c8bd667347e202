# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.CmdTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Test.{OS, Programs, Sink}

  doctest MuonTrap, except: [attach: 2]
  doctest MuonTrap.Error
  doctest MuonTrap.Options

  # What is wrong with so many runs: nothing, each time.
  defp runs(count, run) do
    for _ <- 1..OS.fewer(count), wrong = run.(), do: wrong
  end

  describe "the whole output" do
    for bytes <- [65_000, 200_000, 1_000_000, 20_000_000] do
      test "of #{bytes} bytes comes, again and again" do
        bytes = unquote(bytes)

        assert [] ==
                 runs(100, fn ->
                   {output, status} = MuonTrap.cmd("head", ["-c", "#{bytes}", "/dev/zero"])
                   if {byte_size(output), status} != {bytes, 0}, do: {byte_size(output), status}
                 end)
      end
    end

    test "comes through a window of 16 bytes" do
      expected = Enum.map_join(1..5000, &"#{&1}\n")

      assert [] ==
               runs(100, fn ->
                 result = MuonTrap.cmd("seq", ["1", "5000"], stdio_window: 16)
                 if result != {expected, 0}, do: result
               end)
    end

    test "comes through a window of one byte" do
      assert MuonTrap.cmd("seq", ["1", "500"], stdio_window: 1) == {Enum.map_join(1..500, &"#{&1}\n"), 0}
    end

    # Piece after piece to an owner that takes them directly, each less than half of the window, so that the helper doesn't ask
    # for an acknowledgement; and then pauses, in which the owner goes over to waiting for the server.
    @piecemeal """
    x=$(head -c 1500 /dev/zero | tr '\\0' x)
    for i in $(seq 20); do
      for j in $(seq 20); do
        printf %s $x
        k=0; while [ $k -lt 200 ]; do k=$((k+1)); done
      done
      sleep 0.02
    done
    """

    test "comes piecemeal through a window that is never half full" do
      assert {%{bytes: 600_000}, 0} =
               MuonTrap.cmd("sh", ["-c", @piecemeal], into: %Sink{}, stdio_window: 100_000, timeout: 60_000)
    end

    test "comes through such a window to an owner that gets many other messages meanwhile" do
      owner = self()
      crowd = fn _data -> if :rand.uniform(4) == 1, do: for(n <- 1..200, do: send(owner, n)) end
      calm = fn data -> if(:rand.uniform(4) == 1, do: flush(), else: crowd.(data)) end

      for size <- [100_000, 300_000] do
        assert {%{bytes: 600_000}, 0} =
                 MuonTrap.cmd("sh", ["-c", @piecemeal], into: %Sink{with: calm}, stdio_window: size, timeout: 60_000)

        assert {%{bytes: 8_000_000}, 0} =
                 MuonTrap.cmd("head", ["-c", "8000000", "/dev/zero"],
                   into: %Sink{with: calm},
                   stdio_window: size,
                   timeout: 60_000
                 )
      end

      flush()
    end

    # The numbers that were sent above.
    defp flush() do
      receive do
        n when is_integer(n) -> flush()
      after
        0 -> :ok
      end
    end

    test "comes when it is 20,000 lines on stderr" do
      expected = Enum.map_join(1..20_000, &"line #{&1}\n")

      assert [] ==
               runs(100, fn ->
                 result = MuonTrap.cmd("sh", ["-c", "seq -f 'line %.0f' 20000 >&2"], stderr_to_stdout: true)

                 if result != {expected, 0}, do: elem(result, 1)
               end)
    end

    test "comes when a grandchild wrote just before the program ended" do
      assert [] ==
               runs(100, fn ->
                 result = MuonTrap.cmd("sh", ["-c", "(head -c 100000 /dev/zero) & wait"])
                 if {byte_size(elem(result, 0)), elem(result, 1)} != {100_000, 0}, do: result
               end)
    end

    @tag :linux
    test "comes when a grandchild wrote just after the program ended" do
      # The grandchild says in a file how much it could write before it was killed. The last write may have been done
      # and not yet noted, so there may be more, and no less.
      note = Path.join(System.tmp_dir!(), OS.mark())

      script = ~S"""
        $SIG{HUP} = 'IGNORE';
        my $parent = $$;
        exit if fork;
        open(my $note, '>', $ARGV[0]); binmode $note;
        1 while getppid() == $parent;
        for (1..1000) { syswrite(STDOUT, 'x' x 100); syswrite($note, 'x' x 100) }
      """

      assert [] ==
               runs(100, fn ->
                 {output, status} = MuonTrap.cmd("perl", ["-e", script, note])
                 written = if File.exists?(note), do: File.stat!(note).size, else: 0
                 File.rm(note)
                 if status != 0 or byte_size(output) < written, do: {byte_size(output), written, status}
               end)
    end

    test "comes when a signal killed the program after a megabyte" do
      assert [] ==
               runs(100, fn ->
                 {output, status} = MuonTrap.cmd("sh", ["-c", "head -c 1000000 /dev/zero; kill -KILL $$"])
                 if {byte_size(output), status} != {1_000_000, 137}, do: {byte_size(output), status}
               end)
    end

    test "comes in order from both streams when they are one" do
      script = "for i in 1 2 3 4 5 6 7 8 9; do echo out$i; echo err$i >&2; done"
      expected = Enum.map_join(1..9, &"out#{&1}\nerr#{&1}\n")
      assert MuonTrap.cmd("sh", ["-c", script], stderr_to_stdout: true) == {expected, 0}
    end
  end

  describe "standard input" do
    test "is empty and takes nothing from the program's caller" do
      assert MuonTrap.cmd("sh", ["-c", "echo hi; cat; echo done"]) == {"hi\ndone\n", 0}
    end
  end

  describe "what the program sees" do
    test "is no signal ignored or blocked" do
      {status, 0} = MuonTrap.cmd("cat", ["/proc/self/status"])
      assert signals(status, "SigIgn") == 0
      assert signals(status, "SigBlk") == 0
    end

    # Signals 32 to 34 are the C libraries' own: POSIX has no way to change what GNU make leaves them as.
    defp signals(status, set) do
      [_line, mask] = Regex.run(~r/^#{set}:\s+([0-9a-f]+)$/m, status)
      of_posix = if MuonTrap.Test.OS.linux_helper?(), do: -1, else: 0x7FFFFFFF
      Bitwise.band(String.to_integer(mask, 16), of_posix)
    end

    test "is descriptors 0, 1 and 2 and no other" do
      # The shell's own glob opens nothing that stays: echo is built in.
      assert {"0 1 2\n", 0} =
               MuonTrap.cmd("sh", ["-c", "cd /proc/$$/fd; for f in *; do [ -e $f ] && l=\"$l $f\"; done; echo $l"])
    end

    test "is a session of its own" do
      {stat, 0} = MuonTrap.cmd("cat", ["/proc/self/stat"])
      [pid | _] = String.split(stat)
      [_state, _parent, group, session | _] = stat |> String.split(") ") |> List.last() |> String.split()
      assert {group, session} == {pid, pid}
    end

    test "is the directory that was asked for" do
      assert MuonTrap.cmd("pwd", [], cd: "/usr") == {"/usr\n", 0}
      assert MuonTrap.cmd("pwd", [], cd: "/") == {"/\n", 0}
    end

    test "is the environment that was asked for" do
      System.put_env("MUONTRAP_UNSET", "still here")
      env = [{"MUONTRAP_UNSET", nil}, {"MUONTRAP_SET", "grün = 1"}, {"MUONTRAP_EMPTY", ""}]
      {output, 0} = MuonTrap.cmd("env", [], env: env)
      lines = String.split(output, "\n")

      assert "MUONTRAP_SET=grün = 1" in lines
      assert "MUONTRAP_EMPTY=" in lines
      refute output =~ "MUONTRAP_UNSET"
      assert MuonTrap.cmd("sh", ["-c", "echo $A"], env: %{"A" => "map"}) == {"map\n", 0}
      assert MuonTrap.cmd("sh", ["-c", "echo $A"], env: [{"A", "1"}, {"A", ""}, {"A", "3"}]) == {"3\n", 0}
    end

    test "is the name that was asked for" do
      script = "cat /proc/$$/cmdline | tr '\\0' ' '"
      assert {"renamed -c" <> _, 0} = MuonTrap.cmd("sh", ["-c", script], arg0: "renamed")
    end

    test "is its path as argv[0], as with System.cmd/3" do
      assert {"/" <> _, 0} = result = System.cmd("sh", ["-c", "tr '\\0' '\n' </proc/$$/cmdline | head -1"])
      assert MuonTrap.cmd("sh", ["-c", "tr '\\0' '\n' </proc/$$/cmdline | head -1"]) == result
    end

    test "is its arguments as they are" do
      args = ["", " ", "a b", "*", "--help", "-x", "grün", <<0xFF>>, "'\"$HOME\n"]
      assert MuonTrap.cmd("printf", ["[%s]" | args]) == {Enum.map_join(args, &"[#{&1}]"), 0}
    end

    @tag :root
    test "is the user and the groups that were asked for" do
      nobody = "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n"
      assert MuonTrap.cmd("id", [], uid: "nobody") == {nobody, 0}
      assert MuonTrap.cmd("id", [], uid: 65_534) == {nobody, 0}

      assert {"uid=65534(nobody) gid=1(daemon) groups=1(daemon)\n", 0} =
               MuonTrap.cmd("id", [], uid: "nobody", gid: "daemon")

      assert {output, 0} = MuonTrap.cmd("id", [], uid: "nobody", gid: 1, groups: [2, "sys"])
      assert output =~ "gid=1(daemon)"
      assert output =~ "2(bin)"
      assert output =~ "3(sys)"

      assert {"12345 23456 23456\n", 0} =
               MuonTrap.cmd("sh", ["-c", "echo $(id -u) $(id -g) $(id -G)"], uid: 12_345, gid: 23_456)
    end

    @tag :root
    test "has the login variables of its user, unless :env says otherwise" do
      script = ["-c", "echo \"${HOME-none} ${USER-none} ${LOGNAME-none} ${SHELL-none}\""]
      [_name, _password, _uid, _gid, _gecos, home, _shell] = entry("nobody")
      assert MuonTrap.cmd("sh", script, uid: "nobody") == {"#{home} nobody nobody none\n", 0}
      assert MuonTrap.cmd("sh", script, uid: 12_345, gid: 12_345) == {"none none none none\n", 0}

      env = %{"HOME" => "/elsewhere", "USER" => nil, "SHELL" => ""}
      assert MuonTrap.cmd("sh", script, uid: "nobody", env: env) == {"/elsewhere none nobody \n", 0}

      names = ["HOME", "USER", "LOGNAME", "SHELL"]
      ours = Enum.map_join(names, " ", &(System.get_env(&1) || "none"))
      assert MuonTrap.cmd("sh", script, gid: "daemon") == {ours <> "\n", 0}
    end

    defp entry(user) do
      "/etc/passwd" |> File.stream!() |> Enum.map(&String.split(String.trim(&1), ":")) |> Enum.find(&(hd(&1) == user))
    end

    @tag :root
    test "can open its output by name, as another user too" do
      script = ["-c", "echo out >/dev/stdout; echo err >/dev/stderr"]
      assert MuonTrap.cmd("sh", script, uid: "nobody", stderr_to_stdout: true) == {"out\nerr\n", 0}
    end

    @tag :root
    test "is no way back to root" do
      {status, 0} = MuonTrap.cmd("cat", ["/proc/self/status"], uid: "nobody")
      assert status =~ ~r/^Uid:\s+65534\s+65534\s+65534\s+65534$/m
      assert status =~ ~r/^Gid:\s+65534\s+65534\s+65534\s+65534$/m
      assert status =~ ~r/^CapEff:\s+0+$/m
    end
  end

  describe "options" do
    test ":into collects into any collectable" do
      assert {chunks, 0} = MuonTrap.cmd("echo", ["hello"], into: [])
      assert Enum.join(chunks) == "hello\n"
      assert MuonTrap.cmd("echo", ["hello"], into: "say ") == {"say hello\n", 0}
    end

    test ":capture_stderr_only throws stdout away" do
      assert MuonTrap.cmd("sh", ["-c", "echo out; echo err >&2"], capture_stderr_only: true) == {"err\n", 0}
    end

    test ":lines collects whole lines without their newlines, as System.cmd/3 does" do
      script = "printf 'a\\nbcdefghij\\n\\nk'; sleep 0.1; printf 'l\\nm'"
      lines = ["a", "bcdefghij", "", "kl", "m"]
      assert MuonTrap.cmd("sh", ["-c", script], lines: 3, into: []) == {lines, 0}
      assert MuonTrap.cmd("sh", ["-c", script], lines: 3) == {Enum.join(lines), 0}
      assert MuonTrap.cmd("sh", ["-c", script], lines: 3, into: [], stdio_window: 1) == {lines, 0}
      assert MuonTrap.cmd("true", [], lines: 1024, into: []) == {[], 0}
      assert MuonTrap.cmd("echo", [], lines: 1024, into: []) == {[""], 0}
      {[line], 0} = MuonTrap.cmd("head", ["-c", "3000000", "/dev/zero"], lines: 1024, into: [])
      assert byte_size(line) == 3_000_000
    end

    # An option counts as one of System.cmd/3's when that takes it with one of these values. Which names it knows is told by
    # the atoms in its code, so that the options of a newer Elixir are found.
    defp options_of_system_cmd() do
      {:ok, {System, [atoms: atoms]}} = :beam_lib.chunks(:code.which(System), [:atoms])

      for {_index, name} <- atoms, value <- [true, 1, "/", []], taken_by_system_cmd?(name, value), do: {name, value}
    end

    defp taken_by_system_cmd?(name, value) do
      {_output, 0} = System.cmd("true", [], [{name, value}])
      true
    rescue
      _refused -> false
    end

    test "are all that System.cmd/3 has, with the same values" do
      options = options_of_system_cmd()
      assert Enum.uniq(Keyword.keys(options)) -- [:into] != []

      for name <- [:into, :cd, :env, :arg0, :stderr_to_stdout, :parallelism],
          do: assert(Keyword.has_key?(options, name))

      # System.cmd/3 takes anything else than false for true here.
      for {name, value} = option <- options, option not in [use_stdio: 1, use_stdio: "/", use_stdio: []] do
        assert {_output, 0} = MuonTrap.cmd("true", [], [{name, value}])
      end
    end

    test ":use_stdio and :hide are taken as they are without them, and what can't be had is refused in words" do
      assert MuonTrap.cmd("echo", ["hello"], use_stdio: true, hide: true) == {"hello\n", 0}
      error = assert_raise ArgumentError, fn -> MuonTrap.cmd("echo", ["hello"], use_stdio: false) end
      assert error.message =~ "System.cmd/3"
    end

    test ":env can be a function" do
      assert MuonTrap.cmd("sh", ["-c", "echo $A"], env: fn -> [{"A", "made"}] end) == {"made\n", 0}
      assert_raise ArgumentError, fn -> MuonTrap.cmd("true", [], env: fn -> :none end) end
    end

    test "with a wrong :env are refused without telling its values" do
      error = assert_raise ArgumentError, fn -> MuonTrap.cmd("true", [], env: [{"A", "secret"}, {"B=", "secret"}]) end
      assert error.message =~ inspect("B=")
      refute error.message =~ "secret"
    end

    test ":parallelism is accepted" do
      assert MuonTrap.cmd("echo", ["hello"], parallelism: true) == {"hello\n", 0}
    end

    test "an exit status comes as it is, and a signal as 128 and its number" do
      assert {"", 255} = MuonTrap.cmd("sh", ["-c", "exit 255"])
      assert {"", 143} = MuonTrap.cmd("sh", ["-c", "kill -TERM $$"])
    end

    test "output of a collectable that raises is given up, and the program is dead when the error arrives" do
      mark = OS.mark()
      broken = %MuonTrap.Test.Sink{with: fn _data -> raise "no more" end}

      assert_raise RuntimeError, "no more", fn ->
        MuonTrap.cmd("sh", ["-c", "sleep 1000 & yes"], into: broken, env: OS.marked(mark))
      end

      assert OS.alive(mark) == []
    end
  end

  describe ":timeout" do
    test "returns the output so far when the tree is dead" do
      for {program, args} <- [
            Programs.sleeper(),
            Programs.background_child(),
            Programs.deaf()
          ] do
        mark = OS.mark()
        assert Programs.cmd_until_ready(program, args, 300, env: OS.marked(mark)) == {"ready\n", :timeout}
        assert OS.alive(mark) == []
      end
    end

    @tag :linux
    test "returns when daemonised descendants are dead" do
      {program, args} = Programs.daemonised()
      mark = OS.mark()
      assert Programs.cmd_until_ready(program, args, 500, env: OS.marked(mark)) == {"ready\n", :timeout}
      assert OS.alive(mark) == []
    end

    test "that is over when the program has ended already doesn't hide its status" do
      assert {%{bytes: 6}, 3} = late(500)
    end

    # The caller goes on once the program is gone, and the time is up. On a busy machine it may be up before the program is
    # gone.
    defp late(timeout) do
      mark = OS.mark()

      late = fn _data ->
        OS.eventually(fn -> OS.alive(mark) == [] end)
        Process.sleep(timeout)
      end

      opts = [timeout: timeout, into: %MuonTrap.Test.Sink{with: late}, env: OS.marked(mark)]

      case MuonTrap.cmd("sh", ["-c", "echo hello; exit 3"], opts) do
        {_sink, :timeout} when timeout < 60_000 -> late(2 * timeout)
        result -> result
      end
    end

    # Who executes a file that another process has a lease on waits until that one gives it up, or the kernel takes it back
    # after /proc/sys/fs/lease-break-time, 45 seconds (fcntl(2), F_SETLEASE).
    @tag :tmp_dir
    test "is up also while the program is still being started", %{tmp_dir: dir} do
      program = Path.join(dir, "leased")
      File.cp!(System.find_executable("true"), program)

      lease =
        ~S[$| = 1; $SIG{IO} = 'IGNORE'; open(F, '+<', shift); fcntl(F, 1024, 1) or die; print "ready\n"; sleep 1000]

      mark = OS.mark()
      test = self()
      opts = [env: OS.marked(mark), logger_fun: &send(test, {:line, &1})]
      {:ok, holder} = MuonTrap.Daemon.start_link("perl", ["-e", lease, program], opts)
      assert_receive {:line, "ready"}, 30_000
      mark = OS.mark()
      call = Task.async(fn -> MuonTrap.cmd(program, [], timeout: 300, env: OS.marked(mark)) end)
      assert Task.await(call, 30_000) == {"", :timeout}
      OS.eventually(fn -> OS.alive(mark) == [] and OS.helpers(mark) == [] end)
      GenServer.stop(holder)
    end

    test "is up also while output never ends" do
      assert {output, :timeout} = Programs.cmd_until_ready("yes", [], 200, [], &(byte_size(&1) > 4))
      assert String.starts_with?(output, "y\ny\n")
    end

    test "leaves nothing in the mailbox" do
      MuonTrap.cmd("yes", [], timeout: 50)
      MuonTrap.cmd("echo", ["hello"])
      refute_received _anything
    end

    test "gives the program the time of :delay_to_sigkill to end by itself" do
      script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
      assert Programs.cmd_until_ready("sh", ["-c", script], 200, delay_to_sigkill: 60_000) == {"ready\nbye\n", :timeout}
    end
  end

  describe "bad input" do
    test "a program that is missing is :enoent" do
      for program <- ["no-such-program", "/no/such/program", "./no-such", "", "/etc/passwd/x"] do
        assert %ErlangError{original: :enoent} = catch_error(raise_of(program, []))
      end
    end

    test "a program that is missing is :enoent whatever else is wrong" do
      for opts <- [[cd: "/no/such"], [cgroup_path: "no/such/base/at/all/#{OS.mark()}"]] do
        assert %ErlangError{original: :enoent} = catch_error(raise_of("no-such-program", opts))
      end
    end

    @tag :tmp_dir
    test "a program that is missing leaves the file that its output was for as it was", %{tmp_dir: dir} do
      file = Path.join(dir, "precious")
      File.write!(file, "precious")
      assert %ErlangError{original: :enoent} = catch_error(raise_of("no-such-program", into: File.stream!(file)))
      assert File.read!(file) == "precious"
    end

    test "a program that may not be executed is :eacces" do
      for program <- ["/etc/passwd", "/tmp"] do
        assert %ErlangError{original: :eacces} = catch_error(raise_of(program, []))
      end
    end

    @tag :tmp_dir
    test "a file that the kernel can't execute is told of", %{tmp_dir: dir} do
      elf = Path.join(dir, "elf")
      File.write!(elf, <<0x7F, "ELF", 1, 2, 3>>)
      File.chmod!(elf, 0o755)
      error = assert_raise MuonTrap.Error, fn -> MuonTrap.cmd(Path.expand(elf), []) end
      assert %{stage: :exec, reason: :enoexec} = error
      assert error.message =~ Path.expand(elf)

      script = Path.join(dir, "script")
      File.write!(script, "#!/no/such/interpreter\n")
      File.chmod!(script, 0o755)
      error = assert_raise MuonTrap.Error, fn -> MuonTrap.cmd(Path.expand(script), []) end
      assert %{stage: :exec, reason: :enoent} = error
      assert error.message =~ "interpreter"
    end

    test "a :cd that is missing or no directory is told of" do
      assert %{stage: :cd, reason: :enoent} =
               assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd("true", [], cd: "/no/such") end)

      assert %{stage: :cd, reason: :enotdir} =
               assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd("true", [], cd: "/etc/passwd") end)
    end

    test "arguments that are too long are told of" do
      long = String.duplicate("x", 200_000)
      error = assert_raise MuonTrap.Error, fn -> MuonTrap.cmd("true", [long]) end
      assert %{stage: :setup, reason: :e2big} = error
      assert error.message =~ "128 KB"
    end

    @tag :tmp_dir
    test "a collectable that can't be collected into is refused before the program runs", %{tmp_dir: dir} do
      file = Path.expand(Path.join(dir, "touched"))
      assert_raise File.Error, fn -> MuonTrap.cmd("touch", [file], into: File.stream!("/no/such/file")) end
      refute File.exists?(file)
    end

    test "options that are unknown or of the wrong type are refused by name" do
      for {name, value} = option <- [
            unknown: 1,
            cd: 5,
            cd: "",
            cd: "a\0b",
            env: 5,
            env: [{"A", 1}],
            env: [{"", "x"}],
            env: [{"A=B", "x"}],
            env: [{"A", "a\0b"}],
            env: ["A=B"],
            arg0: :x,
            arg0: "a\0b",
            stderr_to_stdout: "yes",
            capture_stderr_only: 1,
            parallelism: nil,
            lines: 0,
            lines: true,
            hide: 1,
            use_stdio: false,
            use_stdio: 1,
            stdio_window: 0,
            stdio_window: -1,
            stdio_window: 0x80000000,
            stdio_window: "10",
            delay_to_sigkill: -1,
            delay_to_sigkill: 1.5,
            timeout: 0,
            timeout: "1",
            into: :nothing,
            uid: 0,
            uid: -1,
            uid: "",
            uid: 0xFFFFFFFF,
            gid: 0,
            gid: 1.0,
            groups: 5,
            groups: [0],
            groups: ["a,b"],
            groups: [1 | 2],
            env: [{"A", "1"} | :b],
            log_output: :debug,
            name: MyName
          ] do
        error = assert_raise ArgumentError, fn -> MuonTrap.cmd("true", [], [option]) end
        assert error.message =~ inspect(name), "#{inspect(name)}: #{inspect(value)}: #{error.message}"
      end

      assert_raise ArgumentError, fn -> MuonTrap.cmd("true", [], stderr_to_stdout: true, capture_stderr_only: true) end
      assert_raise ArgumentError, fn -> MuonTrap.cmd("true", [], [:cd]) end
    end

    test "programs and arguments that are no strings, or have null bytes, are refused" do
      for {program, args} <- [
            {true, []},
            {~c"true", []},
            {"tr\0ue", []},
            {"true", ["a\0b"]},
            {"true", [:a]},
            {"true", ~c"ab"},
            {"true", "a"},
            {nil, []}
          ] do
        assert_raise ArgumentError, fn -> MuonTrap.cmd(program, args) end
      end
    end

    test "users and groups that are unknown or root are refused by the helper" do
      assert %{stage: :uid} = assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd("true", [], uid: "no-such-user") end)
      assert %{stage: :uid} = assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd("true", [], uid: "root") end)
      assert %{stage: :uid} = assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd("true", [], uid: 3_999_999_999) end)
      assert %{stage: :gid} = assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd("true", [], gid: "no-such-group") end)
      assert %{stage: :gid} = assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd("true", [], gid: "root") end)

      assert %{stage: :groups} =
               assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd("true", [], groups: ["no-such-group"]) end)
    end

    test "nothing is left in the mailbox, nor a port open, after an error" do
      catch_error(raise_of("true", cd: "/no/such"))
      catch_error(raise_of("true", uid: "root"))
      refute_received _anything
      # Other tests run meanwhile, and have theirs.
      OS.eventually(fn -> MuonTrap.Test.Servers.of(self()) == [] end)
      assert MuonTrap.Test.Servers.ports_to(self()) == []
    end
  end

  defp raise_of(program, opts) do
    MuonTrap.cmd(program, [], opts)
  rescue
    error -> :erlang.error(error)
  end

  test "a caller that has many messages pays no more for a launch" do
    MuonTrap.cmd("true", [])
    few = reductions_of_launch()
    for n <- 1..300_000, do: send(self(), n)
    # Each search through the mailbox would cost 300,000.
    assert reductions_of_launch() - few < 100_000
  end

  # The least of several, because a launch in which the garbage collector runs costs more.
  defp reductions_of_launch() do
    Enum.min(
      for _ <- 1..5 do
        {:reductions, before} = Process.info(self(), :reductions)
        MuonTrap.cmd("true", [])
        {:reductions, now} = Process.info(self(), :reductions)
        now - before
      end
    )
  end

  test "a caller that traps exits gets no message, also when the helper can't be executed" do
    Process.flag(:trap_exit, true)
    long = String.duplicate("x", 200_000)
    for _ <- 1..60, do: assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd("true", [long]) end)
    # What might have been sent has been when others, which were sent later, are there.
    MuonTrap.cmd("true", [])
    refute_received _anything
  end

  test "a caller that traps exits gets no message" do
    Process.flag(:trap_exit, true)
    MuonTrap.cmd("echo", ["hello"])
    refute_received _anything
  end

  test "Erlang calls it as it stands" do
    code = ~S|'Elixir.MuonTrap':cmd(<<"echo">>, [<<"hello">>]).|
    {:ok, tokens, _line} = :erl_scan.string(String.to_charlist(code))
    {:ok, expressions} = :erl_parse.parse_exprs(tokens)
    assert {:value, {"hello\n", 0}, _bindings} = :erl_eval.exprs(expressions, [])
  end
end
