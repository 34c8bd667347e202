# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Tree do
  @moduledoc false
  # Random trees of processes, as data: `{number, acts}`. tree.c performs them. Pure: the state of `:rand` is in the process's
  # dictionary, where `MuonTrap.Torture.Scene` has seeded it.

  import MuonTrap.Torture.Dice

  @type t :: {non_neg_integer(), [act()]}
  @type act ::
          {:write, 1 | 2, pos_integer(), pos_integer(), non_neg_integer()}
          | {:fork | :fork_and_wait | :double_fork | :terminal, t()}
          | {:polite | :nap | :close | :sleep | :nest | :user | :exit | :die | :zombies | :chain | :pipe_size,
             non_neg_integer()}
          | :setsid
          | :setpgid
          | :exec
          | :deaf
          | :stop
          | :hold
          | :read
          | :in_flight

  @endless 1_000_000_000_000
  # Each piece has a header and a newline.
  @piece_least 24
  @pipe_buf 4_096
  @most 60

  @doc """
  A tree. What it may do: `:root` (change the user), `:cgroup` (nest), `:one_writer` (nobody but the root writes), `:read` (its
  standard input ends), `:ends` (the root has to come to its end by itself)
  """
  @spec random(map()) :: t()
  def random(may) do
    size = pick([{4, 1}, {4, 3}, {3, 8}, {1, 30}])
    {tree, _rest} = process(%{next: 0, left: size, fds: [0, 1, 2], may: may, reads: may.read, depth: 0})
    tree
  end

  # state: next: the next number; left: how many processes there may be; fds: those that are open.
  defp process(state) do
    id = state.next
    state = %{state | next: id + 1, left: state.left - 1}
    count = pick([{2, 1}, {4, 3}, {2, 6}])
    {acts, after_acts} = Enum.flat_map_reduce(List.duplicate(nil, count), state, fn nil, state -> act(id, state) end)
    acts = acts ++ last(id, after_acts)
    {{id, acts}, %{after_acts | fds: state.fds, depth: state.depth}}
  end

  defp last(0, %{may: %{ends: true}}), do: ending()

  defp last(_id, state) do
    pick([
      {3, ending()},
      {4, [:hold]},
      {2, [:deaf, :hold]},
      {1, [:stop]},
      {1, if(writes?(state, 1), do: [flood(1)], else: [:hold])}
    ])
  end

  defp ending(),
    do: pick([{3, []}, {3, [{:exit, one_of([0, 0, 1, 3, 7, 125, 255])}]}, {1, [{:die, one_of([6, 9, 15])}]}])

  defp flood(stream), do: {:write, stream, @endless, one_of([24, 100, 1_000, @pipe_buf]), one_of([0, 0, 0, 200])}

  defp act(id, state) do
    pick([
      {6, :write},
      {6, :child},
      {1, :setsid},
      {1, :setpgid},
      {1, :exec},
      {1, :deaf},
      {1, :polite},
      {1, :nap},
      {1, :sleep},
      {1, :close},
      {1, :read},
      {1, :nest},
      {1, :user},
      {1, :zombies},
      {1, :chain},
      {1, :in_flight},
      {1, :pipe_size}
    ])
    |> act(id, state)
  end

  defp act(:write, id, state) do
    stream = one_of([1, 1, 2])
    if writes?(state, stream, id), do: {[write(stream, state)], state}, else: {[], state}
  end

  defp act(:child, _id, %{left: left, next: next} = state) when left < 1 or next >= @most, do: {[], state}

  defp act(:child, _id, state) do
    how = pick([{4, :fork}, {3, :fork_and_wait}, {3, :double_fork}, {1, :terminal}])
    # One that is waited for has to end.
    inner = if how == :fork_and_wait, do: put_in(state.may.ends, true), else: put_in(state.may.ends, false)
    inner = if how == :terminal, do: %{inner | fds: []}, else: inner
    {child, inner} = child(how, %{inner | depth: state.depth + 1})
    {[{how, child}], %{inner | may: state.may, fds: state.fds, depth: state.depth}}
  end

  defp act(:polite, _id, state), do: {[{:polite, one_of([0, 5, 100, 900])}], state}
  defp act(:nap, _id, state), do: {[{:nap, one_of([0, 1, 20, 100])}], state}
  defp act(:sleep, _id, state), do: {[{:sleep, one_of([0, 100, 1_000, 20_000, 200_000])}], state}
  defp act(:zombies, _id, state), do: {[{:zombies, one_of([1, 5, 50])}], state}
  defp act(:chain, _id, state), do: {[{:chain, one_of([1, 10, 100, 400])}], state}
  defp act(:pipe_size, _id, state), do: {[{:pipe_size, one_of([4_096, 8_192, 1_048_576])}], state}
  defp act(:nest, id, %{may: %{cgroup: true}} = state), do: {[{:nest, id}], state}

  defp act(:user, _id, %{may: %{root: true}} = state),
    do: {[{:user, one_of([65_534, 4_321])}], put_in(state.may.root, false)}

  defp act(:read, _id, %{reads: true} = state),
    do: if(0 in state.fds, do: {[:read], %{state | reads: false}}, else: {[], state})

  defp act(:close, _id, state) do
    fd = one_of([0, 1, 2])
    {[{:close, fd}], %{state | fds: state.fds -- [fd]}}
  end

  defp act(what, _id, state) when what in [:nest, :user, :read], do: {[], state}
  defp act(plain, _id, state), do: {[plain], state}

  defp child(:fork_and_wait, state) do
    {{id, acts}, state} = process(state)
    {{id, ended(acts)}, state}
  end

  defp child(_how, state), do: process(state)

  # Without what would keep it from its end.
  defp ended(acts),
    do: Enum.take_while(acts, &(act_ends?(&1, true) and not match?({:write, _stream, @endless, _piece, _pause}, &1)))

  defp writes?(state, stream, id \\ nil),
    do: stream in state.fds and (not state.may.one_writer or id == 0) and state.may.writes

  defp write(_stream, state) do
    bytes = one_of([1, 100, 1_000, 10_000, 10_000, 100_000, 300_000, 2_000_000])
    largest = if state.may.one_writer, do: [30_000, 65_535], else: [@pipe_buf]
    piece = one_of([@piece_least, 40, 200, 1_000, 4_000, @pipe_buf] ++ largest)
    # Not more than so many pieces, and so many seconds of pauses.
    bytes = min(bytes, 4_000 * piece)
    pieces = div(bytes, piece) + 1
    pause = pick([{5, 0}, {1, min(1_000, div(200_000, pieces))}])
    {:write, one_of_open(state), bytes, piece, pause}
  end

  defp one_of_open(state), do: one_of(Enum.filter([1, 1, 2], &(&1 in state.fds)))

  @doc "Whether the root comes to its end by itself, when its output is read and its input ends; and nobody continues it, or somebody does"
  @spec ends?(t(), boolean()) :: boolean()
  def ends?({_id, acts}, stops? \\ true), do: Enum.all?(acts, &act_ends?(&1, stops?))

  defp act_ends?(:hold, _stops?), do: false
  defp act_ends?(:stop, stops?), do: not stops?
  defp act_ends?({:write, _stream, @endless, _piece, _pause}, _stops?), do: false
  defp act_ends?({:fork_and_wait, child}, stops?), do: ends?(child, stops?)
  defp act_ends?(_act, _stops?), do: true

  @doc "The status that the root ends with by itself"
  @spec status(t()) :: non_neg_integer()
  def status({_id, acts}) do
    Enum.find_value(acts, 0, fn
      {:exit, status} -> status
      {:die, signal} -> 128 + signal
      _act -> nil
    end)
  end

  @doc "All acts of all processes"
  @spec acts(t()) :: [act()]
  def acts({_id, acts}) do
    Enum.flat_map(acts, fn
      {how, {_number, _acts} = child} when is_atom(how) -> [{how, child} | acts(child)]
      act -> [act]
    end)
  end

  @doc "The numbers of all processes, with how many acts each has"
  @spec processes(t()) :: [{non_neg_integer(), non_neg_integer()}]
  def processes({id, acts}) do
    [{id, length(acts)} | for({how, {_number, _acts} = child} <- acts, is_atom(how), one <- processes(child), do: one)]
  end

  @doc "Smaller trees, the smallest first"
  @spec smaller(t()) :: [t()]
  def smaller({id, acts}) do
    without = for index <- indices(acts), do: {id, List.delete_at(acts, index)}

    inside =
      for {act, index} <- Enum.with_index(acts), less <- smaller_act(act), do: {id, List.replace_at(acts, index, less)}

    without ++ inside
  end

  defp indices([]), do: []
  defp indices(list), do: Enum.to_list(0..(length(list) - 1))

  defp smaller_act({how, {_number, _acts} = child}) when is_atom(how) do
    simpler = if how == :fork, do: [], else: [{:fork, child}]
    simpler ++ for less <- smaller(child), do: {how, less}
  end

  defp smaller_act({:write, stream, bytes, piece, pause}) do
    fewer =
      if bytes > 100, do: [{:write, stream, 1, piece, pause}, {:write, stream, div(bytes, 4), piece, pause}], else: []

    if pause > 0, do: [{:write, stream, bytes, piece, 0} | fewer], else: fewer
  end

  defp smaller_act({what, number}) when number > 1 and what in [:chain, :zombies, :sleep, :nap, :polite],
    do: [{what, div(number, 4)}]

  defp smaller_act(_act), do: []

  @doc "As tree.c takes it"
  @spec spec(t()) :: String.t()
  def spec(tree), do: tree |> text() |> IO.iodata_to_binary()

  defp text({id, acts}), do: [Integer.to_string(id), "[", Enum.map_intersperse(acts, ";", &act_text/1), "]"]

  defp act_text({:write, stream, bytes, piece, pause}), do: "w#{stream},#{bytes},#{piece},#{pause}"
  defp act_text({:fork, child}), do: ["f", text(child)]
  defp act_text({:fork_and_wait, child}), do: ["F", text(child)]
  defp act_text({:double_fork, child}), do: ["d", text(child)]
  defp act_text({:terminal, child}), do: ["p", text(child)]
  defp act_text({:polite, ms}), do: "t#{ms}"
  defp act_text({:nap, ms}), do: "n#{ms}"
  defp act_text({:close, fd}), do: "c#{fd}"
  defp act_text({:sleep, us}), do: "z#{us}"
  defp act_text({:nest, name}), do: "G#{name}"
  defp act_text({:user, uid}), do: "u#{uid}"
  defp act_text({:exit, status}), do: "x#{status}"
  defp act_text({:die, signal}), do: "k#{signal}"
  defp act_text({:zombies, count}), do: "Z#{count}"
  defp act_text({:chain, links}), do: "C#{links}"
  defp act_text({:pipe_size, bytes}), do: "P#{bytes}"
  defp act_text(:setsid), do: "s"
  defp act_text(:setpgid), do: "g"
  defp act_text(:exec), do: "e"
  defp act_text(:deaf), do: "i"
  defp act_text(:stop), do: "N"
  defp act_text(:hold), do: "h"
  defp act_text(:read), do: "r"
  defp act_text(:in_flight), do: "q"
end
