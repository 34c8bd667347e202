# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Figure do
  @moduledoc false
  # One row of a table: what each contestant took, and the ratio of one of them (usually MuonTrap) to another.
  #
  #   * `:id` - what the promises and the template call it
  #   * `:what`, `:unit` - in words
  #   * `:values` - each contestant's median, a keyword list in the order of the columns
  #   * `:ours`, `:against` - of which contestants the ratio is; without `:against` there is none
  #   * `:ratio`, `:spread` - the median of the rounds' ratios, and their quartiles
  #   * `:rounds` - how many there were
  #   * `:missing` - why there is no figure, on a machine that can't give it; nil where there is one

  alias Bench.Numbers

  @enforce_keys [:id, :what]
  @type t :: %__MODULE__{}
  defstruct [
    :id,
    :what,
    :unit,
    :against,
    :ratio,
    :spread,
    :missing,
    values: [],
    ours: :muontrap,
    rounds: 1
  ]

  @doc false
  # From the rounds that `Bench.Turns.run/2` returns. `convert` makes the figure of what one contestant returned in a round.
  def compare(id, what, unit, rounds, against, convert \\ & &1, options \\ []) do
    ours = Keyword.get(options, :ours, :muontrap)
    rounds = for round <- rounds, do: for({contestant, result} <- round, do: {contestant, convert.(result)})
    ratios = for round <- rounds, do: round[ours] / round[against]

    %__MODULE__{
      id: id,
      what: what,
      unit: unit,
      values:
        for(
          {contestant, _result} <- hd(rounds),
          do: {contestant, Numbers.median(for round <- rounds, do: round[contestant])}
        ),
      ours: ours,
      against: against,
      ratio: Numbers.median(ratios),
      spread: {Numbers.percentile(ratios, 25), Numbers.percentile(ratios, 75)},
      rounds: length(rounds)
    }
  end
end
