# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.TortureTest do
  # That `make torture` would find something: what is pure of it, without a case that is run.
  use ExUnit.Case, async: true

  alias MuonTrap.Torture.{Ledger, Scene, Tree, Verdict}

  @machine %{root: true, cgroup: true, controllers: true, calls: true}

  # As tree.c writes it.
  defp piece(number, offset, size) do
    start = rem(offset + 7_919 * number + 31_337, 131_071)
    payload = binary_part(Ledger.input(2 * 131_071), start, size - 20)

    hex = fn number, digits ->
      number |> Integer.to_string(16) |> String.downcase() |> String.pad_leading(digits, "0")
    end

    "R0#{hex.(number, 2)}1#{hex.(offset, 10)}#{hex.(size - 20, 4)}#{payload}\n"
  end

  defp scene(fields \\ []) do
    struct!(
      %Scene{seed: 1, tree: {0, [{:exit, 3}]}, kind: :cmd, options: [stderr: :tag], manners: %{input: nil}},
      fields
    )
  end

  defp process(fields \\ %{}) do
    Map.merge(
      %{
        pid: 7,
        act: 1,
        done: true,
        error: 0,
        written: %{1 => 0, 2 => 0},
        writing: %{1 => 0, 2 => 0},
        read: 0,
        bad_input: false
      },
      fields
    )
  end

  defp known(seen, fields \\ %{}) do
    seen = Map.merge(%{how: :ended, status: 3, arrived: %{stdout: {:ok, %{}}}, alive: [], messages: 0, did: []}, seen)
    ledgers = [%{incarnation: 0, overlap: 0, processes: %{0 => process()}}]
    Map.merge(%{seen: seen, ledgers: ledgers, outside: [], alive: [], left: []}, fields)
  end

  defp wrote(bytes, writing),
    do: [
      %{
        incarnation: 0,
        overlap: 0,
        processes: %{0 => process(%{written: %{1 => bytes, 2 => 0}, writing: %{1 => writing, 2 => 0}})}
      }
    ]

  test "a seed is a case, and another one another" do
    for seed <- 1..300 do
      assert Scene.random(seed, @machine) == Scene.random(seed, @machine)
      refute Scene.random(seed, @machine) == Scene.random(seed + 1, @machine)
    end
  end

  test "a case that is written down is the same when it is read" do
    for seed <- 1..100 do
      scene = Scene.random(seed, @machine)
      assert {^scene, []} = scene |> inspect(limit: :infinity, printable_limit: :infinity) |> Code.eval_string()
    end
  end

  test "cases that are smaller get smaller until nothing is left, and each has an end" do
    for seed <- 1..50 do
      scene =
        Stream.iterate(Scene.random(seed, @machine), &List.first(Scene.smaller(&1)))
        |> Stream.take_while(& &1)
        |> Enum.at(-1)

      assert scene.tree == {0, []}
      assert scene.outside == [] and scene.inside == [] and scene.calls == []
    end
  end

  test "a tree says whether it ends, and with what" do
    assert Tree.ends?({0, [{:fork, {1, [:hold]}}, {:exit, 3}]})
    refute Tree.ends?({0, [{:fork_and_wait, {1, [:hold]}}]})
    assert Tree.status({0, [:deaf, {:die, 9}]}) == 137
    assert Tree.spec({0, [{:write, 1, 50, 25, 0}, {:fork, {1, [:hold]}}]}) == "0[w1,50,25,0;f1[h]]"
  end

  test "output is known by who wrote it, also when it is mixed or cut" do
    output = piece(0, 0, 100) <> piece(12, 0, 30) <> piece(0, 100, 40)
    assert Ledger.arrived(output) == {:ok, %{{0, 0, 1} => 140, {0, 12, 1} => 30}}
    assert Ledger.arrived(binary_part(output, 0, 150)) == {:ok, %{{0, 0, 1} => 120, {0, 12, 1} => 30}}
    assert Ledger.arrived(binary_part(output, 0, 165)) == {:ok, %{{0, 0, 1} => 135, {0, 12, 1} => 30}}
    lines = output |> String.trim() |> String.split("\n")
    assert %{stdout: {:ok, %{{0, 0, 1} => 140, {0, 12, 1} => 30}}} = Ledger.arrived_lines(lines)
  end

  test "a gap, a repetition and a changed byte are noticed" do
    for output <- [
          piece(0, 100, 40),
          piece(0, 0, 40) <> piece(0, 0, 40),
          String.replace(piece(0, 0, 40), ~r/.\n/, "\t\n"),
          piece(0, 0, 40) <> "x" <> piece(0, 40, 40)
        ],
        do: assert({:error, _what} = Ledger.arrived(output))
  end

  test "a promise that is kept is not called broken" do
    assert Verdict.broken(scene(), known(%{})) == []
    came = %{stdout: {:ok, %{{0, 0, 1} => 100}}}
    assert Verdict.broken(scene(), known(%{arrived: came}, %{ledgers: wrote(100, 0)})) == []
    assert Verdict.broken(scene(), known(%{arrived: came}, %{ledgers: wrote(80, 20)})) == []
  end

  test "each kind of broken promise is told" do
    came = %{stdout: {:ok, %{{0, 0, 1} => 100}}}

    for {known, words} <- [
          {known(%{}, %{seen: :hung}), "hung"},
          {known(%{alive: [5]}), "these lived: [5]"},
          {known(%{}, %{alive: [5]}), "these live on: [5]"},
          {known(%{status: 4}), "status was 4"},
          {known(%{how: :killed}), "was told :killed"},
          {known(%{how: {:error, :relay, :vanished, ""}}), "was told"},
          {known(%{messages: 2}), "2 messages"},
          {known(%{}, %{left: ["a port"]}), "a port"},
          {known(%{arrived: came}, %{ledgers: wrote(101, 0)}), "100 bytes have come, of 101"},
          {known(%{arrived: came}, %{ledgers: wrote(90, 9)}), "100 bytes have come, of 90 to 99"},
          {known(%{arrived: %{stdout: {:error, "gap"}}}), "gap"},
          {known(%{}, %{ledgers: wrote(0, 0) ++ wrote(0, 0)}), "started 2 times"}
        ] do
      assert Enum.any?(Verdict.broken(scene(), known), &(&1 =~ words)), words
    end
  end

  test "what the documents except is excused, and nothing beside it" do
    killed = fn whom -> [{{{:start, 1}, whom, {:signal, 9}}, "done"}] end
    vanished = %{how: {:error, :relay, :vanished, ""}, status: nil, arrived: nil}
    assert Verdict.broken(scene(), known(vanished, %{outside: killed.(:relay)})) == []
    assert Verdict.broken(scene(), known(vanished, %{outside: killed.(:both), alive: [5]})) == []
    assert [_lives] = Verdict.broken(scene(), known(vanished, %{outside: killed.(:relay), alive: [5]}))
    assert [_told] = Verdict.broken(scene(), known(vanished, %{outside: killed.(:keeper)}))

    met = %{ledgers: [%{hd(wrote(0, 0)) | overlap: 5}]}
    server_killed = Map.put(vanished, :did, [{:kill_server, [true]}])
    assert Verdict.broken(scene(), known(server_killed, met)) == []
    assert ["process 5 met its successor"] = Verdict.broken(scene(), known(%{}, met))

    hung_up = known(%{status: 137}, %{outside: [{{{:start, 1}, :relay, {:stop, 700}}, "died"}]})
    assert Verdict.broken(%{scene() | kind: :shell}, hung_up) == []
    assert [_status] = Verdict.broken(scene(), hung_up)

    # A stop continues what has stopped itself, also one that is deaf to it and then ends by itself.
    deaf = %{scene() | tree: {0, [:deaf, :stop, {:exit, 4}]}}
    ended = fn outside -> known(%{status: 4}, %{outside: outside}) end
    assert Verdict.broken(deaf, ended.([{{{:start, 1}, :relay, {:signal, 15}}, "done"}])) == []
    assert [_status] = Verdict.broken(deaf, ended.([]))
  end
end
