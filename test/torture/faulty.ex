# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Faulty do
  @moduledoc false
  # What the helper's system calls are made to do (faulty.c): `{name, first, every, what}`. Pure.
  #
  # What is *soft* may happen to any process at any time, and must make no difference: calls that are slow, interrupted, or do a
  # part of what they were asked for, and ENOMEM of poll(2). After a *hard* error a program may not be started, or be stopped; but
  # then the owner is told so, and nothing is left.

  import MuonTrap.Torture.Dice

  @eintr 4
  @eagain 11
  @enomem 12
  @enfile 23
  @emfile 24
  @enospc 28

  @type call :: {atom(), pos_integer(), non_neg_integer(), {:error | :delay | :short, pos_integer()}}

  @doc "Some such calls"
  @spec random() :: [call()]
  def random(), do: for(_entry <- 1..one_of([1, 2, 4]), do: pick([{3, soft()}, {1, hard()}]))

  defp soft() do
    pick([
      {3, short(one_of([:read, :write, :splice]))},
      {3, again(one_of([:read, :write, :splice, :poll]), {:error, @eintr})},
      {1, again(one_of([:write, :splice]), {:error, @eagain})},
      {1, again(:poll, {:error, @enomem})},
      {2,
       {one_of([:read, :write, :splice, :poll, :waitid, :wait4, :openat, :kill]), first(), one_of([0, 20]), delay()}},
      {1, {one_of([:fork, :clone3, :execve, :open, :pipe]), one_of([1, 2, 3]), 0, delay()}}
    ])
  end

  # As many as the time for them allows.
  defp short(name) do
    pick([
      {1, {name, first(), one_of([0, 50]), {:short, one_of([1, 7])}}},
      {1, {name, first(), one_of([0, 1, 5]), {:short, one_of([500, 4_000])}}}
    ])
  end

  defp again(name, what), do: {name, first(), one_of([0, 0, 2, 20]), what}
  defp delay(), do: {:delay, one_of([50, 1_000, 5_000])}
  defp first(), do: any_size(60)

  defp hard() do
    {names, errors} =
      one_of([
        {[:fork, :clone, :clone3], [@eagain, @enomem]},
        {[:pipe, :pipe2, :socketpair], [@emfile, @enfile]},
        {[:open, :openat], [@emfile, @enfile, @enomem]},
        {[:mkdirat], [@enospc]},
        {[:execve], [@enomem]}
      ])

    {one_of(names), one_of([1, 2, 3, 4, 6, 10, 20]), 0, {:error, one_of(errors)}}
  end

  @doc "Whether it is an error that the helper may not be able to go on after"
  @spec hard?(call()) :: boolean()
  def hard?({_name, _first, _every, {:error, @eintr}}), do: false
  def hard?({name, _first, _every, {:error, @eagain}}) when name in [:write, :splice], do: false
  def hard?({:poll, _first, _every, {:error, @enomem}}), do: false
  def hard?({_name, _first, _every, {:error, _errno}}), do: true
  def hard?(_call), do: false

  @doc "As faulty.c takes them"
  @spec plan([call()]) :: String.t()
  def plan(calls), do: Enum.map_join(calls, ",", &text/1)

  defp text({name, first, every, {what, value}}) do
    letter = %{error: "e", delay: "d", short: "s"}[what]
    "#{name}:#{first}:#{every}:#{letter}#{value}"
  end
end
