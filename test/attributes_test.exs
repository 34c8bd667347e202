# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.AttributesTest do
  # What a program inherits: limits, nice value, umask, processors, and nothing of the VM's environment. On helpers that are new
  # and that have run a program before; that all see it who start programs is in options_table_test.exs.
  use ExUnit.Case, async: true

  alias MuonTrap.Attributes
  alias MuonTrap.Test.{OptionRows, OS, Programs, Starters}

  setup do
    Programs.marked()
  end

  test "is seen with a helper of its own, too", %{env: env} do
    lock = Path.join(System.tmp_dir!(), "attributes-#{System.unique_integer([:positive])}-#{System.pid()}")
    on_exit(fn -> File.rm!(lock) end)

    for row <- OptionRows.attributes() do
      {output, 0} = MuonTrap.cmd("sh", ["-c", row.script], [lock: lock] ++ row.opts)
      assert OptionRows.says?(row, output), "#{inspect(row.opts)}: #{inspect(output)}"
    end

    # So many variables are more than a launch may have.
    many = for n <- 1..300, do: {"V#{n}", "#{n}"}
    assert {output, 0} = MuonTrap.cmd("env", [], clear_env: true, env: many)

    assert output |> String.split("\n", trim: true) |> Enum.sort() ==
             Enum.sort(for {name, value} <- many, do: "#{name}=#{value}")

    assert MuonTrap.cmd("sh", ["-c", "echo $HOME"], env: env) == {System.get_env("HOME", "") <> "\n", 0}
  end

  # A VM whose environment has a name in latin1 while its files have theirs in UTF-8.
  test "leaves nothing of the VM's environment, whatever its bytes are" do
    code = ~S"""
    {:ok, _started} = Application.ensure_all_started(:muontrap)
    [_one, _another] = for {name, _value} <- System.get_env(), String.starts_with?(name, "ATTRIBUTE_"), do: name
    lock = Path.join(System.tmp_dir!(), "attributes-bytes-#{System.pid()}")

    for opts <- [[], [lock: lock]], opts = [env: [{"MINE", "\u00FC"}]] ++ opts do
      {output, 0} = MuonTrap.cmd("env", [], opts)
      true = :binary.match(output, <<"ATTRIBUTE_", 0xE9, "=latin1\n">>) != :nomatch
      {"MINE=\u00FC\n", 0} = MuonTrap.cmd("env", [], [clear_env: true] ++ opts)
    end

    File.rm!(lock)
    IO.write("nothing is left")
    """

    paths = for path <- :code.get_path(), arg <- ["-pa", List.to_string(path)], do: arg
    erlexec = Path.join(System.fetch_env!("BINDIR"), "erlexec")
    # A shell in between would drop the variables.
    variables = [<<"ATTRIBUTE_", 0xE9, "=latin1">>, "ATTRIBUTE_\u00E9\u00E9=UTF-8"]

    assert System.cmd(
             "env",
             variables ++
               [erlexec, "+fnu", "-noinput"] ++
               paths ++
               ["-s", "elixir", "start_cli", "-extra", "-e", code],
             stderr_to_stdout: true
           ) == {"nothing is left", 0}
  end

  test "is that of one program, and not of the next one that a helper runs" do
    for _round <- 1..3 do
      for row <- OptionRows.attributes() do
        {output, 0} = MuonTrap.cmd("sh", ["-c", row.script], row.opts)
        assert OptionRows.says?(row, output), "#{inspect(row.opts)}: #{inspect(output)}"
      end

      assert MuonTrap.cmd("sh", ["-c", "ulimit -n; nice; umask"]) == System.cmd("sh", ["-c", "ulimit -n; nice; umask"])
    end
  end

  @tag :tmp_dir
  test "counts for the files that its output goes to", %{tmp_dir: dir} do
    file = Path.join(dir, "file")
    assert MuonTrap.cmd("echo", ["hi"], stdout: {:file, file}, umask: 0o077) == {"", 0}
    assert Bitwise.band(File.stat!(file).mode, 0o777) == 0o600
  end

  test "reaches what the program starts" do
    nice = OptionRows.nice()

    assert MuonTrap.cmd("sh", ["-c", "sh -c 'ulimit -n; nice; umask' & wait"],
             rlimits: [nofile: 99],
             nice: nice,
             umask: 0o7
           ) == {"99\n#{nice}\n0007\n", 0}
  end

  test "lets a limit do what it is for" do
    # The signal of the soft limit, SIGXCPU, or of the hard one.
    assert {"", status} = MuonTrap.cmd("sh", ["-c", "while :; do :; done"], rlimits: [cpu: 1, core: 0])
    assert status in [128 + 24, 128 + 9]

    assert {_output, status} =
             MuonTrap.cmd("dd", ["if=/dev/zero", "of=/dev/null", "bs=512M", "count=1"],
               rlimits: [as: 268_435_456],
               stderr_to_stdout: true
             )

    assert status != 0
  end

  @tag :new_privileges
  test "keeps a program from becoming root by a file that is set-user-ID" do
    if OS.root?() and OS.linux_helper?() do
      opts = [uid: "nobody", stderr_to_stdout: true]
      script = "cp $(command -v id) $0 && chmod 4755 $0"
      dir = Path.join(setuid_directory(), "setuid-#{System.unique_integer([:positive])}-#{System.pid()}")
      File.mkdir!(dir)
      File.chmod!(dir, 0o755)
      on_exit(fn -> File.rm_rf!(dir) end)
      id = Path.join(dir, "id")
      {"", 0} = System.cmd("sh", ["-c", script, id])
      assert MuonTrap.cmd(id, ["-u"], opts) == {"0\n", 0}
      {uid, 0} = System.cmd("id", ["-u", "nobody"])
      assert MuonTrap.cmd(id, ["-u"], [no_new_privs: true] ++ opts) == {uid, 0}
    else
      # Nobody else can make such a file. What the kernel is told is seen above.
      assert true
    end
  end

  # Where the kernel heeds the bit, and others than root may execute something.
  defp setuid_directory() do
    candidates = [System.tmp_dir!(), "/var/tmp", "/srv", "/"]

    Enum.find(candidates, &heeds_modes?/1) ||
      flunk(
        "this test takes a directory whose file system is writable, and mounted neither nosuid nor noexec, and none of " <>
          "#{Enum.join(candidates, ", ")} is such: set TMPDIR to one"
      )
  end

  defp heeds_modes?(directory) do
    {options, status} = System.cmd("findmnt", ["--noheadings", "--output", "OPTIONS", "--target", directory])
    status == 0 and not (options =~ ~r/\b(nosuid|noexec|ro)\b/)
  end

  test "may be less than what is in force, but no more than may be" do
    limit = File.read!("/proc/sys/fs/nr_open") |> String.trim() |> String.to_integer()

    for {_by, error} <- Starters.failed("true", [], rlimits: [core: 0, nofile: limit + 1]) do
      assert {error.stage, error.reason} == {:rlimit, :eperm}
      assert error.message =~ "cannot set the limit nofile=#{limit + 1}: Operation not permitted ("
      assert error.message =~ ~r/\(\d+:\d+ descriptors are in force; more takes root or CAP_SYS_RESOURCE/
    end

    if OS.linux_helper?() do
      for {_by, error} <- Starters.failed("true", [], cpus: [0, 8191]) do
        assert {error.stage, error.reason} == {:cpus, :einval}
        assert error.message =~ "cannot run it on the processors 0,8191: not all of them may be used"
      end
    else
      for {opts, stage} <- [
            {[cpus: [0]], :cpus},
            {[oom_score_adj: 1], :oom_score_adj},
            {[no_new_privs: true], :no_new_privs}
          ],
          {_by, error} <- Starters.failed("true", [], opts) do
        assert {error.stage, error.reason} == {stage, :enosys}
        assert error.message =~ "can't be had: this system has nothing of the kind"
      end
    end
  end

  test "is refused by name where it makes no sense" do
    for {opts, words} <- [
          {[rlimits: 5], "a keyword list of limits such as [nofile: 1024, cpu: {10, 12}, core: 0], got: 5"},
          {[rlimits: [{"nofile", 5}]], "a keyword list of limits"},
          {[rlimits: [files: 5]], "limits that there are (:as, :core, :cpu, :data,"},
          {[rlimits: [files: 5]], "and not :files, got: [files: 5]"},
          {[rlimits: [core: 0, nofile: -1]], "not above the hard one, as the limit :nofile"},
          {[rlimits: [nofile: "5"]], "as the limit :nofile"},
          {[rlimits: [nofile: {2, 1}]], "the soft one not above the hard one, as the limit :nofile"},
          {[rlimits: [nofile: {:infinity, 1}]], "as the limit :nofile"},
          {[rlimits: [nofile: {1, 2, 3}]], "as the limit :nofile"},
          {[rlimits: [nofile: 0xFFFFFFFFFFFFFFFF]], "a number from 0 to 18446744073709551614, :infinity"},
          {[nice: 20], "a whole number from -20 to 19, got: 20"},
          {[nice: 1.0], "a whole number from -20 to 19, got: 1.0"},
          {[umask: 0o1000], "permissions from 0 to 0o777, such as 0o027, got: 512"},
          {[umask: "022"], "permissions from 0 to 0o777"},
          {[cpus: []], "a list of numbers of processors from 0 to 8191, such as [0, 1], got: []"},
          {[cpus: 0], "a list of numbers of processors"},
          {[cpus: [0 | 1]], "a list of numbers of processors"},
          {[cpus: [8192]], "a list of numbers of processors from 0 to 8191"},
          {[oom_score_adj: 1001], "a whole number from -1000 to 1000, got: 1001"},
          {[no_new_privs: 1], "true or false, got: 1"},
          {[clear_env: nil], "true or false, got: nil"}
        ],
        {by, message} <- Starters.refused(opts) do
      [{option, _value} | _] = opts
      assert message =~ "invalid option #{inspect(option)} for #{Starters.where(by)}: expected "
      assert message =~ words
    end

    assert :rlimits in Attributes.names()
  end
end
