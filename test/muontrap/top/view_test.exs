# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Top.ViewTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Top.View

  @now ~U[2026-03-04 05:06:07.800000Z]

  # A server needs only to be a pid of its own.
  defp server(n), do: :erlang.list_to_pid(~c"<0.#{n}.0>")

  defp program(n, changes \\ []) do
    Map.merge(
      %{
        server: server(n),
        command: "sleep",
        args: ["#{n}"],
        owner: server(n + 1_000),
        owner_name: "#PID<0.#{n + 1_000}.0>",
        os_pid: 4_000 + n,
        os_pids: [4_000 + n],
        started_at: DateTime.add(@now, -n, :second),
        cgroup: nil,
        output_byte_count: 0,
        cpu_us: 0,
        memory_bytes: 1_048_576,
        state: :running
      },
      Map.new(changes)
    )
  end

  defp sample(programs, ms \\ 0) do
    %{node: :app@host, ms: ms, now: DateTime.add(@now, ms, :millisecond), uptime_s: 273_600, programs: programs}
  end

  defp view(changes \\ []), do: struct!(View, [node: :app@host] ++ changes)
  defp view(programs, changes), do: changes |> view() |> View.update(sample(programs))

  defp press(view, keys) when is_list(keys), do: Enum.reduce(keys, view, &press(&2, &1))
  defp press(view, key), do: view |> act(key) |> elem(0)
  defp act(view, key) when is_binary(key), do: View.key(view, {:char, key})
  defp act(view, key), do: View.key(view, key)
  defp type(view, text), do: press(view, String.graphemes(text))

  defp texts(view), do: for({_style, text} <- View.lines(view), do: String.trim_trailing(text))
  defp screen(view), do: view |> texts() |> Enum.join("\n") |> String.trim_trailing()
  defp pids(view), do: for(row <- view.shown, do: row.os_pid)

  defp assert_fits(view) do
    lines = View.lines(view)
    assert length(lines) == view.rows

    for {style, text} <- lines do
      assert style in [:plain, :bold, :reverse]
      assert String.length(text) <= view.columns
      assert text =~ ~r/\A[ -~…]*\z/u
    end
  end

  describe "the screen" do
    test "has figures of all, the programs, and details of the chosen one" do
      programs = [
        program(1, cpu_us: 5_000_000, os_pids: [4_001, 4_900], output_byte_count: 2_048),
        program(2, owner_name: "MyApp.Worker", state: :suspended, cgroup: "app/a1", command: "sh", args: ["-c", "x y"])
      ]

      view =
        programs
        |> view(rows: 16, columns: 132)
        |> View.update(
          sample(
            [
              program(1, cpu_us: 5_500_000, os_pids: [4_001, 4_900], output_byte_count: 4_096)
              | tl(programs)
            ],
            2_000
          )
        )

      assert screen(view) == """
             top on app@host, 05:06:09 UTC, up 3d04h: 2 programs, 3 processes
             CPU 25.0%, 0:05.50; memory 2.0M; output 4.0K, 1.0K/s; 1 run; 1 susp
             by CPU%, every 1 s  (h: help, q: end)
                 PID OWNER          STATE    AGE  CPU%     TIME   MEM   OUT OUT/S PROC CGROUP         COMMAND
                4001 #PID<0.1001.0> run       3s  25.0  0:05.50  1.0M  4.0K  1.0K    2 -              sleep 1
                4002 MyApp.Worker   susp      4s   0.0  0:00.00  1.0M     0     0    1 app/a1         sh -c 'x y'






             4001 sleep 1
             owner #PID<0.1001.0>, since 2026-03-04 05:06:06Z, processes 4001 4900
             no cgroup\
             """

      styles = for {style, _text} <- View.lines(view), do: style
      assert Enum.take(styles, 6) == [:plain, :plain, :plain, :bold, :reverse, :plain]
      # The bar is as wide as the terminal.
      assert view |> View.lines() |> Enum.at(4) |> elem(1) |> String.length() == 132
    end

    test "has the figures of the chosen program's cgroup" do
      view = [program(1, cgroup: "app/a1")] |> view(rows: 16, columns: 132) |> press(:down)
      assert screen(view) =~ ~r"\ncgroup app/a1$"
      assert screen(View.put_figures(view, server(2), %{"pids.current" => 9})) =~ ~r"\ncgroup app/a1$"

      figures = %{
        "cpu.stat" => %{
          "usage_usec" => 12_300_000,
          "user_usec" => 10_100_000,
          "system_usec" => 2_200_000,
          "throttled_usec" => 500_000
        },
        "cpu.max" => "50000 100000",
        "memory.current" => 1_258_291,
        "memory.peak" => 2_097_152,
        "memory.max" => "2147483648",
        "memory.events" => %{"oom_kill" => 3},
        "pids.current" => 2,
        "pids.max" => "max"
      }

      assert view |> View.put_figures(server(1), figures) |> texts() |> Enum.take(-2) == [
               "cgroup app/a1: CPU 0:12.30 (user 0:10.10, system 0:02.20), quota 50.0%, throttled 0:00.50",
               "memory 1.2M, peak 2.0M, max 2.0G, OOM kills 3; processes 2, max max"
             ]

      # With controllers that the cgroup doesn't have.
      for cpu_max <- [nil, "max 100000", "x y", "1", "5 0"] do
        figures = if cpu_max, do: %{"cpu.max" => cpu_max}, else: %{}

        assert view |> View.put_figures(server(1), figures) |> texts() |> Enum.take(-2) == [
                 "cgroup app/a1: CPU - (user -, system -), throttled -",
                 "memory -, peak -, max -, OOM kills -; processes -, max -"
               ]
      end
    end

    test "says that nothing has come yet, and that nothing runs" do
      assert screen(view(rows: 14, columns: 60)) == """
             top on app@host
             no answer yet
             by CPU%, every 1 s  (h: help, q: end)
                 PID STATE  CPU%   MEM COMMAND\
             """

      view = view([], rows: 14, columns: 60)
      assert hd(texts(view)) =~ "0 programs, 0 processes" or hd(texts(view)) =~ "…"
      assert View.selected(view) == nil
      for key <- [:up, :down, :page_up, :page_down, :home, :end], do: assert(act(view, key) == {view, nil})
      assert view |> press("s") |> screen() =~ "there is no program"
      assert view |> press("x") |> screen() =~ "there is no program"
      assert hd(texts(view([program(1)], columns: 100))) =~ "1 program, 1 process"
    end

    test "shows what isn't known as unknown" do
      view =
        view(
          [
            program(1,
              os_pid: nil,
              os_pids: [],
              cpu_us: nil,
              memory_bytes: nil,
              state: :waiting,
              started_at: DateTime.add(@now, 10, :second)
            )
          ],
          rows: 20,
          columns: 132
        )

      assert Enum.at(texts(view), 4) ==
               "      - #PID<0.1001.0> wait      0s     -        -     -     0     0    0 -              sleep 1"

      assert view |> press("s") |> screen() =~ "Stop -, sleep 1? (y or n)"
      # And then it is known.
      assert %{cpu_percent: 2.0} = view |> View.update(sample([program(1, cpu_us: 20_000)], 1_000)) |> View.selected()
    end

    test "fits into each size, with whatever in it" do
      hostile = "a\e[2J\n\r\tü😀" <> <<0, 255, 0x9B>>

      programs =
        for n <- 1..30 do
          program(n,
            command: hostile,
            args: [hostile, String.duplicate("long", n * 10)],
            owner_name: inspect(String.to_atom("ü\e" <> hostile_name())),
            cgroup: hostile,
            memory_bytes: Integer.pow(10, n),
            cpu_us: Integer.pow(10, n),
            output_byte_count: Integer.pow(10, n),
            os_pids: Enum.to_list(1..n)
          )
        end

      for rows <- [1, 2, 3, 4, 5, 6, 7, 13, 14, 15, 50], columns <- [1, 2, 7, 8, 20, 40, 80, 81, 132, 300, 2_000] do
        view = programs |> view([]) |> View.resize(rows, columns)
        assert_fits(view)
        assert_fits(press(view, :end))
        assert_fits(press(view, "h"))
        assert_fits(view |> press("x") |> type("ü\e\t"))
        assert_fits(view |> press("/") |> type("ü"))
        assert_fits(press(view, "s"))
        assert_fits(press(view, "d"))
        assert_fits(View.say(view, "ab"))
        assert_fits(View.put_figures(view, server(30), %{"memory.max" => "ü\e"}))
        assert_fits(View.resize(view(), rows, columns))
      end
    end

    defp hostile_name(), do: "\a" <> <<0x9B::utf8>>

    test "cuts what is too long, with another character where the terminal has none of Unicode's" do
      programs = [program(1, args: [String.duplicate("x", 100)], owner_name: "MyApp.Supervisor.Worker")]
      view = view(programs, rows: 20, columns: 80)
      assert Enum.at(texts(view), 4) =~ ~r/ MyApp.Supervi… run .* sleep x+…$/u
      assert Enum.at(texts(%{view | ellipsis: "+"}), 4) =~ ~r/ MyApp.Supervi\+ run .* sleep x+\+$/
    end

    test "leaves out columns where it is narrow" do
      titles = fn columns ->
        [program(1)] |> view(rows: 20, columns: columns) |> texts() |> Enum.at(3) |> String.split()
      end

      all = ~w(PID OWNER STATE AGE CPU% TIME MEM OUT OUT/S PROC CGROUP COMMAND)
      assert titles.(132) == all
      assert titles.(100) == all -- ["CGROUP"]
      assert titles.(80) == all -- ~w(CGROUP OUT/S PROC AGE)
      assert titles.(40) == ~w(PID CPU% MEM COMMAND)
      assert titles.(20) == ~w(PID COMMAND)
    end

    test "has less around the programs where it is low" do
      programs = for n <- 1..30, do: program(n)
      lines = fn rows -> programs |> view(rows: rows, columns: 80) |> texts() end
      assert [<<"   4001 ", _rest::binary>>] = lines.(1)
      assert ["top" <> _all, "   4001 " <> _rest] = lines.(2)
      assert ["top" <> _all, "    PID " <> _titles, "   4001 " <> _rest, "   4002" <> _more] = lines.(4)
      assert ["top" <> _all, "CPU " <> _sums, "by CPU%" <> _hint, "    PID " <> _titles | rows] = lines.(6)
      assert length(rows) == 2
      # A message takes the place of what is there.
      assert [program(1)] |> view(rows: 1) |> View.say("oh") |> texts() == ["oh"]
      assert ["oh", "   4001 " <> _rest] = [program(1)] |> view(rows: 2) |> View.say("oh") |> texts()
    end
  end

  describe "the processor's share" do
    test "is that since the last sample, and that since its start where there was none" do
      before = view([program(10, cpu_us: 5_000_000)], [])
      assert %{cpu_percent: 50.0, rate: +0.0} = View.selected(before)
      programs = [program(10, cpu_us: 6_000_000, output_byte_count: 500), program(1, cpu_us: 1_000_000)]
      assert %{shown: [old, new]} = before |> View.update(sample(programs, 500)) |> press("N") |> press("R")
      assert %{os_pid: 4_010, cpu_percent: 200.0, rate: 1_000.0} = old
      # Its age is a second and a half.
      assert %{os_pid: 4_001} = new
      assert_in_delta new.cpu_percent, 66.7, 0.1
    end

    test "is not below nothing when what has ended isn't counted any more, nor of no time" do
      view = view([program(10, cpu_us: 5_000_000)], [])

      assert %{cpu_percent: +0.0} =
               view |> View.update(sample([program(10, cpu_us: 4_000_000)], 500)) |> View.selected()

      assert %{cpu_percent: share} = view |> View.update(sample([program(10, cpu_us: 5_000_000)], 0)) |> View.selected()
      assert share == 0
    end
  end

  describe "sorting" do
    setup do
      programs = [
        program(1, cpu_us: 1_000_000, memory_bytes: 3, output_byte_count: 5, os_pids: [1, 2], state: :suspended),
        program(2, cpu_us: 3_000_000, memory_bytes: 2, output_byte_count: 9, cgroup: "b", owner_name: "B"),
        program(3, cpu_us: 2_000_000, memory_bytes: 9, output_byte_count: 1, cgroup: "a", owner_name: "A"),
        program(4, os_pid: nil, os_pids: [], cpu_us: nil, memory_bytes: nil, state: :waiting, owner_name: "C")
      ]

      %{view: view(programs, columns: 200)}
    end

    test "is by a column, the largest numbers first, what isn't known last", %{view: view} do
      for {column, order} <- [
            pid: [4_001, 4_002, 4_003, nil],
            owner: [4_001, 4_003, 4_002, nil],
            state: [4_002, 4_003, 4_001, nil],
            age: [nil, 4_003, 4_002, 4_001],
            cpu: [4_002, 4_001, 4_003, nil],
            time: [4_002, 4_003, 4_001, nil],
            memory: [4_003, 4_001, 4_002, nil],
            output: [4_002, 4_001, 4_003, nil],
            rate: [4_001, 4_002, 4_003, nil],
            processes: [4_001, 4_002, 4_003, nil],
            cgroup: [4_003, 4_002, 4_001, nil],
            command: [4_001, 4_002, 4_003, nil]
          ] do
        assert column in View.names()
        sorted = View.update(%{view | sort: column, before: nil}, view.sample)
        assert {column, pids(sorted)} == {column, order}
      end
    end

    test "has keys", %{view: view} do
      for {key, column} <- [{"P", :cpu}, {"M", :memory}, {"T", :time}, {"N", :pid}, {"O", :output}] do
        assert %{sort: ^column, reverse: false} = press(%{view | sort: :owner, reverse: true}, key)
      end

      assert %{sort: :age} = press(view, "<")
      assert %{sort: :time} = press(view, ">")
      assert %{sort: :pid} = press(view, List.duplicate("<", 50))
      assert %{sort: :command} = view |> press(List.duplicate(">", 50))
      turned = view |> press("N") |> press("R")
      assert pids(turned) == [4_003, 4_002, 4_001, nil]
      assert screen(turned) =~ "by PID turned round, every 1 s"
    end

    test "leaves what is equal as old as it is" do
      programs = for n <- 5..1//-1, do: program(n)
      assert programs |> view([]) |> pids() == [4_005, 4_004, 4_003, 4_002, 4_001]
    end
  end

  describe "moving" do
    setup do
      %{view: view(for(n <- 1..200, do: program(n)), rows: 18, columns: 80, sort: :pid)}
    end

    defp chosen(view), do: View.selected(view).os_pid

    test "goes by one, by a screen, to the first and to the last", %{view: view} do
      assert chosen(view) == 4_001
      assert view |> press("j") |> chosen() == 4_002
      assert view |> press(:down) |> press("k") |> chosen() == 4_001
      assert view |> press(:up) |> chosen() == 4_001
      assert view |> press(:page_down) |> chosen() == 4_011
      assert view |> press([:page_down, :page_down, :page_up]) |> chosen() == 4_011
      assert view |> press(:end) |> chosen() == 4_200
      assert view |> press(["G", :down]) |> chosen() == 4_200
      assert view |> press(["G", "g"]) |> chosen() == 4_001
      assert view |> press([:end, :home]) |> chosen() == 4_001
      assert view |> press(List.duplicate(:page_down, 30)) |> chosen() == 4_200
    end

    test "scrolls no more than it takes", %{view: view} do
      down = press(view, List.duplicate(:down, 9))
      assert down.offset == 0
      assert press(down, :down).offset == 1
      assert press(down, [:down, :up]).offset == 1
      assert press(view, :end).offset == 190
      assert view |> press(:end) |> texts() |> Enum.at(13) =~ "4200"
      assert view |> press(:end) |> View.resize(50, 80) |> Map.fetch!(:offset) == 158
      assert view |> press(:end) |> View.resize(1, 80) |> texts() |> hd() =~ "4200"
    end

    test "stays with the program wherever that goes, and with the first one where nobody has moved", %{view: view} do
      others = for n <- 201..205, do: program(n, os_pid: n)
      sample = sample(others ++ view.sample.programs)
      assert view |> View.update(sample) |> chosen() == 201
      assert view |> press(:down) |> View.update(sample) |> chosen() == 4_002
      assert view |> press([:down, :home]) |> View.update(sample) |> chosen() == 201
    end

    test "goes to the next one when the program has ended", %{view: view} do
      [first, _second | rest] = view.sample.programs
      assert view |> press(:down) |> View.update(sample([first | rest])) |> chosen() == 4_003
      moved = press(view, :end)
      assert %{index: 0} = left = View.update(moved, sample([first]))
      assert chosen(left) == 4_001
      assert left.selected == first.server
      assert %{selected: nil, index: 0} = View.update(moved, sample([]))
    end
  end

  describe "a filter" do
    test "leaves what has the words in PID, owner, cgroup or command" do
      programs = [
        program(1, owner_name: "MyApp.Alpha"),
        program(2, cgroup: "app/alpha"),
        program(3, args: ["--ALPHA"]),
        program(4)
      ]

      view = view(programs, columns: 100, sort: :pid)
      filtered = view |> press("/") |> type("alpha") |> press(:enter)
      assert pids(filtered) == [4_001, 4_002, 4_003]
      assert screen(filtered) =~ "only what has alpha"
      assert screen(filtered) =~ "4 programs, 4 processes"
      assert view |> press("u") |> type("4004") |> press(:enter) |> pids() == [4_004]
      # The words are there to be changed.
      assert filtered |> press("/") |> type("x") |> screen() =~ "Show only what has: alphax_"
      assert filtered |> press("/") |> press(List.duplicate(:backspace, 7)) |> press(:enter) |> pids() == pids(view)
      assert filtered |> press(["/", "x", :escape]) |> pids() == pids(filtered)
      assert filtered |> press(:escape) |> pids() == pids(view)
    end
  end

  describe "stopping and signalling" do
    setup do
      %{view: [program(1), program(2)] |> view(columns: 100, sort: :pid) |> press(:down)}
    end

    test "a stop is asked about", %{view: view} do
      asked = press(view, "s")
      assert screen(asked) =~ "Stop 4002, sleep 2? (y or n)"
      refute View.typing?(asked) or View.typing?(view)
      assert {%{mode: :table}, {:stop, %{os_pid: 4_002}}} = act(asked, "y")
      assert {%{mode: :table}, {:stop, %{os_pid: 4_002}}} = act(asked, "Y")
      for key <- ["n", "s", :enter, :escape, :up], do: assert({%{mode: :table}, nil} = act(asked, key))
      assert {_view, :quit} = act(asked, :interrupt)
      # It is the program that was asked about, whatever has come in between.
      assert {_view, {:stop, %{os_pid: 4_002}}} = asked |> View.update(sample([program(1)])) |> act("y")
    end

    test "a signal is asked for, SIGTERM if none is given", %{view: view} do
      for key <- ["x", :signal] do
        asked = press(view, key)
        assert View.typing?(asked)
        assert screen(asked) =~ "Signal for 4002 (TERM if none is given): _"
        assert {%{mode: :table}, {:signal, %{os_pid: 4_002}, :sigterm}} = act(asked, :enter)
        assert {_view, {:signal, %{os_pid: 4_002}, :sighup}} = asked |> type(" hup") |> act(:enter)
        assert {_view, {:signal, %{os_pid: 4_002}, 9}} = asked |> type("9") |> act(:enter)
        assert {wrong, nil} = asked |> type("HÜP") |> act(:enter)
        assert screen(wrong) =~ "no signal is called H\\u00DCP: give a name such as HUP, or a number from 1 to 127"
        assert {%{mode: :table, text: ""}, nil} = asked |> type("HUP") |> act(:escape)
        assert {_view, :quit} = act(asked, :interrupt)
        assert asked |> type("ab") |> press(:backspace) |> screen() =~ "): a_"
        assert {^asked, nil} = act(asked, :up)
        assert asked |> type(String.duplicate("a", 100)) |> Map.fetch!(:text) |> byte_size() == 64
      end
    end

    test "what was said is gone with the next key", %{view: view} do
      assert view |> View.say("done") |> screen() =~ "done"
      refute view |> View.say("done") |> press(:up) |> screen() =~ "done"
      assert view |> View.say("done") |> View.update(view.sample) |> screen() =~ "done"
    end
  end

  describe "the interval" do
    test "is longer, shorter, or so many seconds" do
      view = view([program(1)], [])
      assert {%{interval: 2_000}, :interval} = act(view, "+")
      assert {%{interval: 500}, :interval} = act(view, "-")
      assert {%{interval: 60_000}, nil} = act(%{view | interval: 60_000}, "+")
      assert {%{interval: 100}, nil} = act(%{view | interval: 100}, "-")
      assert view |> press("d") |> screen() =~ "Seconds between two looks: _"
      assert {%{interval: 2_500}, :interval} = view |> press("d") |> type("2.5") |> act(:enter)
      assert {%{interval: 1_000}, nil} = view |> press("d") |> act(:enter)

      for wrong <- ["0.05", "3601", "1x", "x", "-1"] do
        assert {%{interval: 1_000} = said, nil} = view |> press("d") |> type(wrong) |> act(:enter)
        assert screen(said) =~ "an interval is 0.1 to 3600 seconds, not #{wrong}"
      end

      assert 100 in View.intervals()
      assert screen(%{view | interval: 2_500}) =~ "every 2.5 s"
    end
  end

  test "help is ended by any key" do
    for key <- ["h", "?", :help] do
      view = press(view([program(1)], []), key)
      assert screen(view) =~ "have the program stopped"
      assert %{mode: :table} = press(view, "s")
      assert {_view, :quit} = act(view, :interrupt)
    end
  end

  test "other keys" do
    view = view([program(1)], [])
    assert act(view, "q") == {view, :quit}
    assert act(view, :interrupt) == {view, :quit}
    assert act(view, " ") == {view, :refresh}
    assert act(view, :redraw) == {view, :refresh}
    for key <- ["z", :enter, :backspace], do: assert(act(view, key) == {view, nil})
  end

  test "as text it has all programs, without an end" do
    programs = for n <- 1..50, do: program(n, args: [String.duplicate("x", 500)])
    lines = programs |> view(rows: 5, columns: 10_000) |> View.text()
    assert length(lines) == 54
    assert Enum.at(lines, 2) == ""
    assert Enum.at(lines, 3) =~ ~r/ CGROUP +COMMAND$/
    assert List.last(lines) =~ ~r/ sleep x{500}$/
  end
end
