# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.TopTest do
  use ExUnit.Case, async: true

  # `mix muontrap.top` and `MuonTrap.top/1` in a terminal, watching a node that has 200 programs.

  import MuonTrap.Test.Dialogue

  alias MuonTrap.Test.{OS, Watched}

  @moduletag :tmp_dir
  @moduletag timeout: 300_000 * OS.patience()

  # Of which one is another one than the others.
  @programs 200
  # Rows of programs on a terminal with 24.
  @page 16

  setup_all do
    watched = Watched.start!()
    sleeps = for n <- 1..(@programs - 1), do: {:"sleeper_#{n}", "sleep", [argument(n)]}
    writer = {:writer, "sh", ["-c", "head -c 5000 /dev/zero; exec sleep 9999", "a\e[2Jb ü"]}
    assert Watched.call(watched, Watched, :run, [sleeps ++ [writer]]) == true
    OS.eventually(fn -> watched |> list() |> Enum.map(& &1.output_byte_count) |> Enum.sum() == 5_000 end)
    %{watched: watched}
  end

  defp argument(n), do: "#{1_000 + n}"
  defp list(watched), do: Watched.call(watched, MuonTrap, :list, [])
  defp find(watched, argument), do: Enum.find(list(watched), &(List.last(&1.args) == argument))

  # The terminal's modes before and after come last, on lines of their own. A VM that is killed doesn't wait for what puts the
  # terminal back.
  @script ~S"""
  before=$(stty -g)
  mix muontrap.top "$@"
  echo "status $?"
  while [ "$KILLED" ] && [ "$(stty -g)" != "$before" ]; do sleep 0.05; done
  echo "$before"
  stty -g
  """

  defp top(watched, home, args, opts \\ []) do
    {killed, opts} = Keyword.pop(opts, :killed, "")
    args = ["--node", "#{watched.node}", "--cookie", watched.cookie | args]
    env = [{"KILLED", killed} | Watched.env(watched, home)]
    start("sh", ["-c", @script, "sh" | args], [env: env, pty: [rows: 24, cols: 80]] ++ opts)
  end

  defp expect_line(dialogue, number, line),
    do: expect_screen(dialogue, fn lines, _cursor -> Enum.at(lines, number) == line end)

  defp expect_shown(dialogue, words),
    do: expect_screen(dialogue, fn lines, _cursor -> Enum.any?(lines, &(&1 =~ words)) end)

  # The rows of programs, where what they have in memory depends on the machine, and what they have of its time, too: 10 ms
  # of a start when something else takes the processor from it.
  defp expect_rows(dialogue, rows) do
    expect_screen(dialogue, fn lines, _cursor ->
      rows == for(line <- Enum.slice(lines, 4, @page), do: without_figures(line))
    end)
  end

  defp without_figures(line) do
    line = Regex.replace(~r/.{4}( +\d+ sleep \d+)$/, line, "   -\\1")
    Regex.replace(~r/( run +)\d\.\d( +)\d:\d\d\.\d\d /, line, "\\1-.-\\2-:--.-- ")
  end

  defp row(program) do
    [argument] = program.args
    owner = String.pad_trailing(":sleeper_#{String.to_integer(argument) - 1_000}", 14)
    "#{String.pad_leading("#{program.os_pid}", 7)} #{owner} run     -.-  -:--.--     -     0 sleep #{argument}"
  end

  # Replaces the words of the filter, of so many characters.
  defp filter(dialogue, old, new),
    do:
      dialogue
      |> type("/" <> String.duplicate("\d", String.length(old)) <> new <> "\r")
      |> expect_shown("only what has #{new}")

  # It has ended, with that status, and the terminal is as it was. What leaves its screen may come after the status.
  defp expect_put_back(dialogue, status) do
    dialogue = dialogue |> expect("status #{status}\r\n") |> expect_end(0)
    record = String.replace(dialogue.record, "\e[0m\e[?25h\e[?1049l", "")
    assert [before, now] = record |> String.split("\r\n", trim: true) |> Enum.take(-2)
    assert before =~ ~r/^[0-9a-f]+(:[0-9a-f]+){10,}$/
    assert now == before
    dialogue
  end

  test "mix muontrap.top shows 200 programs, in order, and scrolls to the last one", %{watched: watched, tmp_dir: home} do
    sleepers = watched |> list() |> Enum.filter(&(&1.command == "sleep"))
    assert length(sleepers) >= @programs - 3
    # Where pids have begun again from the lowest they are in another order than the programs.
    rows = sleepers |> Enum.sort_by(& &1.os_pid) |> Enum.map(&row/1)

    dialogue =
      watched
      |> top(home, ["--sort", "pid", "--filter", ":sleeper", "--interval", "300"])
      |> expect_rows(Enum.take(rows, @page))

    {[first, second, third, titles | _rows], _cursor} = screen(dialogue)
    assert first =~ ~r/^top on watched-.*@127\.0\.0\.1, \d\d:\d\d:\d\d UTC/
    # What that was in a second depends on how long ago the programs were started.
    assert second =~ ~r"^CPU \d+\.\d%, \d:\d\d\.\d\d; memory \d+M; output 4\.9K, \d+(\.\d)?K?/s; \d+ run$"
    assert third == "by PID, every 0.3 s, only what has :sleeper  (h: help, q: end)"
    assert titles == "    PID OWNER          STATE  CPU%     TIME   MEM   OUT COMMAND"

    dialogue = dialogue |> type("G") |> expect_rows(Enum.take(rows, -@page)) |> type("g")
    dialogue = dialogue |> expect_rows(Enum.take(rows, @page)) |> type("\e[6~\e[6~\e[B")
    dialogue = dialogue |> expect_rows(rows |> Enum.slice(2 * @page + 1 - (@page - 1), @page)) |> type("gR")
    dialogue |> expect_rows(rows |> Enum.reverse() |> Enum.take(@page)) |> type("q") |> expect_put_back(0)
  end

  test "mix muontrap.top sorts, filters, stops, signals, helps, and follows the terminal's size",
       %{watched: watched, tmp_dir: home} do
    dialogue = watched |> top(home, ["--interval", "300"]) |> expect_shown("by CPU%, every 0.3 s") |> type("O")
    writer = find(watched, "a\e[2Jb ü")

    # Its arguments steer no terminal.
    dialogue
    |> expect_line(20, "#{writer.os_pid} sh -c 'head -c 5000 /dev/zero; exec sleep 9999' 'a\\e[2Jb \\u00FC'")
    |> expect_line(22, "no cgroup")
    |> expect_screen(fn lines, _cursor ->
      Enum.at(lines, 4) =~ ~r/^ *#{writer.os_pid} :writer        run  .* 4\.9K sh -c 'head -c 5000 \/de…$/u
    end)

    # One is stopped when that has been confirmed, and its owner gets its end as ever.
    stopped = find(watched, argument(100))
    asked = "Stop #{stopped.os_pid}, sleep 1100? (y or n)"
    dialogue = dialogue |> filter("", ":sleeper_100") |> type("s") |> expect_line(2, asked) |> type("n")
    dialogue = dialogue |> expect_shown("only what has") |> type("s") |> expect_line(2, asked) |> type("y")
    dialogue = expect_line(dialogue, 4, "")
    refute OS.alive?(stopped.os_pid)
    assert Watched.call(watched, MuonTrap.Program, :await, [:sleeper_100]) == {:ok, 143}

    # Another one gets signals.
    pid = find(watched, argument(101)).os_pid
    dialogue = filter(dialogue, ":sleeper_100", ":sleeper_101")
    dialogue = dialogue |> type("x") |> expect_line(2, "Signal for #{pid} (TERM if none is given): _")
    dialogue = dialogue |> type("stop\r") |> expect_line(2, "SIGSTOP has been sent to #{pid}")
    dialogue = expect_shown(dialogue, ~r/^ *#{pid} :sleeper_101   susp /)
    assert OS.state(pid) == "T"
    dialogue = dialogue |> type("xNOSUCH\r") |> expect_shown("no signal is called NOSUCH") |> type("x127\r")
    dialogue = expect_line(dialogue, 2, "127 could not be sent to #{pid}: there is no such signal")
    dialogue = dialogue |> type("xcont\r") |> expect_shown(~r/^ *#{pid} :sleeper_101   run  /)

    dialogue = dialogue |> type("h") |> expect_shown("have the program stopped") |> type("j")
    dialogue = dialogue |> expect_shown("only what has") |> resize(5, 40)
    dialogue = expect_screen(dialogue, fn lines, _cursor -> Enum.at(lines, 2) =~ ~r/^ *#{pid} .* sleep 1101$/ end)
    dialogue = dialogue |> resize(24, 80) |> expect_line(20, "#{pid} sleep 1101") |> type("\e")
    # A key that ends a mode, and not the beginning of another key.
    dialogue = dialogue |> expect_line(2, "by OUT, every 0.3 s  (h: help, q: end)") |> type("d2\r")
    dialogue |> expect_shown("every 2 s") |> type("\x03") |> expect_put_back(0)
  end

  # Other tests watch the same node, so this one has its own.
  test "nothing is done on the node, and nothing left there, when nobody looks any more", %{tmp_dir: home} do
    watched = Watched.start!()
    sleeps = for n <- 1..20, do: {:"sleeper_#{n}", "sleep", [argument(n)]}
    assert Watched.call(watched, Watched, :run, [sleeps]) == true
    pids = Watched.call(watched, Watched, :processes, [])
    assert length(pids) >= 40
    before = Watched.call(watched, Watched, :reductions_at_rest, [pids])
    inventory = Watched.call(watched, Watched, :inventory, [pids])

    dialogue = watched |> top(home, ["--interval", "100"]) |> expect_shown("20 run") |> expect_shown("up ")
    assert Watched.call(watched, Node, :list, [:connected]) != []
    assert Watched.call(watched, Node, :list, []) == []
    dialogue |> type("xurg\r") |> expect_shown("SIGURG has been sent") |> type("q") |> expect_put_back(0)

    OS.eventually(fn -> Watched.call(watched, Node, :list, [:connected]) == [] end)
    at_rest = Watched.call(watched, Watched, :reductions_at_rest, [pids])
    # It was looked at while it was open.
    assert at_rest != before
    assert Watched.call(watched, Watched, :reductions_later, [pids, 3_000]) == at_rest
    assert Watched.call(watched, Watched, :inventory, [pids]) == inventory
  end

  test "the terminal is put back however top ends", %{watched: watched, tmp_dir: home} do
    for {signal, status} <- [{"KILL", 137}, {"HUP", 129}, {"TERM", 0}] do
      dialogue = watched |> top(home, [], killed: "yes") |> expect_shown("by CPU%")
      OS.kill(vm(dialogue), signal)
      dialogue = expect_put_back(dialogue, status)
      assert dialogue.record =~ ~r/\e\[\?1049h.*\e\[\?1049l/s
    end

    # Also when what puts it back is killed.
    dialogue = watched |> top(home, []) |> expect_shown("by CPU%")
    [keeper] = for pid <- OS.descendants([vm(dialogue)]), command(pid) =~ "put_back", do: pid
    OS.kill(keeper, "KILL")
    dialogue = dialogue |> expect("the terminal can't be written to any more") |> expect_put_back(1)
    assert dialogue.record =~ ~r/\e\[\?1049h.*\e\[\?1049l/s
  end

  defp vm(dialogue) do
    [vm] =
      for pid <- OS.descendants([MuonTrap.Program.os_pid(dialogue.program)]),
          command(pid) =~ ~r/beam.*muontrap\.top/s,
          do: pid

    vm
  end

  defp command(pid), do: with({:ok, words} <- File.read("/proc/#{pid}/cmdline"), do: words, else: (_gone -> ""))

  test "a node that goes away is named", %{tmp_dir: home} do
    watched = Watched.start!()
    dialogue = watched |> top(home, []) |> expect_shown("by CPU%")
    Watched.stop!(watched)
    dialogue |> expect("the connection to #{watched.node} was lost") |> expect_put_back(1)
  end

  test "a node that can't be watched is named, with the remedy", %{watched: watched, tmp_dir: home} do
    env = Watched.env(watched, home)
    mix = fn args -> MuonTrap.cmd("mix", ["muontrap.top" | args], env: env, stderr_to_stdout: true, timeout: 60_000) end
    node = "#{watched.node}"

    assert {said, 1} = mix.(["--node", "nobody@127.0.0.1"])
    assert said =~ "nobody@127.0.0.1 can't be reached: no such node is registered at 127.0.0.1, but watched-"
    assert {said, 1} = mix.(["--node", node, "--cookie", "wrong"])

    assert said =~
             "#{node} can't be reached: a node of that name is there, and refuses; its cookie is another one (--cookie"

    {said, 1} =
      MuonTrap.cmd("mix", ["muontrap.top", "--node", node],
        env: [{"ERL_EPMD_PORT", "1"} | tl(env)],
        stderr_to_stdout: true
      )

    assert said =~ "nobody answers at 127.0.0.1"
  end

  test "mix muontrap.top says what is wrong with its options" do
    node = ["--node", "app@host"]

    for {args, words} <- [
          {[], "it takes the node's name: --node NAME@HOST"},
          {["--node", "app"], "it takes the node's name"},
          {node ++ ["--sort", "size"], "the option :sort of MuonTrap.top/1 takes one of :pid, "},
          {node ++ ["--interval", "1"], "takes 100 to 3600000 milliseconds, got: 1"},
          {node ++ ["--interval", "x"], "--interval can't be \"x\""},
          {node ++ ["--nope"], "--nope is unknown"},
          {node ++ ["x"], "\"x\" is no option"}
        ] do
      assert_raise Mix.Error, ~r/#{Regex.escape(words)}/, fn -> Mix.Tasks.Muontrap.Top.run(args) end
    end
  end

  test "a node without MuonTrap is told apart", %{tmp_dir: home} do
    watched = Watched.start!(:without_muontrap)
    dialogue = top(watched, home, [])

    dialogue
    |> expect("#{watched.node} has no MuonTrap.Top.Sample.take: it runs without MuonTrap, or")
    |> expect_put_back(1)
  end

  test "where there is no terminal one table is printed", %{watched: watched, tmp_dir: home} do
    args = ["muontrap.top", "--node", "#{watched.node}", "--cookie", watched.cookie, "--filter", ":sleeper_11"]
    env = Watched.env(watched, home)
    {text, 0} = MuonTrap.cmd("mix", args, env: env)
    assert [first, second, "", titles | rows] = String.split(text, "\n", trim: false)
    assert first =~ "programs, "
    assert second =~ "run"
    assert titles == "    PID OWNER          STATE    AGE  CPU%     TIME   MEM   OUT OUT/S PROC CGROUP         COMMAND"
    # 11 and 110 to 119
    assert length(rows) == 11 + 1

    assert Enum.any?(
             rows,
             &(&1 =~ ~r/^ *\d+ :sleeper_119   run +\w+s +\d\.\d +0:00\.\d\d +[\d.]+[KM] +0 +0 +1 - +sleep 1119$/)
           )

    assert {"top on" <> _rest, 0} =
             MuonTrap.cmd("sh", ["-c", "mix \"$@\" | head -n 1", "sh" | args], env: env, stderr_to_stdout: true)

    assert {^titles, 0} =
             MuonTrap.cmd("sh", ["-c", "mix \"$@\" -b | sed -n 4p | tr -d '\\n'", "sh" | args], env: env, pty: true)
  end

  test "in a terminal whose input is none, it says so", %{watched: watched, tmp_dir: home} do
    script = "mix muontrap.top \"$@\" </dev/null; echo \"status $?\""
    args = ["--node", "#{watched.node}", "--cookie", watched.cookie]

    "sh"
    |> start(["-c", script, "sh" | args], env: Watched.env(watched, home), pty: true)
    |> expect("there is no terminal that keys could be read from")
    |> expect("status 1")
  end

  test "MuonTrap.top/1 in iex takes lines", %{watched: watched, tmp_dir: home} do
    ours = Application.app_dir(:muontrap, "ebin")
    code = "{:ok, _p} = MuonTrap.Program.start_link(\"sleep\", [\"1234\"])\r"

    "iex"
    |> start(["-pa", ours], env: Watched.env(watched, home), pty: [rows: 20, cols: 100])
    |> expect("iex(1)> ")
    |> type(code)
    |> expect("iex(2)> ")
    |> type("MuonTrap.top(interval: 200)\r")
    |> expect_shown(~r/^ *\d+ #PID<0\.\d+\.0> +run .* sleep 1234$/)
    |> expect_screen(fn lines, _cursor -> List.last(lines) == "top>" end)
    |> type("N\r")
    |> expect_shown("by PID, every 0.2 s")
    |> type("x\r")
    |> expect_shown("Signal for")
    |> type("STOP\r")
    |> expect_shown(~r/ susp .* sleep 1234$/)
    |> type("s\r")
    |> expect_shown("(y or n)")
    |> type("y\r")
    |> expect_shown("0 programs, 0 processes")
    |> type("q\r")
    |> expect(":ok")
    |> type("MuonTrap.top(node: :nobody@nowhere)\r")
    |> expect("this node has no name, so that it can't reach nobody@nowhere")
    |> type("IO.puts(\"still\" <> \"here\")\r")
    |> expect("stillhere")
  end

  test "options are checked" do
    for {opts, words} <- [
          {[sort: :size], "the option :sort of MuonTrap.top/1 takes one of :pid"},
          {[interval: 99], "100 to 3600000 milliseconds, got: 99"},
          {[interval: 1.5], "milliseconds, got: 1.5"},
          {[node: "app@host"], "takes a node's name, got: \"app@host\""},
          {[node: nil], "takes a node's name, got: nil"},
          {[filter: :a], "takes a string, got: :a"},
          {[once: 1], "the option :once of MuonTrap.top/1 takes true or false, got: 1"},
          {[reverse: nil], "the option :reverse of MuonTrap.top/1 takes true or false"},
          {[nodes: 1], "MuonTrap.top/1 has no option :nodes; it has :node, :sort, "},
          {:once, "a keyword list, not: :once"}
        ] do
      assert_raise ArgumentError, ~r/#{Regex.escape(words)}/, fn -> MuonTrap.top(opts) end
    end
  end

  test "one table of this node" do
    program = start_supervised!({MuonTrap.Program, ["sleep", ["4321"], [name: :watched_here]]})
    text = ExUnit.CaptureIO.capture_io(fn -> assert MuonTrap.top(once: true, filter: "4321") == :ok end)
    assert text =~ ~r/^ *#{MuonTrap.Program.os_pid(program)} :watched_here  run .* sleep 4321$/m
  end
end
