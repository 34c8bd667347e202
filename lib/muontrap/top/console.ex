# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Top.Console do
  @moduledoc false
  # Where MuonTrap.top/1 is seen and where its keys come from. There are two kinds.
  #
  #   * `:keys` - a terminal that is the VM's standard input and that no shell of Erlang's reads: that of `mix`. A contained program
  #     keeps it, the keeper: it takes the terminal out of canonical mode, writes the screens to it, and puts everything back when
  #     its input ends or it is told to end. So that happens however top or its VM ends. Each key comes at once, read from the VM's
  #     own standard input, where the VM would take it away from anybody else
  #   * `:lines` - the group leader, which is the shell in iex, on whatever node. It is the shell that has the terminal, edits lines
  #     and hands over whole ones. So keys are followed by Enter
  #
  # The process that opens it gets `{:keys, bytes}`, `{:line, text}` or `:input_ended`, and asks for the next ones by `next/1`.

  alias MuonTrap.Program
  alias MuonTrap.Top.View

  @enforce_keys [:kind, :reader]
  defstruct [:kind, :reader, :keeper, :path, :modes, :encoding, drawn: []]

  @type t :: %__MODULE__{}

  @enter "\e[?1049h\e[?25l\e[H\e[2J"
  # Written with the table, because not each shell writes that of a request again after other output.
  @prompt "top> "
  @leave "\e[0m\e[?25h\e[?1049l"

  # $1: the terminal. Its descriptor is 3, that of the screens 4, because a background command's standard input is /dev/null.
  @keeper """
  exec 3<>"$1" || exit 1
  modes=$(stty -g <&3) || exit 1
  put_back() {
    trap '' HUP INT TERM
    kill "$writer" 2>/dev/null
    printf '#{String.replace(@leave, "\e", "\\033")}' >&3
    stty "$modes" <&3
  }
  trap 'exit 0' HUP INT TERM
  exec 4<&0
  trap put_back EXIT
  stty -icanon -echo -isig -iexten -ixon min 1 time 0 <&3
  echo "$modes"
  cat <&4 >&3 &
  writer=$!
  wait "$writer"
  """

  # Milliseconds, until the keeper has the terminal, or has given it back.
  @patience 10_000

  @doc """
  Open it
  """
  @spec open(:keys | :lines) :: {:ok, t()} | {:error, String.t()}
  def open(:lines), do: {:ok, %__MODULE__{kind: :lines, reader: start_reader(&read_line/0)}}

  def open(:keys) do
    with {:ok, path} <- terminal(), {:ok, keeper, modes} <- start_keeper(path) do
      encoding = :io.getopts()[:encoding]
      # Bytes, which may be no text.
      :ok = :io.setopts(encoding: :latin1)
      :ok = Program.write(keeper, @enter)

      {:ok,
       %__MODULE__{
         kind: :keys,
         reader: start_reader(&read_key/0),
         keeper: keeper,
         path: path,
         modes: modes,
         encoding: encoding
       }}
    end
  end

  defp start_reader(read) do
    owner = self()
    spawn_link(fn -> read(owner, read) end)
  end

  defp read(owner, read) do
    case read.() do
      {_kind, _what} = input ->
        send(owner, input)
        receive do: (:next -> read(owner, read))

      :ended ->
        send(owner, :input_ended)
    end
  end

  defp read_key() do
    case IO.binread(:stdio, 1) do
      byte when is_binary(byte) and byte != "" -> {:keys, byte}
      _ended -> :ended
    end
  end

  defp read_line() do
    case IO.gets("") do
      line when is_binary(line) -> {:line, String.trim_trailing(line, "\n")}
      _ended -> :ended
    end
  end

  # The keeper has a session of its own, in which there is no /dev/tty. What the VM's standard input is has a path: by /proc, or
  # as ps(1) knows the VM's controlling terminal.
  defp terminal() do
    case File.read_link("/proc/self/fd/0") do
      {:ok, "/dev/" <> _name = path} -> {:ok, path}
      {:ok, _pipe_or_file} -> no_terminal("standard input is none")
      {:error, _no_proc} -> terminal_by_ps()
    end
  end

  defp terminal_by_ps() do
    {name, _status} = MuonTrap.cmd("ps", ["-o", "tty=", "-p", System.pid()], stderr_to_stdout: true)
    name = String.trim(name)
    path = Path.join("/dev", name)
    if name != "" and File.exists?(path), do: {:ok, path}, else: no_terminal("ps knows of none")
  rescue
    error -> no_terminal(Exception.message(error))
  end

  defp no_terminal(why),
    do: {:error, "there is no terminal that keys could be read from: #{why}; --once shows one table without keys"}

  defp start_keeper(path) do
    {:ok, keeper} = Program.start_link("sh", ["-c", @keeper, "sh", path], stderr: :tag)

    case Program.read(keeper, @patience) do
      {:stdout, modes} ->
        :ok = Program.set_active(keeper, true)
        {:ok, keeper, String.trim(modes)}

      {:stderr, words} ->
        Program.stop(keeper)
        no_terminal("#{path} can't be used (#{String.trim(words)})")

      _nothing ->
        Program.stop(keeper)
        no_terminal("#{path} can't be used")
    end
  end

  @doc """
  Have more input come
  """
  @spec next(t()) :: :next
  def next(console), do: send(console.reader, :next)

  @doc """
  Rows and columns that there are for the table
  """
  @spec size(t()) :: {pos_integer(), pos_integer()}
  def size(%{kind: kind}) do
    rows = with {:ok, rows} when rows > 0 <- :io.rows(), do: rows, else: (_unknown -> 24)
    columns = with {:ok, columns} when columns > 0 <- :io.columns(), do: columns, else: (_unknown -> 80)
    # The last row is that of the shell's prompt.
    if kind == :lines, do: {max(rows - 1, 1), columns}, else: {rows, columns}
  end

  @doc """
  Show these lines
  """
  @spec draw(t(), [View.line()]) :: t() | {:error, :closed}
  def draw(%{kind: :lines} = console, lines) do
    IO.write(["\e[H\e[2J", Enum.map(lines, &[style(&1), "\n"]), @prompt])
    console
  end

  def draw(console, lines) do
    case Program.write(console.keeper, changes(lines, console.drawn)) do
      :ok -> %{console | drawn: lines}
      {:error, :closed} -> {:error, :closed}
    end
  end

  @doc """
  What to write to a terminal that shows the second lines for it to show the first ones
  """
  @spec changes([View.line()], [View.line()]) :: iolist()
  def changes(lines, drawn) when length(lines) != length(drawn), do: ["\e[0m\e[H\e[2J" | write(lines, [])]
  def changes(lines, drawn), do: write(lines, drawn)

  # A line is erased before it is written: after a character in the last column some terminals would erase that one.
  defp write(lines, drawn) do
    for {line, row} <- Enum.with_index(lines, 1), line != Enum.at(drawn, row - 1, {:plain, ""}) do
      ["\e[#{row};1H\e[2K", style(line)]
    end
  end

  defp style({:plain, text}), do: text
  defp style({:bold, text}), do: ["\e[1m", text, "\e[0m"]
  defp style({:reverse, text}), do: ["\e[7m", text, "\e[0m"]

  @doc """
  Draw everything anew next time
  """
  @spec forget(t()) :: t()
  def forget(console), do: %{console | drawn: []}

  @doc """
  Give the terminal back
  """
  @spec close(t()) :: :ok
  def close(console) do
    Process.unlink(console.reader)
    Process.exit(console.reader, :kill)
    if console.kind == :keys, do: close_terminal(console)
    :ok
  end

  defp close_terminal(%{keeper: keeper} = console) do
    :io.setopts(encoding: console.encoding)
    Program.close_stdin(keeper)
    unless Program.await(keeper, @patience) == {:ok, 0}, do: put_back(console)
    Process.unlink(keeper)
    Program.stop(keeper)
  end

  # The keeper has been killed, and couldn't.
  defp put_back(console) do
    script = "printf '#{String.replace(@leave, "\e", "\\033")}' >\"$1\"; stty \"$2\" <\"$1\""
    MuonTrap.cmd("sh", ["-c", script, "sh", console.path, console.modes], timeout: @patience, stderr_to_stdout: true)
  end
end
