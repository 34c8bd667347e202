# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Dialogue do
  @moduledoc false
  # A dialogue with a MuonTrap.Program, after expect(1): what is typed, and what is waited for. Its functions take it
  # and return it, so that a dialogue reads as a pipeline. What the program wrote, stdout and stderr alike, is kept:
  #   heard    what came with the last expect/2, to the end of the words that were waited for
  #   pending  what has come after that
  #   record   everything, from which screen/1 makes the screen that a terminal would show
  #   stderr   what of it came on stderr

  import ExUnit.Assertions

  alias MuonTrap.Program
  alias MuonTrap.Test.OS

  @enforce_keys [:program, :size]
  defstruct [:program, :size, heard: "", pending: "", record: "", stderr: ""]

  # It only guards against hanging.
  @deadline 60_000

  @doc "Starts a program to talk to; the options are its own"
  def start(command, args \\ [], opts \\ []) do
    {:ok, program} = Program.start_link(command, args, opts)
    %__MODULE__{program: program, size: size(opts[:pty])}
  end

  defp size(pty) when is_list(pty), do: {Keyword.get(pty, :rows, 24), Keyword.get(pty, :cols, 80)}
  defp size(_pty), do: {24, 80}

  @doc "Writes to the program"
  def type(dialogue, text) do
    assert Program.write(dialogue.program, text, @deadline) == :ok
    dialogue
  end

  def close_stdin(dialogue) do
    assert Program.close_stdin(dialogue.program) == :ok
    dialogue
  end

  @doc "Sets the size of the program's terminal; of what it had written before, the new screen shows nothing"
  def resize(dialogue, rows, columns) do
    assert Program.resize(dialogue.program, rows, columns) == :ok
    %{dialogue | size: {rows, columns}, record: ""}
  end

  @doc "Reads until the words have come, a string or a regular expression; fails with what has come instead"
  def expect(dialogue, words) do
    case split(dialogue.pending, words) do
      {heard, rest} -> %{dialogue | heard: heard, pending: rest}
      nil -> dialogue |> read_more("#{inspect(words)} has not come, but #{inspect(dialogue.pending)}") |> expect(words)
    end
  end

  defp split(text, words) do
    case find(text, words) do
      {start, length} -> {binary_part(text, 0, start + length), after_part(text, start + length)}
      nil -> nil
    end
  end

  defp find(text, %Regex{} = words) do
    with [place | _groups] <- Regex.run(words, text, return: :index), do: place
  end

  defp find(text, words) do
    with :nomatch <- :binary.match(text, words), do: nil
  end

  defp after_part(text, start), do: binary_part(text, start, byte_size(text) - start)

  @doc "Reads until the screen is as the function wants it, which gets its lines and the cursor's row and column from 0"
  def expect_screen(dialogue, wanted),
    do: expect_screen(dialogue, wanted, System.monotonic_time(:millisecond) + @deadline)

  # Some programs draw again and again.
  defp expect_screen(dialogue, wanted, until) do
    {lines, cursor} = screen(dialogue)
    otherwise = "the screen has not become as wanted, but\n#{Enum.join(lines, "\n")}\n#{inspect(cursor)}"

    cond do
      wanted.(lines, cursor) -> %{dialogue | pending: ""}
      System.monotonic_time(:millisecond) > until -> flunk("after #{@deadline} ms, #{otherwise}")
      true -> dialogue |> read_more(otherwise) |> read_rest() |> expect_screen(wanted, until)
    end
  end

  # All that there is by now, for it takes longer to make a screen than to draw one.
  defp read_rest(dialogue) do
    case Program.read(dialogue.program, 0) do
      {stream, data} when stream in [:stdout, :stderr] -> dialogue |> add(stream, data) |> read_rest()
      _nothing -> dialogue
    end
  end

  @doc """
  Waits until the program sleeps, which it does only in the call that a signal is to interrupt

  A program whose handler does no more than note a signal, and that has looked for a note before it begins that call, sleeps
  on when the signal comes in between: after it has written what says that it is there, and before it is.
  """
  def expect_asleep(dialogue) do
    pid = Program.os_pid(dialogue.program)
    OS.eventually(fn -> OS.state(pid) == "S" end)
    dialogue
  end

  @doc "The lines of the screen without the blanks at their ends, and the cursor's row and column from 0"
  def screen(%{size: {rows, columns}} = dialogue) do
    path = Path.join(System.tmp_dir!(), "screen-#{System.pid()}-#{System.unique_integer([:positive])}")
    File.write!(path, dialogue.record)

    try do
      {output, 0} = System.cmd(Path.join(__DIR__, "screen"), ["#{rows}", "#{columns}", path])
      {lines, [cursor, ""]} = output |> String.split("\n") |> Enum.split(rows)
      {lines, cursor |> String.split() |> Enum.map(&String.to_integer/1) |> List.to_tuple()}
    after
      File.rm!(path)
    end
  end

  @doc "Reads to the end, and checks that the program ends with that status"
  def expect_end(dialogue, status) do
    dialogue = read_to_end(dialogue)
    ended = Program.await(dialogue.program, @deadline)
    assert ended == {:ok, status}, "it ended with #{inspect(ended)}, not #{status}, after #{inspect(dialogue.pending)}"
    assert Program.stop(dialogue.program, @deadline) == {:ok, status}
    %{dialogue | heard: dialogue.pending, pending: ""}
  end

  defp read_to_end(dialogue) do
    case Program.read(dialogue.program, @deadline) do
      {stream, data} when stream in [:stdout, :stderr] -> dialogue |> add(stream, data) |> read_to_end()
      :eof -> dialogue
      {:error, :timeout} -> flunk("the end has not come, but #{inspect(dialogue.pending)}; #{standing(dialogue)}")
    end
  end

  defp read_more(dialogue, otherwise) do
    case Program.read(dialogue.program, @deadline) do
      {stream, data} when stream in [:stdout, :stderr] -> add(dialogue, stream, data)
      :eof -> flunk("at the program's end, #{otherwise}")
      {:error, :timeout} -> flunk("after #{@deadline} ms, #{otherwise}; #{standing(dialogue)}")
    end
  end

  # For which of all that take part has to be looked at: what each one waits for.
  defp standing(%{program: program}) do
    state = :sys.get_state(program)
    pid = state.program_pid
    where = with {:ok, function} <- File.read("/proc/#{pid}/wchan"), do: function
    server = if Process.alive?(state.port.server), do: inspect(:sys.get_state(state.port.server))

    "the program is in state #{inspect(OS.state(pid))}, in #{inspect(where)}, of #{inspect(state)}, of #{server}"
  end

  defp add(dialogue, stream, data) do
    %{
      dialogue
      | pending: dialogue.pending <> data,
        record: dialogue.record <> data,
        stderr: if(stream == :stderr, do: dialogue.stderr <> data, else: dialogue.stderr)
    }
  end
end
