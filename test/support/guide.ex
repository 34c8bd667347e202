# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Guide do
  @moduledoc false
  # What the documents show in Elixir, to be run as it stands there.

  import ExUnit.Assertions

  @doc "The blocks of Elixir, other than those that the page says are not run"
  def blocks(path) do
    ~r/(<!-- not run -->\n)?```elixir\n(.*?)```/s
    |> Regex.scan(File.read!(path), capture: :all_but_first)
    |> Enum.flat_map(fn
      ["", code] -> [code]
      [_not_run, _code] -> []
    end)
  end

  @doc "Runs a block: as a whole, or where it is a session of iex, expression by expression, each with what stands below it"
  def run("iex>" <> _rest = code, where) do
    Enum.reduce(session(code), [], fn {expression, expected}, binding ->
      evaluate(expression, expected, binding, where)
    end)
  end

  def run(code, where), do: Code.eval_string(code, [], file: where)

  @doc "The sessions of Erlang's shell"
  def erlang_sessions(path) do
    for [code] <- Regex.scan(~r/```erlang\n(1> .*?)```/s, File.read!(path), capture: :all_but_first), do: code
  end

  @doc "Runs one, expression by expression, each with what stands below it"
  def run_erlang(code) do
    ~r/^\d+> /m
    |> Regex.split(code, trim: true)
    |> Enum.reduce(:erl_eval.new_bindings(), fn entry, bindings ->
      [expression | expected] = String.split(entry, "\n", trim: true)
      {value, bindings} = evaluate_erlang(expression, bindings)

      if expected != [] do
        {result, _none} = evaluate_erlang(Enum.join(expected, "\n") <> ".", :erl_eval.new_bindings())
        assert {expression, value} == {expression, result}
      end

      bindings
    end)
  end

  defp evaluate_erlang(text, bindings) do
    {:ok, tokens, _line} = :erl_scan.string(String.to_charlist(text))
    {:ok, expressions} = :erl_parse.parse_exprs(tokens)
    {:value, value, bindings} = :erl_eval.exprs(expressions, bindings)
    {value, bindings}
  end

  defp session(code) do
    for entry <- String.split(code, ~r/^iex> /m, trim: true) do
      [first | lines] = String.split(entry, "\n", trim: true)
      {more, expected} = Enum.split_while(lines, &String.starts_with?(&1, "...> "))
      {Enum.join([first | Enum.map(more, &String.replace_prefix(&1, "...> ", ""))], "\n"), Enum.join(expected, "\n")}
    end
  end

  defp evaluate(expression, "** (" <> raised, binding, where) do
    [name, message] = String.split(raised, ") ", parts: 2)
    exception = Module.concat([name])
    error = assert_raise(exception, fn -> Code.eval_string(expression, binding, file: where) end)
    assert Exception.message(error) == message
    binding
  end

  defp evaluate(expression, expected, binding, where) do
    {value, binding} = Code.eval_string(expression, binding, file: where)
    if expected != "", do: assert({expression, value} == {expression, elem(Code.eval_string(expected), 0)})
    binding
  end
end
