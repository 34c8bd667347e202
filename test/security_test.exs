# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.SecurityTest do
  # SECURITY.md says of each of its claims which tests show it. Here is looked whether there are such tests, and that what the
  # page says of secrets is so.
  use ExUnit.Case, async: true

  alias MuonTrap.Test.OS

  @page "SECURITY.md"
  @external_resource @page

  # A claim is an item of a list. Below it stand, in parentheses, the tests: a file and their names.
  defp claims() do
    [_before | items] = @page |> File.read!() |> String.split(~r/^- /m)
    for item <- items, do: item |> String.split(~r/\n\n|\n(?=#)/) |> hd()
  end

  # {file, name} of each, and {file, nil} of a file that is one test.
  defp references(claim) do
    for [file, names] <- Regex.scan(~r/`(test\/[\w.\/]+)`((?:[:,]\s+"[^"]+")*)/, claim, capture: :all_but_first),
        reference <- names(file, names),
        do: reference
  end

  defp names(file, ""), do: [{file, nil}]

  defp names(file, names),
    do: for([name] <- Regex.scan(~r/"([^"]+)"/, names, capture: :all_but_first), do: {file, squeeze(name)})

  defp squeeze(text), do: String.replace(text, ~r/\s+/, " ")

  # The names of the tests in a file, as patterns, for what is interpolated can be anything.
  defp tests(file) do
    text = File.read!(file)

    case Path.extname(file) do
      ".exs" -> text |> String.split("\n") |> of_exunit([], []) |> Enum.map(&pattern/1)
      ".bats" -> for [name] <- Regex.scan(~r/^@test "(.*)" \{/m, text, capture: :all_but_first), do: pattern(name)
      ".c" -> for [name] <- Regex.scan(~r/TEST\((\w+)/, text, capture: :all_but_first), do: pattern(name)
    end
  end

  # Those within a describe have its words before their own. It lasts to the end with the same indentation.
  defp of_exunit([], _describes, names), do: names

  defp of_exunit([line | lines], describes, names) do
    case Regex.run(~r/^(\s*)(describe|test) "(.*?)"[ ,]|^(\s*)end$/, line, capture: :all_but_first) do
      [indentation, "describe", words] -> of_exunit(lines, [{indentation, words} | describes], names)
      [_indentation, "test", words] -> of_exunit(lines, describes, [full(describes, words) | names])
      ["", "", "", indentation] -> of_exunit(lines, Enum.reject(describes, &(elem(&1, 0) == indentation)), names)
      nil -> of_exunit(lines, describes, names)
    end
  end

  defp full(describes, words), do: Enum.map_join(describes, &(elem(&1, 1) <> " ")) <> words

  defp pattern(name) do
    parts = name |> String.split(~r/#\{[^}]*\}/) |> Enum.map_join(".*", &Regex.escape/1)
    Regex.compile!("\\A#{parts}\\z")
  end

  test "each claim of SECURITY.md names tests, and these exist" do
    claims = claims()
    assert length(claims) > 30

    for claim <- claims do
      references = references(claim)
      assert references != [], "no test is named for: #{claim}"

      for {file, name} <- references do
        assert File.exists?(file), "there is no #{file}, which is named for: #{claim}"
        assert name == nil or Enum.any?(tests(file), &(name =~ &1)), "there is no test #{inspect(name)} in #{file}"
      end
    end
  end

  test "tests are found by their names, in all three languages" do
    names =
      of_exunit(
        ["  describe \"one\" do", "    test \"two \#{x}\", %{y: y} do", "    end", "  end", "  test \"three\" do"],
        [],
        []
      )

    assert names == ["three", "one two \#{x}"]
    assert "one two 2" =~ pattern("one two \#{x}")
    refute "one two 2 and more" =~ pattern("one two")
    assert Enum.any?(tests("test/cli/identity.bats"), &("there is no way back to root" =~ &1))
    assert Enum.any?(tests("test/c/port/test_protocol.c"), &("nothing_is_no_command" =~ &1))

    assert references("a (`test/x.bats`: \"b c\",\n  \"d\"; `test/y.c`)") == [
             {"test/x.bats", "b c"},
             {"test/x.bats", "d"},
             {"test/y.c", nil}
           ]
  end

  test "output that looks like the helper's frames is output" do
    # What a helper would say of a program that has ended with status 0, and of an error, with the length before it and without.
    forged = for tag <- ["X", "E", "U", "S", "O"], tag = tag <> <<0::size(320)>>, do: [<<byte_size(tag)::32>>, tag, tag]
    forged = IO.iodata_to_binary(forged)
    assert MuonTrap.cmd("sh", ["-c", "cat; exit 3"], input: forged) == {forged, 3}
  end

  test "a daemon's lines have the program's characters, whatever they do to a terminal" do
    {program, args} = MuonTrap.Test.Programs.sh("printf '\\033[2Jred alert\\n'; sleep 1000")
    {:ok, daemon} = MuonTrap.Daemon.start_link(program, args, logger_fun: MuonTrap.Test.Programs.lines_to_me())
    assert_receive {:line, "\e[2Jred alert"}, 60_000
    GenServer.stop(daemon)
  end

  @tag :linux
  test "a program that stops its helper lives on until that is continued" do
    mark = OS.mark()
    stop = "k=$(ps -o ppid= -p $PPID); kill -STOP $k $PPID; sleep 1000"

    owner =
      spawn(fn ->
        {:ok, _program} = MuonTrap.Program.start_link("sh", ["-c", stop], env: OS.marked(mark))
        receive(do: (:never -> :ok))
      end)

    stopped? = fn -> length(OS.helpers(mark)) == 2 and Enum.all?(OS.helpers(mark), &(OS.state(&1) == "T")) end
    OS.eventually(stopped?, 120_000)
    helpers = OS.helpers(mark)
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    Process.exit(owner, :kill)
    assert OS.alive(mark) != []
    for pid <- helpers, do: OS.kill(pid, "CONT")
    OS.eventually(fn -> OS.alive(mark) == [] end, 120_000)
  end

  for {way, opts} <- ["a helper that is used again": [], "a helper of its own": [lock: "lock"]] do
    test "no secret of the environment or the input is in a command line: #{way}" do
      directory = Path.join(System.tmp_dir!(), OS.mark())
      File.mkdir!(directory)
      on_exit(fn -> File.rm_rf!(directory) end)
      opts = for {name, file} <- unquote(opts), do: {name, Path.join(directory, file)}
      secret = "secret#{System.unique_integer([:positive])}x"
      mark = OS.mark()
      env = [{"TOKEN", secret} | OS.marked(mark)]

      {:ok, program} =
        MuonTrap.Program.start_link("sh", ["-c", "read x; echo $TOKEN $x; sleep 1000"], [env: env] ++ opts)

      :ok = MuonTrap.Program.write(program, "input#{secret}\n")
      assert {:stdout, output} = MuonTrap.Program.read(program)
      assert output == "#{secret} input#{secret}\n"
      {keeper, relay} = OS.keeper_and_relay(mark)

      for pid <- [keeper, relay | OS.alive(mark)],
          do: refute(File.read!("/proc/#{pid}/cmdline") =~ secret)

      MuonTrap.Program.stop(program)
    end
  end
end
