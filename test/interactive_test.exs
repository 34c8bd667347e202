# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.InteractiveTest do
  # Real programs that are talked to: filters, interpreters, shells, editors, pagers, and what asks for a password.
  use ExUnit.Case, async: true

  import MuonTrap.Test.Dialogue

  alias MuonTrap.Program
  alias MuonTrap.Test.OS

  @moduletag :tmp_dir

  # Debian's own, which has its pyte too.
  @python "/usr/bin/python3"
  @as_sudoer Path.join(__DIR__, "support/as-sudoer")

  @ctrl_c "\x03"
  @ctrl_d "\x04"
  @ctrl_z "\x1A"
  @escape "\e"

  # A terminal that pyte emulates, messages in English, and no settings or histories of who runs the tests.
  setup %{tmp_dir: dir} do
    mark = OS.mark()
    on_exit(fn -> for pid <- OS.alive(mark), do: OS.kill(pid, "KILL") end)

    settings = [
      {"TERM", "linux"},
      {"LC_ALL", "C"},
      {"HOME", dir},
      {"LESS", nil},
      {"LESSOPEN", nil},
      {"LESSHISTFILE", "-"},
      {"PYTHONSTARTUP", nil}
    ]

    %{mark: mark, opts: [env: settings ++ OS.marked(mark), cd: dir]}
  end

  defp in_pty(opts, pty \\ true), do: [pty: pty] ++ opts

  defp with_env(opts, variables), do: Keyword.update!(opts, :env, &(&1 ++ variables))

  defp numbers(from, to), do: Enum.map_join(from..to, "\n", &"#{&1}") <> "\n"

  describe "a filter" do
    for {program, args, input, output} <- [
          {"wc", ["-lwc"], "one two\nthree\n", ~r/\A +2 +3 +14\n\z/},
          {"sort", ["-n"], "10\n9\n11\n", ~r/\A9\n10\n11\n\z/},
          {"tac", [], "1\n2\n3\n", ~r/\A3\n2\n1\n\z/}
        ] do
      @program program
      @args args
      @input input
      @output output

      test "#{program} takes its input from cmd/3, and from write/3", %{opts: opts, tmp_dir: dir} do
        path = Path.join(dir, "input")
        File.write!(path, @input)

        for input <- [@input, File.stream!(path)] do
          assert {output, 0} = MuonTrap.cmd(@program, @args, [input: input] ++ opts)
          assert output =~ @output
        end

        dialogue = start(@program, @args, opts)
        for <<byte <- @input>>, do: type(dialogue, <<byte>>)
        assert (dialogue |> close_stdin() |> expect_end(0)).heard =~ @output
      end
    end

    test "gzip -d decompresses a file, and what is written piece by piece", %{opts: opts, tmp_dir: dir} do
      path = Path.join(dir, "numbers.gz")
      text = numbers(1, 200_000)
      File.write!(path, :zlib.gzip(text))

      assert MuonTrap.cmd("gzip", ["-d"], [input: File.stream!(path, [], 65_536)] ++ opts) == {text, 0}

      # It waits for its output to be read, so another process writes.
      dialogue = start("gzip", ["-d"], opts)

      writer =
        Task.async(fn ->
          for piece <- File.stream!(path, [], 1_000), do: type(dialogue, piece)
          close_stdin(dialogue)
        end)

      assert expect_end(dialogue, 0).heard == text
      Task.await(writer)
    end

    test "gzip -d says that its input is none", %{opts: opts} do
      dialogue = "gzip" |> start(["-d"], opts) |> type("no gzip") |> close_stdin() |> expect_end(1)
      assert dialogue.heard =~ "not in gzip format"
    end

    test "bc answers line by line, and complains on stderr", %{opts: opts} do
      dialogue =
        "bc"
        |> start([], opts)
        |> type("6 * 7\n")
        |> expect("42\n")
        |> type("2 ^ 100\n")
        |> expect("1267650600228229401496703205376\n")
        |> type("1 / 0\n")
        |> expect(~r/by zero/)
        |> type("7 * 7\n")
        |> expect("49\n")
        |> type("quit\n")
        |> expect_end(0)

      assert dialogue.stderr =~ ~r/\A[^\n]*by zero\n+\z/
    end
  end

  describe "in a terminal" do
    test "cat gives back each line, and Ctrl-D ends its input", %{opts: opts} do
      dialogue = "cat" |> start([], in_pty(opts)) |> type("hello\n") |> expect("hello\r\nhello\r\n")
      # Behind some text it hands over the text, and only in an empty line it is the end.
      dialogue = dialogue |> type("no newline" <> @ctrl_d) |> expect("no newlineno newline")
      assert (dialogue |> type(@ctrl_d) |> expect_end(0)).record == "hello\r\nhello\r\nno newlineno newline"
    end

    test "close_stdin is Ctrl-D", %{opts: opts} do
      "cat"
      |> start([], in_pty(opts))
      |> type("hello\n")
      |> expect("hello\r\nhello\r\n")
      |> close_stdin()
      |> expect_end(0)
    end

    test "Ctrl-C interrupts cat", %{opts: opts} do
      dialogue = "cat" |> start([], in_pty(opts)) |> type("hello\n") |> expect("hello\r\nhello\r\n")
      assert (dialogue |> type(@ctrl_c) |> expect_end(130)).record =~ "^C"
    end

    test "Ctrl-C is a byte like others without isig", %{opts: opts} do
      pty = [isig: false, echo: false]

      "cat"
      |> start([], in_pty(opts, pty))
      |> type(@ctrl_c <> "\n")
      |> expect(@ctrl_c <> "\r\n")
      |> close_stdin()
      |> expect_end(0)
    end

    test "stty size tells the size before a resize and after it, and SIGWINCH the time", %{opts: opts} do
      # sh runs a trap between two commands.
      script = "stty size; trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done"

      "sh"
      |> start(["-c", script], in_pty(opts, rows: 30, cols: 100))
      |> expect("30 100\r\nready\r\n")
      |> resize(50, 132)
      |> expect("50 132\r\n")
      |> resize(1, 65_535)
      |> expect("1 65535\r\n")
      |> type(@ctrl_c)
      |> expect_end(130)
    end

    test "a prompt for a password hears what is not shown", %{opts: opts} do
      script = """
      import getpass
      name = input("login: ")
      password = getpass.getpass("password: ")
      print("%s has %d characters, the last is %s" % (name, len(password), password[-1]))
      print(input("shown again: "))
      """

      dialogue =
        @python
        |> start(["-c", script], in_pty(opts))
        |> expect("login: ")
        |> type("somebody\n")
        |> expect("somebody\r\n")
        |> expect("password: ")
        |> type("sEcr3t!\n")
        |> expect("somebody has 7 characters, the last is !\r\n")
        |> expect("shown again: ")
        |> type("hello\n")
        |> expect("hello\r\nhello\r\n")
        |> expect_end(0)

      refute dialogue.record =~ "sEcr3t"
    end

    test "python3 -i computes, asks back, is interrupted and ends with Ctrl-D", %{opts: opts} do
      @python
      |> start(["-q", "-i"], opts |> with_env([{"PYTHON_BASIC_REPL", "1"}]) |> in_pty())
      |> expect(">>> ")
      |> type("6 * 7\n")
      |> expect(~r/^42\r\n.*>>> /ms)
      |> type("def double(n):\n")
      |> expect("... ")
      |> type("    return 2 * n\n")
      |> expect("... ")
      |> type("\n")
      |> expect(">>> ")
      |> type("double(int(input('how many' + '? ')))\n")
      |> expect("how many? ")
      |> type("21000\n")
      |> expect(~r/^42000\r\n.*>>> /ms)
      |> type("import time; print('sleep' + 'ing'); time.sleep(1000)\n")
      |> expect("sleeping\r\n")
      |> expect_asleep()
      |> type(@ctrl_c)
      |> expect("KeyboardInterrupt")
      |> expect(">>> ")
      |> type("1 / 0\n")
      |> expect("ZeroDivisionError")
      |> expect(">>> ")
      |> type("import sys; sys.stdin.isatty(), sys.stdout.isatty(), sys.stderr.isatty()\n")
      |> expect("(True, True, True)")
      |> expect(">>> ")
      |> type(@ctrl_d)
      |> expect_end(0)
    end
  end

  describe "bash -i" do
    # It tells when it has the terminal: a shell hands it over before a job runs, and before it is continued.
    @job ~S[perl -e '$| = 1; $SIG{CONT} = sub { print "again ", $$, "\n" }; print "job ", $$, "\n"; sleep 1 while 1']

    setup %{opts: opts} do
      args = ["--norc", "--noprofile", "-i"]

      opts =
        opts |> with_env([{"PS1", "ready> "}, {"TERM", "dumb"}, {"PROMPT_COMMAND", nil}]) |> in_pty(rows: 24, cols: 200)

      %{bash: "bash" |> start(args, opts) |> expect("ready> ")}
    end

    defp job(bash) do
      bash = bash |> type(@job <> "\n") |> expect(~r/^job \d+\r\n/m)
      [_all, pid] = Regex.run(~r/^job (\d+)\r\n\z/m, bash.heard)
      {bash, pid}
    end

    test "controls jobs: Ctrl-Z, jobs, fg, Ctrl-C and the exit status", %{bash: bash, mark: mark} do
      refute bash.heard =~ "no job control"
      {bash, pid} = job(bash)

      bash = bash |> type(@ctrl_z) |> expect(~r/\[1\]\+ +Stopped/) |> expect("ready> ")
      assert OS.state(pid) == "T"

      bash =
        bash
        |> type("echo status=$?\n")
        |> expect("status=148\r\n")
        |> expect("ready> ")
        |> type("jobs\n")
        |> expect(~r/\[1\]\+ +Stopped/)
        |> expect("ready> ")
        |> type("fg\n")
        |> expect("again #{pid}\r\n")
        |> type(@ctrl_c)
        |> expect("ready> ")
        |> type("echo status=$?\n")
        |> expect("status=130\r\n")
        |> expect("ready> ")
        |> type("jobs; echo none\n")
        |> expect("none\r\n" <> "none\r\n")

      refute bash.heard =~ "Stopped"
      bash |> expect("ready> ") |> type("exit 7\n") |> expect_end(7)
      assert OS.alive(mark) == []
    end

    # A portable helper's containment is the program's process group, and the shell's jobs have others.
    @tag :linux
    test "leaves nothing when it ends with a stopped job and one in the background", %{bash: bash, mark: mark} do
      {bash, stopped} = job(bash)
      bash = bash |> type(@ctrl_z) |> expect("Stopped") |> expect("ready> ")
      bash = bash |> type("trap '' HUP; (trap '' HUP; sleep 1000) &\n") |> expect("[2] ") |> expect("ready> ")
      assert OS.alive?(stopped)

      bash
      |> type("exit 3\n")
      |> expect("There are stopped jobs.")
      |> expect("ready> ")
      |> type("exit 3\n")
      |> expect_end(3)

      assert OS.alive(mark) == []
    end

    test "is stopped while its job has the terminal, and leaves nothing", %{bash: bash, mark: mark} do
      {bash, pid} = job(bash)
      assert OS.alive?(pid)
      assert {:ok, status} = Program.stop(bash.program, 60_000)
      # It doesn't care for SIGTERM when it is interactive.
      assert status in [129, 137, 143]
      assert OS.alive(mark) == []
    end

    test "runs a command after the terminal has got another size", %{bash: bash} do
      bash
      |> resize(40, 120)
      |> type("stty size\n")
      |> expect("40 120\r\n")
      |> expect("ready> ")
      |> type(@ctrl_d)
      |> expect_end(0)
    end
  end

  describe "vi" do
    # As without any file of settings, but with the last line that shows where the cursor is.
    @vi_args ["-u", "NONE", "-i", "NONE", "-n", "-c", "set ruler nocompatible noesckeys showmode"]

    defp vi(opts, pty \\ true), do: start("vim.tiny", @vi_args ++ ["text"], in_pty(opts, pty))

    defp tildes(count), do: List.duplicate("~", count)

    test "takes a text, shows it, and writes it", %{opts: opts, tmp_dir: dir} do
      opts
      |> vi()
      |> expect_screen(fn lines, cursor ->
        cursor == {0, 0} and List.last(lines) =~ ~r/^"text" \[New[^\]]*\]\s+0,0-1 +All$/
      end)
      |> type("i")
      |> expect_screen(fn lines, _cursor -> List.last(lines) =~ "-- INSERT --" end)
      |> type("the first line\nthe secnd line\nthe third line" <> @escape)
      |> expect_screen(fn lines, cursor ->
        Enum.take(lines, 23) == ["the first line", "the secnd line", "the third line"] ++ tildes(20) and
          cursor == {2, 13} and List.last(lines) =~ ~r/^\s+3,14 +All$/
      end)
      |> type("2G:s/secnd/second/\n")
      |> expect_screen(fn lines, cursor -> Enum.at(lines, 1) == "the second line" and cursor == {1, 0} end)
      |> type("ddGp")
      |> expect_screen(fn lines, cursor ->
        Enum.take(lines, 4) == ["the first line", "the third line", "the second line", "~"] and cursor == {2, 0}
      end)
      |> type(":wq\n")
      |> expect_end(0)

      assert File.read!(Path.join(dir, "text")) == "the first line\nthe third line\nthe second line\n"
    end

    test "draws anew when its terminal has got another size", %{opts: opts, tmp_dir: dir} do
      File.write!(Path.join(dir, "text"), numbers(1, 100))
      page = fn first, last -> Enum.map(first..last, &to_string/1) end

      opts
      |> vi(rows: 10, cols: 40)
      |> expect_screen(fn lines, _cursor -> Enum.take(lines, 9) == page.(1, 9) and List.last(lines) =~ "Top" end)
      |> resize(30, 100)
      |> expect_screen(fn lines, _cursor -> Enum.take(lines, 29) == page.(1, 29) and List.last(lines) =~ "Top" end)
      |> type("G")
      |> expect_screen(fn lines, cursor -> Enum.take(lines, 29) == page.(72, 100) and cursor == {28, 0} end)
      |> type(":q\n")
      |> expect_end(0)
    end

    test "that is stopped leaves nothing", %{opts: opts, mark: mark} do
      vi = [delay_to_sigkill: 60_000] |> Keyword.merge(opts) |> vi()
      vi = expect_screen(vi, fn lines, _cursor -> List.last(lines) =~ "[New" end)
      pid = Program.os_pid(vi.program)
      assert OS.alive?(pid)
      assert {:ok, status} = Program.stop(vi.program, 60_000)
      # vim catches SIGTERM, and exits with a status of its own.
      assert status in [1, 143]
      assert OS.alive(mark) == []
    end

    test "whose owner dies leaves nothing", %{opts: opts, mark: mark} do
      owner = spawn(fn -> receive(do: (:never -> :ok)) end)
      vi = [owner: owner] |> Keyword.merge(opts) |> vi()
      monitor = Process.monitor(vi.program)
      vi |> type("ihello") |> expect_screen(fn lines, _cursor -> hd(lines) == "hello" end)
      Process.exit(owner, :kill)
      assert_receive {:DOWN, ^monitor, :process, _program, :normal}, 60_000
      OS.eventually(fn -> OS.alive(mark) == [] end)
    end
  end

  describe "less" do
    defp less(opts, file \\ "text"), do: start("less", [file], in_pty(opts, rows: 10, cols: 40))
    defp shows(page, prompt), do: fn lines, _cursor -> lines == Enum.map(page, &to_string/1) ++ [prompt] end

    setup %{tmp_dir: dir}, do: File.write!(Path.join(dir, "text"), numbers(1, 100))

    test "pages, searches, and quits", %{opts: opts} do
      opts
      |> less()
      |> expect_screen(shows(1..9, "text"))
      |> type(" ")
      |> expect_screen(shows(10..18, ":"))
      |> type("b")
      |> expect_screen(shows(1..9, ":"))
      |> type("/^42$\n")
      |> expect_screen(shows(42..50, ":"))
      |> type("G")
      |> expect_screen(shows(92..100, "(END)"))
      |> type("q")
      |> expect_end(0)
    end

    test "that is stopped, or whose owner dies, leaves nothing", %{opts: opts, mark: mark} do
      less = opts |> less() |> expect_screen(shows(1..9, "text"))
      assert {:ok, _status} = Program.stop(less.program, 60_000)
      assert OS.alive(mark) == []

      owner = spawn(fn -> receive(do: (:never -> :ok)) end)
      [owner: owner] |> Keyword.merge(opts) |> less() |> expect_screen(shows(1..9, "text"))
      Process.exit(owner, :kill)
      OS.eventually(fn -> OS.alive(mark) == [] end)
    end
  end

  describe "sudo" do
    @describetag :root
    @describetag :new_privileges

    # What it runs tells that it is root's, and takes from stdin what the password hasn't been.
    @as_root ["sh", "-c", "id -un; read line; echo \"got $line\"; exit 5"]

    defp sudo(args, opts), do: start(@as_sudoer, ["open sesame", "sudo" | args ++ @as_root], opts)

    test "-S takes the password from a pipe", %{opts: opts, mark: mark} do
      dialogue =
        ["-S"]
        |> sudo(opts)
        |> expect("password of sudoer: ")
        |> type("open barley\n")
        |> expect("Wrong, once more.")
        |> expect("password of sudoer: ")
        |> type("open sesame\n")
        |> expect("root\n")
        |> type("the rest\n")
        |> expect("got the rest\n")
        |> expect_end(5)

      refute dialogue.record =~ ~r/barley|sesame/
      assert OS.alive(mark) == []
    end

    test "-S without a password ends", %{opts: opts} do
      assert (["-S"] |> sudo(opts) |> close_stdin() |> expect_end(1)).heard =~ "no password was provided"
    end

    test "asks on a terminal, without echo", %{opts: opts, mark: mark} do
      dialogue =
        []
        |> sudo(in_pty(opts))
        |> expect("password of sudoer: ")
        |> type("open barley\n")
        |> expect("Wrong, once more.")
        |> expect("password of sudoer: ")
        |> type("open sesame\n")
        |> expect("root\r\n")
        |> type("the rest\n")
        |> expect("the rest\r\ngot the rest\r\n")
        |> expect_end(5)

      refute dialogue.record =~ ~r/barley|sesame/
      assert OS.alive(mark) == []
    end

    test "is interrupted while it asks", %{opts: opts, mark: mark} do
      []
      |> sudo(in_pty(opts))
      |> expect("password of sudoer: ")
      |> expect_asleep()
      |> type(@ctrl_c)
      |> expect_end(1)

      assert OS.alive(mark) == []
    end

    test "asks nobody without a terminal", %{opts: opts} do
      assert {output, 1} = MuonTrap.cmd(@as_sudoer, ["open sesame", "sudo", "true"], [stderr: :stdout] ++ opts)
      assert output =~ "a terminal is required"
    end
  end
end
