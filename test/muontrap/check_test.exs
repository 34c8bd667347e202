# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.CheckTest do
  use ExUnit.Case, async: true

  test "the helper's lines become points, with the commands that mend what is missing" do
    assert MuonTrap.Check.parse("""
           ok: cgroup2 is mounted at /sys/fs/cgroup
           missing: the controller memory is not enabled in mycgroup
               echo +memory | sudo tee /sys/fs/cgroup/cgroup.subtree_control
               echo +memory | sudo tee /sys/fs/cgroup/mycgroup/cgroup.subtree_control
           missing: something that no command mends
           """) == [
             %{ok?: true, text: "cgroup2 is mounted at /sys/fs/cgroup", remedy: []},
             %{
               ok?: false,
               text: "the controller memory is not enabled in mycgroup",
               remedy: [
                 "echo +memory | sudo tee /sys/fs/cgroup/cgroup.subtree_control",
                 "echo +memory | sudo tee /sys/fs/cgroup/mycgroup/cgroup.subtree_control"
               ]
             },
             %{ok?: false, text: "something that no command mends", remedy: []}
           ]

    assert MuonTrap.Check.parse("") == []
  end

  test "options that are not about cgroups are refused by name" do
    for option <- [cd: "/", timeout: 5, name: Me, unknown: 1] do
      error = assert_raise ArgumentError, fn -> MuonTrap.check([option]) end
      assert error.message =~ inspect(elem(option, 0))
      assert error.message =~ "MuonTrap.check/1"
    end

    assert_raise ArgumentError, fn -> MuonTrap.check(:cgroup_base) end
  end
end
