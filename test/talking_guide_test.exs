# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.TalkingGuideTest do
  # What docs/talking.md shows is run as it stands there.
  use ExUnit.Case, async: true

  @guide "docs/talking.md"
  @external_resource @guide

  for {[code], n} <-
        ~r/```elixir\n(.*?)```/s |> Regex.scan(File.read!(@guide), capture: :all_but_first) |> Enum.with_index(1) do
    test "block #{n} of the guide" do
      Code.eval_string(unquote(code), [], file: "#{@guide}, block #{unquote(n)}")
      refute_received _anything
    end
  end
end
