# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.GuidesTest do
  # What these guides show is run as it stands there.
  use ExUnit.Case, async: true

  @moduletag :capture_log

  for guide <- ~w(talking restarts from-erlexec from-exile from-muontrap-1 from-system-cmd),
      guide = "docs/#{guide}.md" do
    @external_resource guide

    for {[code], n} <-
          ~r/```elixir\n(.*?)```/s |> Regex.scan(File.read!(guide), capture: :all_but_first) |> Enum.with_index(1) do
      test "block #{n} of #{guide}" do
        Code.eval_string(unquote(code), [], file: "#{unquote(guide)}, block #{unquote(n)}")
        refute_received _anything
      end
    end
  end
end
