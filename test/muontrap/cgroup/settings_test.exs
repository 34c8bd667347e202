# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Cgroup.SettingsTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Cgroup.Settings

  # Each key with a value, the file and what is to be in it.
  @every [
    {:cpu_weight, 250, "cpu.weight", "250"},
    {:cpu_max, {50_000, 100_000}, "cpu.max", "50000 100000"},
    {:cpu_idle, false, "cpu.idle", "0"},
    {:memory_min, 4096, "memory.min", "4096"},
    {:memory_low, 0, "memory.low", "0"},
    {:memory_high, :max, "memory.high", "max"},
    {:memory_max, 268_435_456, "memory.max", "268435456"},
    {:memory_swap_max, 0, "memory.swap.max", "0"},
    {:memory_oom_group, true, "memory.oom.group", "1"},
    {:pids_max, 50, "pids.max", "50"},
    {:io_weight, 10_000, "io.weight", "10000"},
    {:cpuset_cpus, "0-3,5", "cpuset.cpus", "0-3,5"},
    {:cpuset_mems, "0", "cpuset.mems", "0"}
  ]

  @kinds %{
    cpu_weight: :weight,
    cpu_max: :bandwidth,
    cpu_idle: :boolean,
    memory_min: :bytes,
    memory_low: :bytes,
    memory_high: :bytes,
    memory_max: :bytes,
    memory_swap_max: :bytes,
    memory_oom_group: :boolean,
    pids_max: :count,
    io_weight: :weight,
    cpuset_cpus: :ranges,
    cpuset_mems: :ranges
  }

  defp all(), do: Map.new(@every, fn {key, value, _file, _text} -> {key, value} end)

  test "every key is taken, and written to its file" do
    assert Settings.check(all()) == :ok
    assert Enum.sort(Settings.render(all())) == Enum.sort(for {_key, _value, file, text} <- @every, do: {file, text})
  end

  test "what is written is read as it was" do
    for {key, value, _file, text} <- @every, do: assert(Settings.parse(@kinds[key], text) == {:ok, value})
    for key <- [:cpu_max, :memory_max, :pids_max], do: assert(Settings.check(%{key => :max}) == :ok)
    assert Settings.render(%{cpu_max: :max, pids_max: :max}) == [{"cpu.max", "max"}, {"pids.max", "max"}]
  end

  test "what the kernel tells of a cgroup that nobody has limited is read" do
    assert Settings.parse(:bandwidth, "max 100000") == {:ok, :max}
    assert Settings.parse(:bytes, "max") == {:ok, :max}
    assert Settings.parse(:weight, "default 100") == {:ok, 100}
    assert Settings.parse(:weight, "default 100\n8:0 200") == {:ok, 100}
  end

  test "what can't be set is not read: an idle cgroup's weight, a set of CPUs that is the parent's, what is unknown" do
    assert Settings.parse(:weight, "0") == :error
    assert Settings.parse(:ranges, "") == :error

    for {kind, text} <- [
          weight: "",
          bandwidth: "1",
          bandwidth: "a b",
          boolean: "2",
          bytes: "-1",
          bytes: "1K",
          count: ""
        ] do
      assert Settings.parse(kind, text) == :error
    end
  end

  test "an idle cgroup gets its weight before it becomes idle" do
    assert [{"cpu.weight", "50"}, {"cpu.idle", "1"}] = Settings.render(%{cpu_idle: true, cpu_weight: 50})
  end

  test "the controllers are those of the files" do
    assert Settings.controllers(%{}) == []
    assert Settings.controllers(%{memory_max: 1, memory_oom_group: true, cpuset_cpus: "0"}) == ["memory", "cpuset"]
    assert Enum.sort(Settings.controllers(all())) == ["cpu", "cpuset", "io", "memory", "pids"]
  end

  test "a value of the wrong type is refused by its key" do
    for {key, value} <- [
          cpu_weight: 0,
          cpu_weight: 10_001,
          cpu_weight: "100",
          cpu_weight: 5.0,
          cpu_weight: :max,
          cpu_max: 50_000,
          cpu_max: {50_000},
          cpu_max: {0, 100_000},
          cpu_max: {50_000, -1},
          cpu_max: {:max, 100_000},
          cpu_max: "max",
          cpu_idle: 1,
          cpu_idle: nil,
          memory_min: -1,
          memory_low: 1.5,
          memory_high: "1G",
          memory_max: nil,
          memory_max: 0x8000000000000000,
          memory_swap_max: :none,
          memory_oom_group: 0,
          pids_max: "50",
          pids_max: -1,
          io_weight: 0,
          cpuset_cpus: "",
          cpuset_cpus: "a",
          cpuset_cpus: "0-",
          cpuset_cpus: "0\n1",
          cpuset_cpus: "0\n",
          cpuset_cpus: 0,
          cpuset_cpus: [0],
          cpuset_mems: ",0"
        ] do
      assert {:error, expected} = Settings.check(%{key => value})
      assert expected =~ inspect(key)
    end
  end

  test "a key that is unknown is refused, and the known ones are named" do
    for key <- [:memory_limit, "memory.max", "memory_max", nil] do
      assert {:error, expected} = Settings.check(%{key => 1})
      assert expected =~ inspect(key)
      assert expected =~ ":memory_max"
    end
  end

  test "what is no map is refused" do
    for value <- [nil, [], [memory_max: 1], "memory.max=1", 1..2], do: assert({:error, _} = Settings.check(value))
  end
end
