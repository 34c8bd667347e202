# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.GuidesTest do
  # What README and the guides show is run as it stands there.
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO

  alias MuonTrap.Test.Guide

  @moduletag :capture_log

  @guides ["README.md"] ++
            for(
              name <- ~w(options daemon talking restarts from-erlexec from-exile from-muontrap-1 from-system-cmd),
              do: "docs/#{name}.md"
            )

  # The programs of the first are servers, which the servers' suite installs; telemetry_test.exs brings the module :telemetry;
  # and the last takes other nodes (nodes_test.exs).
  @elsewhere ["docs/servers.md", "docs/telemetry.md", "docs/cluster.md"]

  for guide <- @guides do
    @external_resource guide

    for {code, n} <- Enum.with_index(Guide.blocks(guide), 1) do
      # A process can be attached to only by the helper that is built for Linux, and with another one what is killed dies in its
      # own time.
      if code =~ ~r"MuonTrap.attach\(|/proc/", do: @tag(:linux)

      test "block #{n} of #{guide}" do
        capture_io(fn ->
          Guide.run(unquote(code), "#{unquote(guide)}, block #{unquote(n)}")
          # Before the capturing process ends, which the block's exits may be trapped with.
          Process.flag(:trap_exit, false)
          refute_received _anything
        end)
      end
    end
  end

  for guide <- ["README.md", "docs/erlang.md"], {code, n} <- Enum.with_index(Guide.erlang_sessions(guide), 1) do
    @external_resource guide
    test "session #{n} of Erlang's shell in #{guide}", do: Guide.run_erlang(unquote(code))
  end

  test "every page that has something to run is here" do
    for page <- ["README.md" | Path.wildcard("docs/*.md")] -- (@guides ++ @elsewhere) do
      assert {page, Guide.blocks(page)} == {page, []}
    end
  end
end
