# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Top.View do
  @moduledoc false
  # The table of MuonTrap.top/1: what has been sampled, how it is looked at, the keys that change that, and the lines that show it.
  # Pure. Whatever a program brings along, its arguments or its owner's name, is printable ASCII in the lines, so that it can't
  # steer the terminal.

  alias MuonTrap.Signal
  alias MuonTrap.Top.{Figures, Keys, Sample}

  # Name, title, columns, and whether numbers are in it, which stand to the right and of which the largest come first.
  @columns [
    {:pid, "PID", 7, :right},
    {:owner, "OWNER", 14, :left},
    {:state, "STATE", 5, :left},
    {:age, "AGE", 6, :right},
    {:cpu, "CPU%", 5, :right},
    {:time, "TIME", 8, :right},
    {:memory, "MEM", 5, :right},
    {:output, "OUT", 5, :right},
    {:rate, "OUT/S", 5, :right},
    {:processes, "PROC", 4, :right},
    {:cgroup, "CGROUP", 14, :left},
    {:command, "COMMAND", 0, :left}
  ]
  @names for {name, _title, _width, _side} <- @columns, do: name
  @ascending [:pid, :owner, :state, :cgroup, :command]

  # Where the command would have less room than that, columns give way, in this order.
  @command_least 20
  @sacrifices [:cgroup, :rate, :processes, :age, :time, :output, :owner, :state, :memory, :cpu]

  @states %{running: "run", suspended: "susp", stopping: "stop", starting: "start", waiting: "wait"}
  @sort_keys %{"P" => :cpu, "M" => :memory, "T" => :time, "N" => :pid, "O" => :output}
  @intervals [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000]
  @interval_least 100
  @interval_most 3_600_000
  @text_most 64

  @help [
    "arrows, j, k       move by one          PgUp, PgDn     move by a screen",
    "Home, g  End, G    to the first, to the last",
    "",
    "P  CPU%     M  memory     T  CPU time     N  PID     O  output",
    "<, >               sort by the column before, after",
    "R                  turn the order round",
    "/, u               show only what has these words in PID, owner, cgroup or command",
    "",
    "s                  have the program stopped, as its options say",
    "x, F9              send the program a signal",
    "",
    "+, -               show less often, more often",
    "d                  show every so many seconds",
    "space, Ctrl-L      look again, and draw everything anew",
    "h, ?               this help, which any key ends",
    "q, Ctrl-C          end"
  ]

  # sample: the last one, nil before the first. before: of the one before, its time, and of each program's server what it had used
  # and written. rows: those that are shown, in order. selected: the server of the chosen program, nil for whichever is the first;
  # index: where it is. offset: the first row on the screen. mode: :table, :help, {:stop, row} while that is to be confirmed, and
  # {:signal, row}, {:filter, nil} or {:interval, nil} while `text` is being typed for it.
  defstruct node: nil,
            rows: 24,
            columns: 80,
            sort: :cpu,
            reverse: false,
            interval: 1_000,
            filter: "",
            sample: nil,
            before: nil,
            programs: [],
            shown: [],
            figures: nil,
            selected: nil,
            index: 0,
            offset: 0,
            mode: :table,
            text: "",
            message: nil,
            ellipsis: "…"

  @type row :: map()
  @type t :: %__MODULE__{}
  @type action :: nil | :quit | :refresh | :interval | {:stop, row()} | {:signal, row(), Signal.t()}
  @type style :: :plain | :bold | :reverse
  @type line :: {style(), String.t()}

  @doc """
  The columns' names, by which can be sorted
  """
  @spec names() :: [atom()]
  def names(), do: @names

  @doc """
  What an interval may be, in milliseconds
  """
  @spec intervals() :: Range.t()
  def intervals(), do: @interval_least..@interval_most

  @doc """
  Show another sample
  """
  @spec update(t(), Sample.t()) :: t()
  def update(view, sample) do
    programs = Enum.map(sample.programs, &row(&1, sample, view.before))
    used = Map.new(programs, &{&1.server, {&1.cpu_us, &1.output_byte_count}})
    arrange(%{view | sample: sample, before: {sample.ms, used}, programs: programs})
  end

  @doc """
  Show what is counted in the cgroup of the program that has this server
  """
  @spec put_figures(t(), pid(), map()) :: t()
  def put_figures(view, server, figures), do: %{view | figures: {server, figures}}

  @doc """
  Fit it into a terminal of that size
  """
  @spec resize(t(), pos_integer(), pos_integer()) :: t()
  def resize(view, rows, columns), do: scroll(%{view | rows: rows, columns: columns})

  @doc """
  Say something until the next key
  """
  @spec say(t(), String.t() | nil) :: t()
  def say(view, message), do: %{view | message: message}

  @doc """
  The chosen program
  """
  @spec selected(t()) :: row() | nil
  def selected(view), do: Enum.at(view.shown, view.index)

  # Of a program that was not there before: since its start.
  defp row(program, sample, before) do
    age_ms = max(DateTime.diff(sample.now, program.started_at, :millisecond), 1)

    {ms, cpu_us, bytes} =
      with {ms, %{} = used} <- before, {:ok, {cpu_us, bytes}} <- Map.fetch(used, program.server) do
        {max(sample.ms - ms, 1), cpu_us || 0, bytes}
      else
        _new -> {age_ms, 0, 0}
      end

    Map.merge(program, %{
      age_s: div(age_ms, 1_000),
      cpu_percent: program.cpu_us && max(program.cpu_us - cpu_us, 0) / (ms * 10),
      rate: (program.output_byte_count - bytes) * 1_000 / ms,
      line: Figures.command_line(program.command, program.args),
      owner_name: Figures.escape(program.owner_name),
      cgroup_name: Figures.escape(program.cgroup || "-")
    })
  end

  defp arrange(view) do
    shown = view.programs |> Enum.filter(&matches?(&1, view.filter)) |> sort(view.sort, view.reverse)
    index = view.selected && Enum.find_index(shown, &(&1.server == view.selected))

    view =
      cond do
        view.selected == nil -> %{view | index: 0}
        index != nil -> %{view | index: index}
        # The chosen one has ended: the one that has taken its place.
        true -> %{view | index: max(min(view.index, length(shown) - 1), 0)}
      end

    %{view | shown: shown} |> pin() |> scroll()
  end

  defp pin(%{selected: nil} = view), do: view
  defp pin(view), do: %{view | selected: with(%{server: server} <- selected(view), do: server)}

  defp matches?(_row, ""), do: true

  defp matches?(row, filter) do
    Enum.any?(
      ["#{row.os_pid}", row.owner_name, row.cgroup_name, row.line],
      &String.contains?(String.downcase(&1), String.downcase(filter))
    )
  end

  # What isn't known comes last either way. The sort is stable: among equals the oldest comes first.
  defp sort(rows, column, reverse) do
    {known, unknown} = Enum.split_with(rows, &(value(&1, column) != nil))
    direction = if column in @ascending != reverse, do: :asc, else: :desc
    Enum.sort_by(known, &value(&1, column), direction) ++ unknown
  end

  defp value(row, :pid), do: row.os_pid
  defp value(row, :owner), do: row.owner_name
  defp value(row, :state), do: @states[row.state]
  defp value(row, :age), do: row.age_s
  defp value(row, :cpu), do: row.cpu_percent
  defp value(row, :time), do: row.cpu_us
  defp value(row, :memory), do: row.memory_bytes
  defp value(row, :output), do: row.output_byte_count
  defp value(row, :rate), do: row.rate
  defp value(row, :processes), do: length(row.os_pids)
  defp value(row, :cgroup), do: row.cgroup && row.cgroup_name
  defp value(row, :command), do: row.line

  defp text(row, :pid), do: if(row.os_pid, do: "#{row.os_pid}", else: "-")
  defp text(row, :age), do: Figures.age(row.age_s)
  defp text(row, :cpu), do: Figures.percent(row.cpu_percent)
  defp text(row, :time), do: Figures.time(row.cpu_us)
  defp text(row, column) when column in [:memory, :output, :rate], do: Figures.bytes(value(row, column))
  defp text(row, :processes), do: "#{length(row.os_pids)}"
  defp text(row, :cgroup), do: row.cgroup_name
  defp text(row, column), do: value(row, column)

  # ---- Keys ----

  @doc """
  What a key does: to the view, and what else is to be done
  """
  @spec key(t(), Keys.key()) :: {t(), action()}
  def key(view, :interrupt), do: {view, :quit}
  def key(view, :redraw), do: {view, :refresh}
  def key(%{mode: :help} = view, _key), do: {%{view | mode: :table}, nil}
  def key(%{mode: :table} = view, key), do: table_key(%{view | message: nil}, key)
  def key(%{mode: {:stop, row}} = view, {:char, yes}) when yes in ["y", "Y"], do: {leave_mode(view), {:stop, row}}
  def key(%{mode: {:stop, _row}} = view, _key), do: {leave_mode(view), nil}
  def key(view, :escape), do: {leave_mode(view), nil}
  def key(view, :enter), do: submit(leave_mode(view), view.mode, String.trim(view.text))
  def key(view, :backspace), do: {%{view | text: String.slice(view.text, 0..-2//1)}, nil}

  def key(view, {:char, character}) do
    if String.length(view.text) < @text_most, do: {%{view | text: view.text <> character}, nil}, else: {view, nil}
  end

  def key(view, _key), do: {view, nil}

  @doc """
  Whether text is being typed, which the enter key ends
  """
  @spec typing?(t()) :: boolean()
  def typing?(%{mode: {kind, _row}}), do: kind != :stop
  def typing?(_view), do: false

  defp table_key(view, key) when key in [:up, {:char, "k"}], do: move(view, view.index - 1)
  defp table_key(view, key) when key in [:down, {:char, "j"}], do: move(view, view.index + 1)
  defp table_key(view, :page_up), do: move(view, view.index - page(view))
  defp table_key(view, :page_down), do: move(view, view.index + page(view))
  defp table_key(view, key) when key in [:home, {:char, "g"}], do: {scroll(%{view | selected: nil, index: 0}), nil}
  defp table_key(view, key) when key in [:end, {:char, "G"}], do: move(view, length(view.shown) - 1)
  defp table_key(view, {:char, "q"}), do: {view, :quit}
  defp table_key(view, {:char, " "}), do: {view, :refresh}
  defp table_key(view, key) when key in [:help, {:char, "h"}, {:char, "?"}], do: {%{view | mode: :help}, nil}
  defp table_key(view, {:char, "R"}), do: {arrange(%{view | reverse: not view.reverse}), nil}
  defp table_key(view, {:char, "<"}), do: sort_beside(view, -1)
  defp table_key(view, {:char, ">"}), do: sort_beside(view, 1)
  defp table_key(view, {:char, "s"}), do: ask(view, :stop)
  defp table_key(view, key) when key in [:signal, {:char, "x"}], do: ask(view, :signal)
  defp table_key(view, {:char, "d"}), do: {%{view | mode: {:interval, nil}, text: ""}, nil}
  defp table_key(view, {:char, "+"}), do: set_interval(view, Enum.find(@intervals, &(&1 > view.interval)))

  defp table_key(view, {:char, "-"}),
    do: set_interval(view, @intervals |> Enum.reverse() |> Enum.find(&(&1 < view.interval)))

  defp table_key(view, {:char, key}) when key in ["/", "u"],
    do: {%{view | mode: {:filter, nil}, text: view.filter}, nil}

  defp table_key(view, {:char, key}) when is_map_key(@sort_keys, key), do: sort_by(view, @sort_keys[key])
  defp table_key(view, :escape), do: {arrange(%{view | filter: ""}), nil}
  defp table_key(view, _key), do: {view, nil}

  # Who has chosen a program by moving to it stays with it wherever it goes.
  defp move(%{shown: []} = view, _index), do: {view, nil}

  defp move(view, index) do
    view = %{view | index: max(min(index, length(view.shown) - 1), 0)}
    {scroll(%{view | selected: selected(view).server}), nil}
  end

  defp sort_by(view, column), do: {arrange(%{view | sort: column, reverse: false}), nil}

  defp sort_beside(view, step) do
    index = Enum.find_index(@names, &(&1 == view.sort)) + step
    if index in 0..(length(@names) - 1), do: sort_by(view, Enum.at(@names, index)), else: {view, nil}
  end

  defp ask(%{shown: []} = view, _what), do: {say(view, "there is no program"), nil}
  defp ask(view, what), do: {%{view | mode: {what, selected(view)}, text: ""}, nil}

  defp leave_mode(view), do: %{view | mode: :table, text: ""}

  defp submit(view, {:signal, row}, text) do
    case Signal.parse(text) do
      {:ok, signal} ->
        {view, {:signal, row, signal}}

      :error ->
        {say(view, "no signal is called #{Figures.escape(text)}: give a name such as HUP, or a number from 1 to 127"),
         nil}
    end
  end

  defp submit(view, {:filter, _nobody}, text), do: {arrange(%{view | filter: text, selected: nil}), nil}
  defp submit(view, {:interval, _nobody}, ""), do: {view, nil}

  defp submit(view, {:interval, _nobody}, text) do
    with {seconds, ""} <- Float.parse(text), true <- seconds >= 0.1 and seconds <= 3_600 do
      set_interval(view, round(seconds * 1_000))
    else
      _wrong -> {say(view, "an interval is 0.1 to 3600 seconds, not #{Figures.escape(text)}"), nil}
    end
  end

  defp set_interval(view, nil), do: {view, nil}
  defp set_interval(view, ms), do: {%{view | interval: ms}, :interval}

  # ---- Lines ----

  # How many lines there are of each part: figures of all, a message, titles, programs, details of one.
  defp parts(%{rows: rows}) when rows >= 14,
    do: %{summary: 2, message: 1, titles: 1, body: rows - 8, details: 4}

  defp parts(%{rows: rows}) when rows >= 6, do: %{summary: 2, message: 1, titles: 1, body: rows - 4, details: 0}
  defp parts(%{rows: rows}) when rows >= 4, do: %{summary: 0, message: 1, titles: 1, body: rows - 2, details: 0}
  defp parts(%{rows: rows}) when rows >= 2, do: %{summary: 0, message: 1, titles: 0, body: rows - 1, details: 0}
  defp parts(_one), do: %{summary: 0, message: 0, titles: 0, body: 1, details: 0}

  defp page(view), do: parts(view).body

  defp scroll(view) do
    page = page(view)
    last = max(length(view.shown) - page, 0)
    %{view | offset: view.offset |> max(view.index - page + 1) |> min(view.index) |> min(last) |> max(0)}
  end

  @doc """
  The screen, a line for each of the terminal's rows, none of them longer than the terminal is wide
  """
  @spec lines(t()) :: [line()]
  def lines(view) do
    wanted = parts(view)

    lines =
      case view.mode do
        :help -> help(view)
        _table -> table(view, wanted)
      end

    for n <- 0..(view.rows - 1) do
      {style, text} = Enum.at(lines, n, {:plain, ""})
      {style, cut(text, view.columns, view.ellipsis)}
    end
  end

  @doc """
  The same as text without end, of all programs, for what is no terminal
  """
  @spec text(t()) :: [String.t()]
  def text(view) do
    columns = columns(view)
    rows = Enum.map(view.shown, &line(&1, columns, view))
    for line <- summary(view) ++ ["", titles(columns, view) | rows], do: String.trim_trailing(line)
  end

  defp help(view), do: [{:bold, "top on #{node_name(view)}"}, {:plain, ""} | Enum.map(@help, &{:plain, &1})]

  # Where there is no line for a message, it takes the place of what is there.
  defp table(view, parts) do
    columns = columns(view)

    body =
      for {row, index} <- view.shown |> Enum.with_index() |> Enum.slice(view.offset, parts.body) do
        style = if index == view.index, do: :reverse, else: :plain
        {style, String.pad_trailing(line(row, columns, view), min(view.columns, 10_000))}
      end

    message = {:plain, message(view) || hint(view, parts)}

    cond do
      parts.message == 0 and message(view) != nil -> [message]
      true -> parts_of_table(view, parts, columns, message, body)
    end
  end

  defp parts_of_table(view, parts, columns, message, body) do
    Enum.concat([
      view |> summary() |> Enum.take(parts.summary) |> Enum.map(&{:plain, &1}),
      Enum.take([message], parts.message),
      Enum.take([{:bold, titles(columns, view)}], parts.titles),
      body,
      List.duplicate({:plain, ""}, max(parts.body - length(body), 0)),
      view |> details() |> Enum.take(parts.details)
    ])
  end

  defp hint(view, %{summary: 0}), do: view |> summary() |> hd()

  defp hint(view, _parts) do
    filter = if view.filter == "", do: "", else: ", only what has #{Figures.escape(view.filter)}"
    order = if view.reverse, do: " turned round", else: ""
    "by #{title(view.sort)}#{order}, every #{Figures.seconds(view.interval)}#{filter}  (h: help, q: end)"
  end

  defp title(column), do: @columns |> List.keyfind!(column, 0) |> elem(1)

  defp message(%{mode: {:stop, row}}), do: "Stop #{text(row, :pid)}, #{row.line}? (y or n)"

  defp message(%{mode: {:signal, row}, text: text}),
    do: "Signal for #{text(row, :pid)} (TERM if none is given): #{Figures.escape(text)}_"

  defp message(%{mode: {:filter, _nobody}, text: text}), do: "Show only what has: #{Figures.escape(text)}_"
  defp message(%{mode: {:interval, _nobody}, text: text}), do: "Seconds between two looks: #{Figures.escape(text)}_"
  defp message(view), do: view.message

  defp node_name(view), do: Figures.escape("#{view.node}")

  defp summary(%{sample: nil} = view), do: ["top on #{node_name(view)}", "no answer yet"]

  defp summary(view) do
    programs = view.programs
    states = Enum.frequencies_by(programs, &@states[&1.state])
    counts = for state <- ~w(run susp stop start wait), count = states[state], do: "#{count} #{state}"
    sum = fn key -> programs |> Enum.map(&(Map.fetch!(&1, key) || 0)) |> Enum.sum() end
    processes = programs |> Enum.map(&length(&1.os_pids)) |> Enum.sum()
    now = view.sample.now |> DateTime.truncate(:second) |> DateTime.to_time()

    [
      "top on #{node_name(view)}, #{now} UTC, up #{Figures.age(view.sample.uptime_s)}: " <>
        "#{count(length(programs), "program")}, #{count(processes, "process")}",
      Enum.join(
        [
          "CPU #{Figures.percent(sum.(:cpu_percent) * 1.0)}%, #{Figures.time(sum.(:cpu_us))}",
          "memory #{Figures.bytes(sum.(:memory_bytes))}",
          "output #{Figures.bytes(sum.(:output_byte_count))}, #{Figures.bytes(sum.(:rate))}/s" | counts
        ],
        "; "
      )
    ]
  end

  defp count(1, noun), do: "1 #{noun}"
  defp count(number, "process"), do: "#{number} processes"
  defp count(number, noun), do: "#{number} #{noun}s"

  # Those that there is room for, with the room of the command.
  defp columns(%{columns: width}), do: columns(@columns, @sacrifices, width)

  defp columns(columns, sacrifices, width) do
    taken = columns |> Enum.map(&(elem(&1, 2) + 1)) |> Enum.sum() |> Kernel.-(1)

    case sacrifices do
      [first | rest] when width - taken < @command_least ->
        columns |> List.keydelete(first, 0) |> columns(rest, width)

      _enough ->
        List.keyreplace(columns, :command, 0, {:command, "COMMAND", max(width - taken, 0), :left})
    end
  end

  defp titles(columns, view) do
    Enum.map_join(columns, " ", fn {_name, title, width, side} -> fit(title, width, side, view.ellipsis) end)
  end

  defp line(row, columns, view) do
    Enum.map_join(columns, " ", fn {name, _title, width, side} -> fit(text(row, name), width, side, view.ellipsis) end)
  end

  defp fit(text, width, :right, ellipsis), do: text |> cut(width, ellipsis) |> String.pad_leading(width)

  defp fit(text, width, :left, ellipsis) when width < 1_000,
    do: text |> cut(width, ellipsis) |> String.pad_trailing(width)

  defp fit(text, _unbounded, :left, _ellipsis), do: text

  defp cut(text, width, ellipsis) do
    cond do
      String.length(text) <= width -> text
      width < 1 -> ""
      true -> String.slice(text, 0, width - 1) <> ellipsis
    end
  end

  defp details(view) do
    case selected(view) do
      nil ->
        []

      row ->
        started = row.started_at |> DateTime.truncate(:second) |> DateTime.to_string()

        [
          {:bold, "#{text(row, :pid)} #{row.line}"},
          {:plain, "owner #{row.owner_name}, since #{started}, processes #{Enum.join(row.os_pids, " ")}"}
          | Enum.map(cgroup(row, view.figures), &{:plain, &1})
        ]
    end
  end

  defp cgroup(%{cgroup: nil}, _figures), do: ["no cgroup"]
  defp cgroup(%{server: server} = row, {server, figures}), do: cgroup_lines(row.cgroup_name, figures)
  defp cgroup(row, _another_ones), do: ["cgroup #{row.cgroup_name}"]

  defp cgroup_lines(name, figures) do
    cpu = Map.get(figures, "cpu.stat", %{})
    part = fn key -> Figures.time(cpu[key]) end

    [
      "cgroup #{name}: CPU #{part.("usage_usec")} (user #{part.("user_usec")}, system #{part.("system_usec")})" <>
        "#{quota(figures["cpu.max"])}, throttled #{part.("throttled_usec")}",
      "memory #{Figures.bytes(figures["memory.current"])}, peak #{Figures.bytes(figures["memory.peak"])}, " <>
        "max #{limit(figures["memory.max"], &Figures.bytes/1)}, OOM kills #{figures["memory.events"]["oom_kill"] || "-"}; " <>
        "processes #{figures["pids.current"] || "-"}, max #{limit(figures["pids.max"], & &1)}"
    ]
  end

  # Documentation/admin-guide/cgroup-v2.rst: "max", or a number; of cpu.max two, both in microseconds.
  defp limit(nil, _words), do: "-"

  defp limit(text, words) do
    case Integer.parse(text) do
      {number, ""} -> "#{words.(number)}"
      _none -> Figures.escape(text)
    end
  end

  defp quota(text) do
    with [quota, period] <- String.split(text || ""),
         {quota, ""} <- Integer.parse(quota),
         {period, ""} when period > 0 <- Integer.parse(period) do
      ", quota #{Figures.percent(quota * 100 / period)}%"
    else
      _none -> ""
    end
  end
end
