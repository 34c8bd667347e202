# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ShellTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Test.{OS, Programs}

  setup do
    Programs.marked()
  end

  test "gives what System.shell/2 gives" do
    for command <- [
          "echo hi",
          "echo one; echo two",
          "exit 3",
          "kill -TERM $$",
          "seq 10 | grep 1 | wc -l",
          "echo 'it is' \"$((6 * 7))\" # a comment",
          "if true\nthen echo yes\nfi",
          "cat <<END\nin here\nEND",
          "no-such-program 2>/dev/null",
          "echo err >&2; echo ä",
          "(exit 4) & wait $!"
        ],
        opts <- [[], [stderr_to_stdout: true, env: [{"A", "b"}], into: []]] do
      ours = MuonTrap.shell(command, opts)
      theirs = System.shell(command, opts)
      assert joined(ours) == joined(theirs), "#{inspect(command)}: #{inspect(ours)}, #{inspect(theirs)}"
    end
  end

  # Not every version of System.shell/2 has it.
  test "has an empty input" do
    assert MuonTrap.shell("cat") == {"", 0}
    assert MuonTrap.shell("cat", close_stdin: true) == {"", 0}
    assert MuonTrap.shell("cat", close_stdin: false) == {"", 0}
    assert MuonTrap.shell("") == {"", 0}
  end

  # Pieces come as they may.
  defp joined({output, status}), do: {IO.iodata_to_binary(output), status}

  @tag :linux
  test "is contained", %{mark: mark, env: env} do
    assert MuonTrap.shell("sleep 1000 & setsid sleep 1000 & echo ready", env: env) == {"ready\n", 0}
    assert OS.alive(mark) == []
    assert MuonTrap.shell("sleep 1000 | sleep 1000", env: env, timeout: 200) == {"", :timeout}
    assert OS.alive(mark) == []
  end

  test "has what is written to it, and the other options of cmd/3" do
    assert MuonTrap.shell("sort -n | head -n 1", input: ["10\n", "9\n"]) == {"9\n", 0}
    assert MuonTrap.shell("ulimit -n; pwd", rlimits: [nofile: 77], cd: "/") == {"77\n/\n", 0}
  end

  test "says what is wrong, and by which function" do
    for command <- ["a\0b", ~c"echo", nil, 5] do
      assert_raise ArgumentError,
                   "the command line for MuonTrap.shell/2 must be a string without null bytes, got: #{inspect(command)}",
                   fn -> MuonTrap.shell(command) end
    end

    assert_raise ArgumentError, ~r"unknown option :shel for MuonTrap.shell/2; the options are :", fn ->
      MuonTrap.shell("true", shel: 1)
    end

    assert_raise ArgumentError,
                 "invalid option :close_stdin for MuonTrap.shell/2: expected true or false, got: 1",
                 fn ->
                   MuonTrap.shell("true", close_stdin: 1)
                 end

    assert_raise ArgumentError, ~r"options for MuonTrap.shell/2 must be a keyword list", fn ->
      MuonTrap.shell("true", 5)
    end

    assert_raise ArgumentError, ~r"unknown option :close_stdin for MuonTrap.cmd/3", fn ->
      MuonTrap.cmd("true", [], close_stdin: true)
    end

    assert_raise MuonTrap.Error, fn -> MuonTrap.shell("true", cd: "/no/such") end
  end
end
