# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Stdio do
  @moduledoc false
  # Where a program's standard input, output and error come from and go to: the options :stdin, :input, :stdout, :stderr, :pty
  # and, by their older names, :stderr_to_stdout and :capture_stderr_only, of all that start programs. Pure.

  alias MuonTrap.Pty

  @names [:stdin, :stdout, :stderr, :stderr_to_stdout, :capture_stderr_only, :pty]

  @doc """
  The options that all have
  """
  @spec names() :: [atom()]
  def names(), do: @names

  @doc """
  What is wrong with a value: `:ok`, or `{:error, expected}`
  """
  @spec check(atom(), term()) :: :ok | {:error, String.t()}
  def check(:stdin, :null), do: :ok

  def check(:stdin, {:file, path}),
    do: expect(path?(path), ":null or {:file, path}, the path a string without null bytes")

  def check(:stdin, _value), do: {:error, ":null or {:file, path}"}

  def check(:stdout, value),
    do: expect(value == :null or file?(value), ":null, {:file, path} or {:file, path, [:append, mode: 0o600]}")

  def check(:stderr, value) do
    expect(
      value in [:inherit, :null, :stdout, :tag] or file?(value),
      ":inherit, :null, :stdout, :tag, {:file, path} or {:file, path, [:append, mode: 0o600]}"
    )
  end

  def check(:pty, value), do: Pty.check(value)
  def check(_older, value), do: expect(is_boolean(value), "true or false")

  defp expect(true, _expected), do: :ok
  defp expect(false, expected), do: {:error, expected}

  defp path?(path), do: is_binary(path) and path != "" and not String.contains?(path, <<0>>)

  defp file?({:file, path}), do: path?(path)

  defp file?({:file, path, how}),
    do: path?(path) and is_list(how) and not List.improper?(how) and Enum.all?(how, &how?/1)

  defp file?(_value), do: false

  defp how?(:append), do: true
  defp how?({:append, value}), do: is_boolean(value)
  defp how?({:mode, mode}), do: is_integer(mode) and mode in 0..0o7777
  defp how?(_value), do: false

  @doc """
  The value with an absolute path, and as it is compared
  """
  @spec normal(atom(), term()) :: term()
  def normal(:stdin, {:file, path}), do: {:file, Path.expand(path)}
  def normal(name, {:file, path}) when name in [:stdout, :stderr], do: {:file, Path.expand(path), []}

  def normal(name, {:file, path, how}) when name in [:stdout, :stderr] do
    append = if :append in how or {:append, true} in how, do: [:append], else: []
    {:file, Path.expand(path), append ++ for({:mode, mode} <- how, do: {:mode, mode})}
  end

  def normal(_name, value), do: value

  @doc """
  What makes no sense together, as a sentence that begins with the options' names; `nil` when all does
  """
  @spec conflict(map()) :: String.t() | nil
  def conflict(options) do
    Enum.find_value(
      [&older/1, &input/1, &one_terminal/1, &one_file/1, &log_levels/1, &tag/1],
      & &1.(options)
    )
  end

  defp older(%{stderr_to_stdout: true, capture_stderr_only: true}),
    do: "the options :stderr_to_stdout and :capture_stderr_only exclude each other"

  defp older(%{stderr: _where, stderr_to_stdout: true}),
    do: "the options :stderr and :stderr_to_stdout both say where stderr goes: give one of them"

  defp older(%{capture_stderr_only: true} = options) do
    for(name <- [:stdout, :stderr], is_map_key(options, name), do: name)
    |> Enum.find_value(
      &("the options #{inspect(&1)} and :capture_stderr_only both say where output goes: the latter is the same as " <>
          "stdout: :null with stderr: :tag, but without the tags")
    )
  end

  defp older(_options), do: nil

  defp input(%{input: _input, stdin: _stdin}),
    do: "the options :input and :stdin both say what the program reads: give one of them"

  defp input(_options), do: nil

  defp one_terminal(%{pty: pty} = options) when pty != false do
    cond do
      match?({:file, _path}, options[:stdin]) ->
        "the options :stdin and :pty exclude each other: the terminal is the program's standard input"

      options[:stderr] == :tag or options[:capture_stderr_only] ->
        "the option :pty gives the program a terminal, where stdout and stderr are one stream, so that stderr can't be told apart"

      true ->
        nil
    end
  end

  defp one_terminal(_options), do: nil

  defp one_file(%{stdout: {:file, path, one}, stderr: {:file, path, other}}) do
    unless :append in one and :append in other do
      "the options :stdout and :stderr would write over each other in #{path}: give stderr: :stdout, or :append for both"
    end
  end

  defp one_file(_options), do: nil

  defp log_levels(%{log_output: levels} = options) when is_list(levels) do
    cond do
      options[:stderr_to_stdout] || options[:capture_stderr_only] ->
        "the option :log_output has levels for the streams, so that :stderr_to_stdout and :capture_stderr_only, which leave one " <>
          "of them, can't be given beside it"

      Keyword.has_key?(levels, :stderr) and (options[:pty] || options[:stderr] not in [nil, :tag]) ->
        "the option :log_output has a level for stderr, which #{if options[:pty], do: ":pty makes one stream with stdout", else: ":stderr sends elsewhere"}"

      Keyword.has_key?(levels, :stdout) and is_map_key(options, :stdout) ->
        "the option :log_output has a level for stdout, which :stdout sends elsewhere"

      true ->
        nil
    end
  end

  defp log_levels(_options), do: nil

  # A string is collected of strings.
  defp tag(%{stderr: :tag, into: into}) when is_binary(into),
    do: "the option :stderr with :tag gives {:stdout, data} and {:stderr, data}, which takes an :into such as []"

  defp tag(_options), do: nil

  @doc """
  Whether what comes is given with the name of its stream
  """
  @spec tags?(map()) :: boolean()
  def tags?(options), do: options[:stderr] == :tag

  @doc """
  The helper's arguments
  """
  @spec arguments(map()) :: [String.t()]
  def arguments(options) do
    Pty.arguments(Map.get(options, :pty, false)) ++ stdin(options) ++ stdout(options) ++ stderr(options)
  end

  defp stdin(%{input: _input}), do: ["--stdin", "relay"]
  defp stdin(%{stdin: {:file, path}}), do: ["--stdin", "file:" <> path]
  defp stdin(_options), do: []

  defp stdout(%{stdout: :null}), do: ["--stdout", "null"]
  defp stdout(%{stdout: {:file, _path, _how} = file}), do: ["--stdout", file(file)]
  defp stdout(%{capture_stderr_only: true}), do: ["--stdout", "null"]
  defp stdout(_options), do: []

  defp stderr(%{stderr: :tag}), do: []
  defp stderr(%{stderr: {:file, _path, _how} = file}), do: ["--stderr", file(file)]
  defp stderr(%{stderr: where}), do: ["--stderr", Atom.to_string(where)]
  defp stderr(%{stderr_to_stdout: true}), do: ["--stderr", "stdout"]
  defp stderr(%{capture_stderr_only: true}), do: []
  # The terminal is where it goes.
  defp stderr(%{pty: pty}) when pty != false, do: []
  defp stderr(options), do: if(logs_stderr?(options), do: [], else: ["--stderr", "inherit"])

  defp logs_stderr?(%{logger_fun: _fun}), do: false
  defp logs_stderr?(%{log_output: levels}) when is_list(levels), do: Keyword.has_key?(levels, :stderr)
  defp logs_stderr?(_options), do: false

  defp file({:file, path, how}) do
    append = if :append in how, do: ",append", else: ""
    mode = for {:mode, mode} <- how, do: ",mode=" <> Integer.to_string(mode, 8)
    "file#{append}#{mode}:#{path}"
  end
end
