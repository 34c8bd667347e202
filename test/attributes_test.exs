# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.AttributesTest do
  # What a program inherits: limits, nice value, umask, processors, and nothing of the VM's environment. By all that start
  # programs, by the command in a shell, and on helpers that are new and that have run a program before.
  use ExUnit.Case, async: true

  alias MuonTrap.{Attributes, CommandLine}
  alias MuonTrap.Test.{OS, Programs, Starters}

  setup do
    Programs.marked()
  end

  # Each option, what the program is to say of it, and what it is told to say.
  @seen [
    {[rlimits: [nofile: 100]], "ulimit -Sn; ulimit -Hn", "100\n100\n"},
    {[rlimits: [nofile: {100, 200}]], "ulimit -Sn; ulimit -Hn", "100\n200\n"},
    {[rlimits: [core: 0, cpu: {10, :infinity}]], "ulimit -Sc; ulimit -St; ulimit -Ht", "0\n10\nunlimited\n"},
    {[rlimits: [fsize: 512]], "ulimit -f", "1\n"},
    {[rlimits: [data: 1_073_741_824, stack: 1_048_576]], "ulimit -d; ulimit -s", "1048576\n1024\n"},
    {[rlimits: [as: 1_073_741_824]], "ulimit -v", "1048576\n"},
    {[nice: 7], "nice", "7\n"},
    {[umask: 0o027], "umask", "0027\n"},
    {[umask: 0], "umask", "0000\n"},
    {[clear_env: true, env: [{"ONE", "1"}, {"NONE", ""}, {"GONE", nil}]], "exec env -u PWD -u OLDPWD -u _ | sort",
     "NONE=\nONE=1\n"},
    {[clear_env: false, env: [{"ONE", "1"}]], "echo $ONE ${PATH:+path}", "1 path\n"}
  ]

  @seen_on_linux [
    {[rlimits: [memlock: 4096, nproc: 10_000, sigpending: 5]], "ulimit -l; cat /proc/self/limits",
     ~r/^4\n.*Max processes\s+10000\s+10000 .*Max pending signals\s+5\s+5 /s},
    {[rlimits: [msgqueue: 1, nice: 0, rtprio: 0, rttime: {3, 4}, rss: 5, locks: 6]], "cat /proc/self/limits",
     ~r/Max resident set\s+5 .*Max file locks\s+6 .*Max msgqueue size\s+1 .*Max nice priority\s+0 .*Max realtime priority\s+0 .*Max realtime timeout\s+3\s+4 /s},
    {[cpus: [0]], "nproc", "1\n"},
    {[oom_score_adj: 1000], "cat /proc/self/oom_score_adj", "1000\n"},
    {[no_new_privs: true], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"}
  ]

  defp seen(), do: if(OS.linux_helper?(), do: @seen ++ @seen_on_linux, else: @seen)

  defp says(output, %Regex{} = expected), do: output =~ expected
  defp says(output, expected), do: output == expected

  test "is seen by the program, whoever starts it" do
    for {opts, script, expected} <- seen(), {by, output} <- Starters.outputs("sh", ["-c", script], opts) do
      assert says(output, expected), "#{inspect(opts)} by #{by}: #{inspect(output)}"
    end
  end

  test "is seen with a helper of its own, too", %{env: env} do
    lock = Path.join(System.tmp_dir!(), "attributes-#{System.unique_integer([:positive])}-#{System.pid()}")
    on_exit(fn -> File.rm!(lock) end)

    for {opts, script, expected} <- seen() do
      {output, 0} = MuonTrap.cmd("sh", ["-c", script], [lock: lock] ++ opts)
      assert says(output, expected), "#{inspect(opts)}: #{inspect(output)}"
    end

    # So many variables are more than a launch may have.
    many = for n <- 1..300, do: {"V#{n}", "#{n}"}
    assert {output, 0} = MuonTrap.cmd("env", [], clear_env: true, env: many)

    assert output |> String.split("\n", trim: true) |> Enum.sort() ==
             Enum.sort(for {name, value} <- many, do: "#{name}=#{value}")

    assert MuonTrap.cmd("sh", ["-c", "echo $HOME"], env: env) == {System.get_env("HOME", "") <> "\n", 0}
  end

  test "is seen by a program that is started from a shell" do
    for {opts, script, expected} <- seen() do
      arguments = CommandLine.launch(Map.merge(%{cmd: "sh", args: ["-c", script]}, Map.new(opts, &normal/1)))
      {output, 0} = System.cmd(MuonTrap.muontrap_path(), arguments)
      assert says(output, expected), "#{inspect(arguments)}: #{inspect(output)}"
    end
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

  defp normal({:env, env}), do: {:env, Map.new(env)}
  defp normal(option), do: option

  test "is that of one program, and not of the next one that a helper runs" do
    for _round <- 1..3 do
      for {opts, script, expected} <- seen(),
          do: assert(says(elem(MuonTrap.cmd("sh", ["-c", script], opts), 0), expected))

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
    assert MuonTrap.cmd("sh", ["-c", "sh -c 'ulimit -n; nice; umask' & wait"],
             rlimits: [nofile: 99],
             nice: 4,
             umask: 0o7
           ) ==
             {"99\n4\n0007\n", 0}
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
      dir = Path.join(System.tmp_dir!(), "setuid-#{System.unique_integer([:positive])}-#{System.pid()}")
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
