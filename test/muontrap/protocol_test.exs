# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ProtocolTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Protocol

  @page File.read!("docs/protocol.md")
  @header File.read!("c_src/port/protocol.h")
  @failures File.read!("c_src/base/failure.h")

  # The rows of the table below a heading, without its head.
  defp table(after_text) do
    [_before, rest] = String.split(@page, after_text, parts: 2)

    rest
    |> String.split("\n")
    |> Enum.drop_while(&(not String.starts_with?(&1, "|")))
    |> Enum.take_while(&String.starts_with?(&1, "|"))
    |> Enum.drop(2)
    |> Enum.map(fn row -> row |> String.split("|", trim: true) |> Enum.map(&String.trim(&1, " ")) end)
  end

  defp tags(heading), do: for([tag, name | _] <- table(heading), into: %{}, do: {name, String.trim(tag, "`")})

  test "the helper's tags are those of the page" do
    for {name, tag} <- Map.merge(tags("## To the owner"), tags("## From the owner")) do
      assert @header =~ "#define TAG_#{String.upcase(name)} '#{tag}'"
    end

    assert length(Regex.scan(~r/#define TAG_/, @header)) == 22
  end

  test "the helper's and the library's stages are those of the page" do
    rows = for [number, name, _what] <- table("The stages:"), do: {String.to_integer(number), String.to_atom(name)}

    assert Map.new(rows) == Protocol.stages()
    for {number, name} <- rows, do: assert(@failures =~ "STAGE_#{String.upcase("#{name}")} = #{number}")
  end

  test "commands are encoded with the tags of the page" do
    tags = tags("## From the owner")

    assert Protocol.encode({:ack, 0x01020304}) == tags["ack"] <> <<1, 2, 3, 4>>
    assert Protocol.encode(:stop) == tags["stop"]
    assert Protocol.encode(:discard) == tags["discard"]
    assert IO.iodata_to_binary(Protocol.encode({:input, ["hi", ?\n]})) == tags["input"] <> "hi\n"
    assert Protocol.encode(:end_of_input) == tags["end_of_input"]
    assert Protocol.encode({:resize, 24, 80}) == tags["resize"] <> <<0, 24, 0, 80>>
    assert Protocol.encode({:launch, ["--", "sh"]}) == tags["launch"] <> "--\0sh\0"
    assert Protocol.encode({:signal, 7, "SIGHUP", :tree}) == tags["signal"] <> <<2, 7::32>> <> "SIGHUP"
  end

  test "the helper's and the library's receivers of a signal are the same" do
    header = File.read!("c_src/containment/deliver.h")

    for {name, number} <- Protocol.receivers(),
        do: assert(header =~ "RECEIVER_#{String.upcase("#{name}")} = #{number},")
  end

  test "frames are decoded by the tags of the page" do
    tags = tags("## To the owner")

    assert Protocol.decode(tags["started"] <> <<0, 0, 42, 59>>) == {:started, 10811, ""}
    assert Protocol.decode(tags["started"] <> <<0, 0, 42, 59>> <> "a/b") == {:started, 10811, "a/b"}
    assert Protocol.decode(tags["stdout"] <> "hi\n") == {:stdout, "hi\n"}
    assert Protocol.decode(tags["stderr"] <> "oh\n") == {:stderr, "oh\n"}
    assert Protocol.decode(tags["stdout_unasked"] <> "hi\n") == {:stdout, "hi\n"}
    assert Protocol.decode(tags["stderr_unasked"] <> "oh\n") == {:stderr, "oh\n"}
    assert Protocol.decode(tags["credit"] <> <<7::32>>) == {:credit, 7}
    assert Protocol.decode(tags["input_closed"] <> <<7::64>>) == {:input_closed, 7}
    assert Protocol.decode(tags["stdout_ended"]) == :stdout_ended
    assert Protocol.decode(tags["stderr_ended"]) == :stderr_ended
    assert Protocol.decode(tags["unused"]) == :unused
    assert Protocol.decode(tags["waiting"] <> "for it") == {:waiting, "for it"}
    assert Protocol.decode(tags["signalled"] <> <<7::32, 0::32>>) == {:signalled, 7, :ok}
    assert Protocol.decode(tags["signalled"] <> <<8::32, 3::32>> <> "esrch") == {:signalled, 8, {:error, :esrch}}
  end

  test "an event that the page forbids is none" do
    ending = <<0, 0, 0, 0, 1_000::64, 2_000::64, 4_096::64, 7::32, 1>>

    for frame <- [
          <<?P, 0::32>>,
          "O",
          "e",
          <<?C, 0::32>>,
          <<?Q, 1>>,
          <<?K, 7::32, 0::32, "eperm">>,
          <<?!, 5, 0::32, 6, "enoent", "no">>,
          <<?X, 3, 0::32, ending::binary, 0>>,
          <<?X, 0, 9::32, ending::binary, 7, "sigkill">>,
          <<?X, 0, 3::32, 2, binary_part(ending, 1, 32)::binary, 0>>,
          <<?y, 1>>
        ] do
      assert_raise FunctionClauseError, fn -> Protocol.decode(frame) end
    end

    assert {:exited, %{status: 0}} = Protocol.decode(<<?X, 0, 0::32, ending::binary, 0>>)
  end

  test "only data can come without asking for an acknowledgement" do
    for {name, tag} <- tags("## To the owner") do
      assert Protocol.asks?(tag <> "hi\n") == not String.ends_with?(name, "_unasked")
    end
  end

  test "an exit status and a signal are told apart, and both have a status" do
    rest = <<1, 0, 1, 0, 1_000::64, 2_000::64, 4_096::64, 7::32, 1>>
    names = "sleep\nsh\n"

    assert {:exited, %{status: 3, signal: nil, stragglers: 7}} =
             Protocol.decode(<<?X, 0, 3::32, rest::binary, 0, names::binary>>)

    assert {:exited, %{signal: 40, signal_name: nil}} =
             Protocol.decode(<<?X, 1, 40::32, rest::binary, 0, names::binary>>)

    assert {:exited, ending} = Protocol.decode(<<?X, 1, 9::32, rest::binary, 7, "sigkill", names::binary>>)

    assert ending == %{
             status: 137,
             signal: 9,
             signal_name: :sigkill,
             core_dumped: true,
             oom_killed: false,
             stopped: true,
             forced: false,
             user_us: 1_000,
             system_us: 2_000,
             peak_bytes: 4_096,
             stragglers: 7,
             reusable: true,
             names: ["sleep", "sh"]
           }
  end

  test "an error has its stage, the errno's name and the words" do
    assert {:error, %MuonTrap.Error{stage: :cd, reason: :enoent, message: "no"}} =
             Protocol.decode(<<?!, 5, 2::32, 6, "enoent", "no">>)

    assert {:error, %MuonTrap.Error{stage: :exec, reason: 999}} = Protocol.decode(<<?!, 9, 999::32, 0, "x">>)
    assert {:error, %MuonTrap.Error{reason: :failed}} = Protocol.decode(<<?!, 1, 0::32, 0, "x">>)
  end
end
