# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.HelperTest do
  # The helper from outside, by docs/protocol.md, with a client that shares no code with the library.
  use ExUnit.Case, async: true

  alias MuonTrap.Test.{Frames, OS, Programs}

  setup do
    mark = OS.mark()
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    %{mark: mark, env: OS.marked(mark)}
  end

  defp start(args, {program, program_args}, env), do: Frames.start(args, [program | program_args], env)

  defp started(client) do
    assert {{"P", <<_pid::32>>}, client} = Frames.next(client)
    client
  end

  test "tells the start, both streams apart, and the end, and then nothing", %{env: env} do
    client = start([], Programs.sh("echo out; echo err >&2; exit 7"), env)
    {frames, client} = Frames.all(client)

    assert [{"P", <<pid::32>>} | _] = frames
    assert pid > 1
    assert Frames.bytes(frames, "O") == "out\n"
    assert Frames.bytes(frames, "E") == "err\n"
    assert {"X", <<0, 7::32, 0, 0, 0, 0, _user::64, _system::64, peak::64, 0::32, 0, 0>>} = List.last(frames)
    assert peak > 100_000
    assert {:timeout, _client} = Frames.next(client, 200)
    Frames.close(client)
    OS.eventually(fn -> OS.helpers(env |> hd() |> elem(1)) == [] end)
  end

  test "tells the signal that ended the program and how many were killed after it", %{env: env} do
    {frames, client} = start([], Programs.sh("sleep 1000 & sleep 1000 & kill -SEGV $$"), env) |> Frames.all()

    assert {"X", <<1, 11::32, _core, 0, 0, 0, _usage::192, stragglers::32, 0, 7, "sigsegv", names::binary>>} =
             List.last(frames)

    assert stragglers == if(OS.linux_helper?(), do: 2, else: stragglers)
    # Either may not have become the sleep yet.
    assert names =~ ~r/\A((sh|sleep)\n)*\z/
    assert length(String.split(names, "\n", trim: true)) == if(OS.linux_helper?(), do: 2, else: 0)
    Frames.close(client)
  end

  test "tells the CPU time", %{env: env} do
    {frames, client} = start([], Programs.perl("1 while times() < 0.3"), env) |> Frames.all()
    assert {"X", <<0, 0::32, 0, 0, 0, 0, user::64, system::64, _rest::binary>>} = List.last(frames)
    assert user + system > 250_000
    Frames.close(client)
  end

  test "stops the program when told to, and tells the end", %{env: env, mark: mark} do
    client = start([], Programs.deaf(), env) |> started()
    assert {{"O", "ready\n"}, client} = Frames.next(client)
    assert {frames, client} = client |> Frames.ack(6) |> Frames.stop() |> Frames.all()
    assert [{"X", <<1, 9::32, _core, 0, 1, 1, _rest::binary>>}] = frames
    assert OS.alive(mark) == []
    Frames.close(client)
  end

  test "stops the program when standard input ends", %{env: env, mark: mark} do
    client = start([], Programs.deaf(), env) |> started()
    assert {{"O", "ready\n"}, client} = Frames.next(client)
    Frames.close(client)
    OS.eventually(fn -> OS.alive(mark) == [] and OS.helpers(mark) == [] end)
  end

  test "leaves without being let go when the rest was discarded", %{env: env, mark: mark} do
    client = start([], {"yes", []}, env) |> started()
    assert {{"O", _data}, client} = Frames.next(client)
    client |> Frames.stop() |> Frames.discard() |> until_eof()
    OS.eventually(fn -> OS.helpers(mark) == [] end)

    # Also when the end has been told already.
    client = start([], {"true", []}, env) |> started()
    assert {{"X", _ending}, client} = Frames.next(client)
    client |> Frames.discard() |> until_eof()
  end

  defp until_eof(client) do
    case Frames.next(client) do
      {:eof, _client} -> :ok
      {{_tag, _payload}, client} -> until_eof(client)
    end
  end

  describe "the window" do
    for window <- [1, 16, 10_240] do
      test "of #{window} bytes is never exceeded, and one that never reads holds no more", %{env: env} do
        window = unquote(window)
        client = start(["--stdio-window", "#{window}"], {"yes", []}, env) |> started()

        client =
          Enum.reduce(1..20, client, fn _n, client ->
            {bytes, client} = unacknowledged(client, window)
            assert bytes == window
            Frames.ack(client, bytes)
          end)

        Frames.close(client)
      end
    end

    test "begins at 10 KB without being asked, and one that never reads holds that", %{env: env} do
      client = start([], {"yes", []}, env) |> started()
      assert {10_240, client} = unacknowledged(client, 10_240)
      Frames.close(client)
    end

    test "grows for a fast reader, up to a megabyte, and goes down again for a slow one", %{env: env} do
      client = start([], {"cat", ["/dev/zero"]}, env) |> started()
      client = read(client, 50_000_000)
      {bytes, client} = unacknowledged(client, 10_241)
      assert bytes > 10_240
      assert bytes <= 1_048_576

      # One that takes its time for each full window: what it gets becomes less, down to where it began, and stays there.
      # On a busy machine what comes in time may be a part of a window, and the next one more than that.
      client = take_slowly(client, bytes, [bytes])
      Frames.close(client)
    end

    # What comes without being acknowledged: so many bytes in any case, however long they take, and more only if it comes at
    # once.
    defp unacknowledged(client, at_least, bytes \\ 0) do
      case Frames.next(client, if(bytes < at_least, do: 30_000, else: 150)) do
        {{"O", data}, client} -> unacknowledged(client, at_least, bytes + byte_size(data))
        {:timeout, client} -> {bytes, client}
      end
    end

    defp read(client, left) when left <= 0, do: client

    defp read(client, left) do
      {{"O", data}, client} = Frames.next(client)
      read(Frames.ack(client, byte_size(data)), left - byte_size(data))
    end

    defp take_slowly(client, _bytes, [10_240, 10_240, 10_240 | _before]), do: client

    defp take_slowly(client, bytes, seen) do
      {next, client} = client |> Frames.ack(bytes) |> unacknowledged(10_240)
      assert next <= Enum.max(seen)
      take_slowly(client, next, [next | seen])
    end
  end

  describe "a frame that is wrong" do
    for {name, bytes} <- [
          "of no bytes": <<0::32>>,
          "too long": <<6::32, "aaaaaa">>,
          "of four gigabytes": <<0xFFFFFFFF::32>>,
          "with an unknown tag": <<1::32, "?">>,
          "an acknowledgement without a number": <<1::32, "a">>,
          "an acknowledgement that is short": <<3::32, "a", 1, 2>>,
          "a stop with a payload": <<2::32, "s", 0>>,
          garbage: "GET / HTTP/1.1\r\n\r\n",
          "an acknowledgement of what was not sent": <<5::32, "a", 7::32>>
        ] do
      test "#{name} is answered with an error and a stop", %{env: env, mark: mark} do
        client = start([], Programs.deaf(), env) |> started()
        assert {{"O", "ready\n"}, client} = Frames.next(client)
        {frames, client} = client |> Frames.send_raw(unquote(bytes)) |> Frames.all()
        assert [{"!", <<10, _errno::32, 6, "eproto", words::binary>>}, {"X", _ending}] = frames
        assert String.length(words) > 30
        assert OS.alive(mark) == []
        # Nothing that follows has a meaning any more.
        client |> Frames.send_raw(:crypto.strong_rand_bytes(100_000))
        assert {:timeout, client} = Frames.next(client, 100)
        Frames.close(client)
        OS.eventually(fn -> OS.helpers(mark) == [] end)
      end
    end

    test "at random, a hundred times, is an error and a stop or nothing at all, and leaves nothing running", %{
      env: env,
      mark: mark
    } do
      for _ <- 1..100 do
        client = start(["-k", "0"], {"sleep", ["1000"]}, env) |> started()
        bytes = :crypto.strong_rand_bytes(:rand.uniform(40))
        Frames.send_raw(client, bytes)
        Frames.close(client)
      end

      OS.eventually(fn -> OS.alive(mark) == [] and OS.helpers(mark) == [] end)
    end

    test "truncated by the end of standard input is told to a reader that is still there", %{mark: mark} do
      script = ~S(printf '\0\0\0\5a\0' | "$0" --port -- sh -c 'sleep 1000' | od -An -c)
      {output, 0} = System.cmd("sh", ["-c", script, MuonTrap.muontrap_path()], env: OS.marked(mark))
      text = String.replace(output, ~r/\s+/, "")
      assert text =~ "ended" or text =~ "endedwithinaframe"
      assert OS.alive(mark) == []
    end
  end

  @tag :tmp_dir
  test "delivers everything to an owner that has closed its own end only", %{tmp_dir: dir} do
    script = ~S[{ until test -e "$1"; do sleep 0.05; done; } |
      "$0" --port -k 60000 -- sh -c 'trap "" TERM; touch "$0"; head -c 3000000 /dev/zero' "$1" | wc -c]

    {output, 0} = System.cmd("sh", ["-c", script, MuonTrap.muontrap_path(), Path.join(dir, "deaf")])
    # Everything that the program could write until the end, which is at least what no window holds back.
    assert output |> String.trim() |> String.to_integer() > 3_000_000
  end

  test "refuses what can't be started with an error frame, and waits to be let go", %{env: env, mark: mark} do
    for {args, program, stage} <- [
          {[], {"/no/such", []}, 9},
          {["--cd", "/no/such"], {"true", []}, 5},
          {["--uid", "0"], {"true", []}, 8},
          {["--stdio-window", "0"], {"true", []}, 1},
          {["--unknown"], {"true", []}, 1},
          {["--stdin", "inherit"], {"true", []}, 1}
        ] do
      client = start(args, program, env)
      assert {{"!", <<^stage, _rest::binary>>}, client} = Frames.next(client)
      assert {:timeout, client} = Frames.next(client, 50)
      client |> Frames.ack(0) |> Frames.stop() |> Frames.close()
    end

    OS.eventually(fn -> OS.helpers(mark) == [] end)
  end

  @tag :linux
  test "keeps its output open until all is dead when the relay is killed", %{env: env, mark: mark} do
    client = start([], Programs.daemonised(), env) |> started()
    assert {{"O", "ready\n"}, client} = Frames.next(client)
    {:os_pid, keeper} = Port.info(client.port, :os_pid)
    [relay] = OS.children(keeper)
    OS.kill(relay, "KILL")
    assert {:eof, client} = Frames.next(client)
    assert OS.alive(mark) == []
    Frames.close(client)
    OS.eventually(fn -> OS.helpers(mark) == [] end)
  end
end
