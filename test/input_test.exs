# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.InputTest do
  # What MuonTrap.cmd/3 writes to a program's standard input.
  use ExUnit.Case, async: true

  alias MuonTrap.Test.OS

  @megabyte 1_048_576

  setup do
    mark = OS.mark()
    {:ok, mark: mark, env: OS.marked(mark)}
  end

  defp megabytes(count), do: Stream.map(1..(count * 16), fn n -> :binary.copy(<<n::32>>, 16_384) end)
  defp sha256(chunks), do: chunks |> Enum.reduce(:crypto.hash_init(:sha256), &:crypto.hash_update(&2, &1)) |> hash()
  defp hash(state), do: Base.encode16(:crypto.hash_final(state), case: :lower)

  describe "input" do
    test "is a string, an iolist, or an enumerable of these" do
      for input <- [
            "1\n2\n3\n",
            ["1\n", [?2, ?\n | "3\n"]],
            Stream.map(1..3, &"#{&1}\n"),
            Stream.map(1..3, &[&1 + ?0, ?\n])
          ] do
        assert MuonTrap.cmd("tac", [], input: input) == {"3\n2\n1\n", 0}
      end
    end

    test "ends, be it empty or not" do
      for input <- ["", [], [""], Stream.map([], & &1)],
          do: assert(MuonTrap.cmd("wc", ["-c"], input: input) == {"0\n", 0})

      assert MuonTrap.cmd("wc", ["-c"], input: "hi") == {"2\n", 0}
      assert MuonTrap.cmd("sort", ["-n"], input: "10\n9\n") == {"9\n10\n", 0}
      assert MuonTrap.cmd("bc", [], input: "6 * 7\n") == {"42\n", 0}
    end

    @tag :tmp_dir
    test "is a file, larger than what the VM takes for it", %{tmp_dir: dir} do
      path = Path.join(dir, "large.gz")
      {"", 0} = MuonTrap.cmd("sh", ["-c", "head -c 67108864 /dev/zero | gzip -1 > large.gz"], cd: dir)
      {expected, 0} = MuonTrap.cmd("sh", ["-c", "head -c 67108864 /dev/zero | sha256sum"])
      {hash, 0} = MuonTrap.cmd("sh", ["-c", "gzip -d | sha256sum"], input: File.stream!(path, [], 65_536))
      assert hash == expected
    end

    test "goes through whole, both ways at once" do
      expected = sha256(megabytes(100))
      {_sink, 0} = result = MuonTrap.cmd("cat", [], input: megabytes(100), into: %MuonTrap.Test.Hash{})
      assert elem(result, 0).bytes == 100 * @megabyte
      assert elem(result, 0).sha256 == expected
    end

    test "that the program does not read is no error" do
      for input <- [Stream.cycle(["again\n"]), String.duplicate("x", 10 * @megabyte)] do
        assert MuonTrap.cmd("true", [], input: input) == {"", 0}
        assert MuonTrap.cmd("sh", ["-c", "exec <&-; sleep 0.1; echo alive"], input: input) == {"alive\n", 0}
        assert MuonTrap.cmd("sh", ["-c", "exit 3"], input: input) == {"", 3}
        assert {"", :timeout} = MuonTrap.cmd("sleep", ["1000"], input: input, timeout: 100)
      end

      assert MuonTrap.cmd("head", ["-n", "1"], input: Stream.cycle(["again\n"])) == {"again\n", 0}
    end

    test "is taken no faster than the program reads it" do
      counter = :counters.new(1, [])
      input = Stream.repeatedly(fn -> :counters.add(counter, 1, 1) && String.duplicate("x", 1024) end)
      assert {"", :timeout} = MuonTrap.cmd("sleep", ["1000"], input: input, timeout: 200)
      # What the pipe holds, and the window, which is twice as large then.
      assert :counters.get(counter, 1) <= 64 + 128 + 2
    end

    test "that raises, throws or exits ends the program and does the same here", %{mark: mark, env: env} do
      broken = fn fun -> Stream.map(1..3, fn n -> if n == 3, do: fun.(), else: "#{n}\n" end) end
      run = fn fun -> MuonTrap.cmd("sleep", ["1000"], input: broken.(fun), env: env) end

      assert_raise RuntimeError, "over it", fn -> run.(fn -> raise "over it" end) end
      assert catch_throw(run.(fn -> throw(:ball) end)) == :ball
      assert catch_exit(run.(fn -> exit(:done) end)) == :done
      assert OS.alive(mark) == []
      assert_raise ArgumentError, ~r/iodata/, fn -> run.(fn -> :none end) end
      refute_received _anything
    end

    test "is refused when it is none, without being shown" do
      for input <- [:secret, 5, {"secret"}, ["secret" | 5]] do
        error = assert_raise ArgumentError, fn -> MuonTrap.cmd("cat", [], input: input) end
        assert error.message =~ "invalid option :input for MuonTrap.cmd/3: expected iodata"
        refute error.message =~ "secret"
      end
    end

    test "leaves no process and no message, also in who traps exits" do
      Process.flag(:trap_exit, true)

      for input <- ["hi", Stream.cycle(["hi"]), Stream.map(1..3, &"#{&1}")], program <- ["true", "cat >/dev/null"] do
        program = if input == "hi" or program == "true" or not is_function(input), do: program, else: "head -c 5000"
        {_output, 0} = MuonTrap.cmd("sh", ["-c", program], input: input)
      end

      assert catch_error(MuonTrap.cmd("cat", [], input: Stream.map(1..2, fn _n -> raise "no" end)))
      refute_received _anything
      assert {:links, []} = Process.info(self(), :links)
    end

    test "ends with who is killed", %{mark: mark, env: env} do
      test = self()

      input =
        Stream.repeatedly(fn ->
          send(test, {:feeder, self()})
          String.duplicate("x", 65_536)
        end)

      caller = spawn(fn -> MuonTrap.cmd("sleep", ["1000"], input: input, env: env) end)
      assert_receive {:feeder, feeder}, 60_000
      monitor = Process.monitor(feeder)
      Process.exit(caller, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^feeder, _reason}, 60_000
      OS.eventually(fn -> OS.alive(mark) == [] end)
    end

    test "doesn't reach another program that the same helper runs" do
      for n <- 1..200 do
        assert MuonTrap.cmd("true", [], input: Stream.cycle(["late\n"])) == {"", 0}
        assert MuonTrap.cmd("cat", [], input: "#{n}\n") == {"#{n}\n", 0}
      end
    end
  end

  test "that is killed while it is enumerated is an exit of the caller, too" do
    Process.flag(:trap_exit, true)
    input = Stream.map(1..3, fn n -> if n == 3, do: Process.exit(self(), :kill), else: "#{n}\n" end)
    assert catch_exit(MuonTrap.cmd("cat", [], input: input)) == :killed
    assert catch_exit(MuonTrap.stream!("cat", [], input: input) |> Stream.run()) == :killed
    refute_received _anything
  end
end
