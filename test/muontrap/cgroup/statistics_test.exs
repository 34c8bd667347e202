# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Cgroup.StatisticsTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Cgroup.Statistics

  test "a number is one" do
    assert Statistics.parse(:number, "9223372036854775807") == {:ok, 9_223_372_036_854_775_807}
    assert Statistics.parse(:number, "max") == :error
    assert Statistics.parse(:number, "") == :error
  end

  test "lines of keys and numbers are a map" do
    assert Statistics.parse(:flat, "low 0\nhigh 12\nmax 3\noom 1\noom_kill 1\noom_group_kill 0") ==
             {:ok, %{"low" => 0, "high" => 12, "max" => 3, "oom" => 1, "oom_kill" => 1, "oom_group_kill" => 0}}

    assert Statistics.parse(:flat, "") == {:ok, %{}}
    assert Statistics.parse(:flat, "usage_usec 5\nodd one out\nnew max") == {:ok, %{"usage_usec" => 5}}
  end

  test "pressure is a map of maps" do
    assert Statistics.parse(:pressure, """
           some avg10=0.00 avg60=1.25 avg300=100.00 total=123456
           full avg10=0.00 avg60=0.00 avg300=0.03 total=7\
           """) ==
             {:ok,
              %{
                "some" => %{"avg10" => 0.0, "avg60" => 1.25, "avg300" => 100.0, "total" => 123_456},
                "full" => %{"avg10" => 0.0, "avg60" => 0.0, "avg300" => 0.03, "total" => 7}
              }}
  end
end
