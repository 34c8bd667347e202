# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.OptionsTableTest do
  # Each option, seen by the program from all that start programs and from a shell, and refused by its name when its value is
  # wrong. Those of cgroups, which take some, are seen in cgroup_test.exs; what the options do in all their cases is in the tests
  # of what they are about.
  use ExUnit.Case, async: true

  alias MuonTrap.Test.{OptionRows, OS, Programs, Starters}

  @moduletag :tmp_dir

  setup do
    Programs.marked()
  end

  # Of each of its options, by itself: the message for an unknown one lists them.
  defp options(by) do
    %{^by => message} = Starters.refused([no_such_option: 1], [by])
    [_before, list] = String.split(message, "the options are ")
    for [name] <- Regex.scan(~r/:(\w+)/, list, capture: :all_but_first), do: String.to_existing_atom(name)
  end

  test "is seen by the program, whoever starts it", %{tmp_dir: dir} do
    OptionRows.assert_seen(OptionRows.attributes() ++ OptionRows.others(dir))
  end

  test "is seen by the program that is stopped, whoever started it", %{tmp_dir: dir} do
    OptionRows.assert_seen_when_stopped(OptionRows.stops(Path.expand(Path.join(dir, "told"))))
  end

  test "stands in this table", %{tmp_dir: dir} do
    rows =
      OptionRows.attributes() ++
        OptionRows.others(dir) ++
        OptionRows.stops("file") ++ OptionRows.cgroups("base", "path") ++ OptionRows.settings("base")

    seen = for row <- rows, {name, _value} <- row.opts, uniq: true, do: name
    # What takes root has its rows where there is root, and what Linux alone has where the helper is for it.
    elsewhere =
      if(OS.root?(), do: [], else: [:uid, :gid, :groups]) ++
        if(OS.linux_helper?(), do: [], else: [:cpus, :oom_score_adj, :no_new_privs])

    common = Starters.all() |> Enum.map(&MapSet.new(options(&1))) |> Enum.reduce(&MapSet.intersection/2)
    assert MapSet.size(common) > 30
    assert MapSet.to_list(common) -- (seen ++ elsewhere) == []
  end

  test "stands in the guides" do
    guides = File.read!("docs/options.md") <> File.read!("docs/daemon.md")
    for by <- Starters.all(), name <- options(by), do: assert(guides =~ "`#{inspect(name)}`", inspect(name))
  end

  defp wrong(),
    do: [
      cd: ["", 5, "a\0b", nil],
      env: [5, [{"A=B", "x"}], [{"A", 1}], [{"", "x"}], ["A"], [{"A", "a\0b"}]],
      arg0: [5, "a\0b", nil],
      parallelism: [nil, 1, "true"],
      stdio_window: [0, -1, "1", 1.0, 0x80000000],
      delay_to_sigkill: [-1, 1.5, "1", :infinity],
      stop_signal: [:sigkill, :sigstop, "INT", :sigbogus, 0],
      stop_sequence: [[], [sigkill: 1], [sigint: -1], [:sigint], 5, List.duplicate({:sigint, 1}, 9)],
      stop_command: [[], "true", [""], [true], ["a\0b"]],
      lock: ["", 5, "a\0b"],
      lock_timeout: [-1, "1", nil],
      uid: [0, -1, "", :nobody, 0xFFFFFFFF],
      gid: [0, -1, "", :nogroup, 0xFFFFFFFF],
      groups: [5, [0], ["a,b"], [:staff], [1 | 2]],
      cgroup_base: ["", "/x", "x/", "a/../b", "a//b", 5],
      cgroup_path: ["", "auto", "/x", "a/./b", 5],
      cgroup: [5, %{no_such: 1}, %{memory_max: -1}, %{cpu_max: 5}],
      cgroup_controllers: ["memory", [1], [""]],
      cgroup_sets: [5, [{"memory", "memory.max"}], [{"memory", "a/b", 1}], [{"", "memory.max", 1}]],
      stdin: [:inherit, {:file, ""}, 5],
      stdout: [:inherit, :stdout, {:file, ""}, {:file, "x", [:apend]}, {:file, "x", [mode: 0o10000]}],
      stderr: [:bogus, {:file, "a\0b"}, nil],
      stderr_to_stdout: [nil, 1],
      capture_stderr_only: [nil, 1],
      pty: [5, [rows: 0], [bogus: 1], [echo: 2]],
      rlimits: [5, [bogus: 1], [nofile: -1], [nofile: {2, 1}]],
      nice: [20, -21, "1"],
      umask: [0o1000, "022"],
      cpus: [[], 0, [8192]],
      oom_score_adj: [1001, -1001],
      no_new_privs: [1, nil],
      clear_env: [1, nil],
      input: [5, :text, fn -> "text" end],
      into: [5, :text],
      lines: [0, "1"],
      timeout: [0, -1, "1"],
      use_stdio: [false, 1],
      hide: [1, nil],
      exit: [:stop, true],
      active: [0, -1, :twice],
      owner: [:me, nil],
      when_done: [:go, true],
      name: [5, "name", {:via, 5, :x}],
      logger_fun: [5, fn -> :ok end, {"IO", :puts}],
      log_output: [:loud, true, [stdin: :info], []],
      log_prefix: [5, nil],
      log_transform: [5, fn -> :ok end],
      logger_metadata: [5, [1]],
      max_line_length: [0, :infinity],
      exit_status_to_reason: [5, fn -> :ok end],
      wait_for: [5, fn _arg -> :ok end],
      hibernate_after: [-1, nil]
    ]

  test "is refused by its name where it makes no sense" do
    for by <- Starters.all(), name <- options(by) do
      assert [_ | _] = values = wrong()[name], "there is no wrong value for #{inspect(name)} in this table"

      for value <- values, {^by, message} <- Starters.refused([{name, value}], [by]) do
        assert String.starts_with?(message, "invalid option #{inspect(name)} for #{Starters.where(by)}: expected "),
               "#{inspect(value)}: #{message}"
      end
    end
  end

  test "is told of by its name where the system has no such thing", %{tmp_dir: dir} do
    for {opts, stage} <- [
          {[cd: "/no/such/directory"], :cd},
          {[uid: "no-such-user"], :uid},
          {[gid: "no-such-group"], :gid},
          {[groups: ["no-such-group"]], :groups},
          {[stdin: {:file, "/no/such/file"}], :stdin},
          {[stdout: {:file, "/no/such/file"}], :stdout},
          {[stderr: {:file, "/no/such/file"}], :stderr},
          {[lock: "/no/such/file"], :lock}
        ],
        {by, error} <- Starters.failed("true", [], opts) do
      assert error.stage == stage, "#{inspect(opts)} by #{by}: #{inspect(error)}"
      assert error.message =~ "no-such" or error.message =~ "/no/such"
    end

    unless OS.root?() do
      for opts <- [[uid: 12_345, gid: 12_346], [gid: 12_345], [groups: [12_345]]],
          {by, error} <- Starters.failed("true", [], opts) do
        assert {by, error.reason} == {by, :eperm}
        assert error.stage in [:groups, :gid, :uid]
      end
    end

    lock = Path.join(dir, "lock")
    {:ok, holder} = MuonTrap.Program.start_link("sleep", ["1000"], lock: lock)

    for {by, error} <- Starters.failed("true", [], lock: lock, lock_timeout: 0) do
      assert {by, error.stage} == {by, :lock}
    end

    MuonTrap.Program.stop(holder)
  end
end
