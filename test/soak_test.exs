# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.SoakTest do
  # That `make soak` would find something: what is pure of it, without a soak.
  use ExUnit.Case, async: true

  alias MuonTrap.Soak.Flatness

  @quantities [
    vm_memory_kb: 50_000,
    vm_rss_kb: 110_000,
    descriptors: 330,
    os_processes: 480,
    helpers_pss_kb: 8_000,
    processes: 430,
    ports: 160,
    ets_tables: 28,
    atoms: 25_000,
    cgroups: 20
  ]

  defp samples(change \\ fn _n -> [] end),
    do: for(n <- 0..239, do: Map.merge(Map.new(@quantities), Map.new(change.(n))))

  test "a run in which nothing grows is flat" do
    assert Flatness.complaints(samples()) == []
  end

  test "a quantity that shrinks is flat" do
    assert Flatness.complaints(samples(&[ports: 400 - &1])) == []
  end

  test "of each quantity a growth by half is found, with its name and the figures" do
    for {name, number} <- @quantities, name not in [:ets_tables, :cgroups] do
      half = div(number, 2)
      assert [complaint] = Flatness.complaints(samples(&[{name, number + div(&1 * 3 * half, 239)}]))
      assert complaint =~ ~r/^#{name} has grown from \d+ to \d+ /
    end
  end

  test "a few tables or cgroups more are found" do
    assert [_complaint] = Flatness.complaints(samples(&[ets_tables: 28 + div(&1, 40)]))
    assert [_complaint] = Flatness.complaints(samples(&[cgroups: 20 + div(&1, 20)]))
  end

  test "what the first sixth adds is no growth" do
    assert Flatness.complaints(samples(&[vm_rss_kb: 50_000 + 2_000 * min(&1, 39)])) == []
  end

  test "what is high for a moment is no growth" do
    assert Flatness.complaints(samples(&[ports: if(&1 in 225..235, do: 1_000, else: 160)])) == []
  end

  test "a run of few samples is compared, too" do
    assert [_complaint] = Flatness.complaints(Enum.take_every(samples(&[ports: 160 + &1]), 8))
  end

  test "too few samples are no proof" do
    assert [complaint] = Flatness.complaints(Enum.take(samples(), 11))
    assert complaint =~ "only 11 samples"
    assert Flatness.table([]) == []
  end

  test "all quantities are in the table" do
    assert length(Flatness.table(samples())) == 1 + length(@quantities)
  end
end
