# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.CgroupOptionsTest do
  # The cgroup options and the names of cgroups, without any cgroup.
  use ExUnit.Case, async: false

  alias MuonTrap.{Cgroup, Daemon, Error, Options}

  @bad_paths [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "../x",
    "a/../b",
    "a/../../b",
    "a/./b",
    "a/..",
    "a\0b",
    :a,
    nil,
    5,
    ~c"a"
  ]

  defp refused(opts) do
    error = assert_raise ArgumentError, fn -> MuonTrap.cmd("true", [], opts) end
    assert {:error, {%ArgumentError{}, _stack}} = Daemon.start_link("true", [], opts)
    assert_raise ArgumentError, fn -> MuonTrap.check(opts) end
    error.message
  end

  setup do
    Process.flag(:trap_exit, true)
    :ok
  end

  test "a path that is none, or leads out of the mount, is refused by name" do
    for name <- [:cgroup_base, :cgroup_path], path <- @bad_paths do
      message = refused([{name, path}])
      assert message =~ inspect(name)
      assert message =~ inspect(path)
    end

    assert refused(cgroup_path: :auto) =~ ":cgroup_path"
    assert refused(cgroup_path: "auto") =~ ~s(another path than "auto")
  end

  test "values of the wrong type are refused by name" do
    for {name, value} <- [
          cgroup: [memory_max: 1],
          cgroup: %{memory_limit: 1},
          cgroup: %{memory_max: "1"},
          cgroup_controllers: "memory",
          cgroup_controllers: [:memory],
          cgroup_controllers: [""],
          cgroup_controllers: ["a\0b"],
          cgroup_controllers: ["memory" | "cpu"],
          cgroup_sets: %{"memory.max" => 1},
          cgroup_sets: ["memory.max=1"],
          cgroup_sets: [{"memory.max", "1"}],
          cgroup_sets: [{"memory", "memory.max", 1.0}],
          cgroup_sets: [{"memory", "memory.max", "a\0b"}],
          cgroup_sets: [{"memory", "memory.max", :max}],
          cgroup_sets: [{:memory, "memory.max", 1}],
          cgroup_sets: [{"memory", :memory_max, 1}],
          cgroup_sets: [{"memory", "../../y", 1}],
          cgroup_sets: [{"memory", "..", 1}],
          cgroup_sets: [{"memory", "memory/max", 1}],
          cgroup_sets: [{"memory", "memory.max=1\n", 1}],
          cgroup_sets: [{"memory", "memory.max\n", 1}],
          cgroup_sets: [{"memory", "", 1}]
        ] do
      message = refused([{name, value}, {:cgroup_base, "a"}])
      assert message =~ inspect(name), message
    end

    assert refused(cgroup_base: "a", cgroup: %{cpu_max: 5}) =~ ":cpu_max"
    assert refused(cgroup_base: "a", cgroup: %{nonsense: 5}) =~ ":nonsense"
  end

  test "a base and a path exclude each other" do
    message = refused(cgroup_base: "a", cgroup_path: "b")
    assert message =~ ":cgroup_base"
    assert message =~ ":cgroup_path"
  end

  test "settings and controllers need one of them" do
    for option <- [cgroup: %{pids_max: 5}, cgroup_controllers: ["cpu"], cgroup_sets: [{"cpu", "cpu.weight", 5}]] do
      message = refused([option])
      for name <- [elem(option, 0), :cgroup_base, :cgroup_path], do: assert(message =~ inspect(name))
    end
  end

  test "without any setting or controller nothing needs a cgroup" do
    assert MuonTrap.cmd("true", [], cgroup: %{}, cgroup_controllers: [], cgroup_sets: []) == {"", 0}
  end

  test "the examples of earlier versions' documents are taken" do
    for opts <- [
          [cgroup_controllers: ["memory"], cgroup_base: "mycgroup"],
          [cgroup_controllers: ["cpu"], cgroup_path: "mycgroup/test"],
          [
            cgroup_controllers: ["memory"],
            cgroup_base: "mycgroup",
            cgroup_sets: [{"memory", "memory.limit_in_bytes", "268435456"}]
          ],
          [
            cgroup_controllers: ["cpu"],
            cgroup_base: "mycgroup",
            cgroup_sets: [{"cpu", "cpu.cfs_period_us", "100000"}, {"cpu", "cpu.cfs_quota_us", 50000}]
          ]
        ] do
      for context <- [:cmd, :daemon] do
        options = Options.validate(context, "true", [], opts)
        for {name, value} <- opts, do: assert(options[name] == value)
      end
    end
  end

  test "below a base each program has a name of its own, of twelve hexadecimal digits" do
    paths =
      for _ <- 1..1_000 do
        assert {:ok, %{cgroup_path: path} = options} = Cgroup.choose(%{cgroup_base: "a/b", cd: "/"})
        assert options == %{cgroup_path: path, cd: "/"}
        path
      end

    for path <- paths, do: assert(path =~ ~r"\Aa/b/[0-9a-f]{12}\z")
    assert Enum.uniq(paths) == paths
  end

  test "the names don't follow from a seed of the process's random numbers" do
    :rand.seed(:exsss, {1, 2, 3})
    assert {:ok, one} = Cgroup.choose(%{cgroup_base: "a"})
    :rand.seed(:exsss, {1, 2, 3})
    assert {:ok, two} = Cgroup.choose(%{cgroup_base: "a"})
    assert one != two
  end

  test "a path is left as it is, and nothing is made of nothing" do
    assert Cgroup.choose(%{cgroup_path: "a"}) == {:ok, %{cgroup_path: "a"}}
    assert Cgroup.choose(%{}) == {:ok, %{}}
  end

  describe "cgroup_base: :auto" do
    setup do
      on_exit(fn -> Application.delete_env(:muontrap, :cgroup_base) end)
    end

    test "is what the application's environment names" do
      Application.put_env(:muontrap, :cgroup_base, "my/cgroup")
      assert {:ok, %{cgroup_path: "my/cgroup/" <> name}} = Cgroup.choose(%{cgroup_base: :auto})
      assert name =~ ~r/\A[0-9a-f]{12}\z/
    end

    test "is for the helper to find, when that names none" do
      assert {:ok, %{cgroup_path: :auto} = options} = Cgroup.choose(%{cgroup_base: :auto, cmd: "true", args: []})
      assert ["--port=" <> _version, "--group", "auto" | _rest] = MuonTrap.CommandLine.port_options(options)[:args]
    end

    test "says so when that names no cgroup" do
      for wrong <- ["../x", "", :auto, 5] do
        Application.put_env(:muontrap, :cgroup_base, wrong)
        error = assert_raise Error, fn -> MuonTrap.cmd("true", [], cgroup_base: :auto) end
        assert %{stage: :cgroup, reason: :einval} = error
        assert error.message =~ inspect(wrong)
        assert {:error, ^error} = Daemon.start_link("true", [], cgroup_base: :auto)
        assert {:error, [%{ok?: false, text: text}]} = MuonTrap.check(cgroup_base: :auto)
        assert text == error.message
      end
    end
  end

  test "files of a cgroup have names that stay in its directory" do
    for name <- ["memory.max", "cgroup.procs", "io.bfq.weight", "a_1"], do: assert(Cgroup.file_name?(name))

    for name <- ["", ".", "..", "../x", "a/b", "a..b", ".a", "a.", "A", "a b", "a\n", "a\0", "ä", nil, :a] do
      refute Cgroup.file_name?(name)
    end
  end
end
