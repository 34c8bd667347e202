# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.OptionRows do
  @moduledoc false
  # The options that all have who start programs. Each row has some of them as a call is given them, the same as the helper is
  # given it in a shell (:none where it has nothing of the kind), a script that shows what the program has of it, and what the
  # script then writes: text, or a regular expression.

  import ExUnit.Assertions

  alias MuonTrap.Test.{Cgroups, OS, Starters}

  defstruct [:opts, :shell, :script, :says, leaves: nil]

  defp row(opts, shell, script, says), do: %__MODULE__{opts: opts, shell: shell, script: script, says: says}

  # The script's output goes to a file.
  defp leaves(row, path, content), do: %{row | leaves: {path, content}}

  @doc "The program sees the options of each row, whoever starts it"
  def assert_seen(rows),
    do: assert_seen(rows, fn by, row, opts -> Starters.output(by, "sh", ["-c", row.script], opts) end)

  @doc "The same of rows whose program is to be stopped, and gets the path of the file that it leaves"
  def assert_seen_when_stopped(rows) do
    assert_seen(rows, fn by, %{leaves: {path, _content}} = row, opts ->
      Starters.stopped(by, "sh", ["-c", row.script, path], opts)
    end)
  end

  defp assert_seen(rows, run) do
    for row <- rows, by <- Starters.all() ++ [:shell], by != :shell or row.shell != :none do
      with {path, _content} <- row.leaves, do: File.rm(path)
      opts = if by == :shell, do: row.shell, else: row.opts
      output = run.(by, row, opts)
      assert says?(row, output), "#{inspect(opts)} by #{by}: #{inspect(output)}"
    end
  end

  @doc "Whether that is what the row's program writes"
  def says?(row, output) do
    matches?(output, row.says) and
      case row.leaves do
        {path, content} -> File.read!(path) == content
        nil -> true
      end
  end

  defp matches?(output, %Regex{} = expected), do: output =~ expected
  # A terminal ends lines with two characters, of which a daemon's log has one.
  defp matches?(output, expected), do: String.replace(output, "\r", "") == expected

  @doc "What a program inherits"
  def attributes(), do: everywhere() ++ if(OS.linux_helper?(), do: on_linux(), else: [])

  defp everywhere() do
    nice = nice()

    [
      row([rlimits: [nofile: 100]], ~w(--rlimit nofile=100), "ulimit -Sn; ulimit -Hn", "100\n100\n"),
      row([rlimits: [nofile: {100, 200}]], ~w(--rlimit nofile=100:200), "ulimit -Sn; ulimit -Hn", "100\n200\n"),
      row(
        [rlimits: [core: 0, cpu: {10, :infinity}]],
        ~w(--rlimit core=0 --rlimit cpu=10:infinity),
        "ulimit -Sc; ulimit -St; ulimit -Ht",
        "0\n10\nunlimited\n"
      ),
      row([rlimits: [fsize: 512]], ~w(--rlimit fsize=512), "ulimit -f", "1\n"),
      row(
        [rlimits: [data: 1_073_741_824, stack: 1_048_576]],
        ~w(--rlimit data=1073741824 --rlimit stack=1048576),
        "ulimit -d; ulimit -s",
        "1048576\n1024\n"
      ),
      row([rlimits: [as: 1_073_741_824]], ~w(--rlimit as=1073741824), "ulimit -v", "1048576\n"),
      row([nice: nice], ["--nice", "#{nice}"], "nice", "#{nice}\n"),
      row([umask: 0o027], ~w(--umask 027), "umask", "0027\n"),
      row([umask: 0], ~w(--umask 0), "umask", "0000\n"),
      row(
        [clear_env: true, env: [{"ONE", "1"}, {"NONE", ""}, {"GONE", nil}]],
        ~w(--clear-env --setenv ONE=1 --setenv NONE= --unsetenv GONE),
        "exec env -u PWD -u OLDPWD -u _ | sort",
        "NONE=\nONE=1\n"
      ),
      row([clear_env: false, env: [{"ONE", "1"}]], ~w(--setenv ONE=1), "echo $ONE ${PATH:+path}", "1 path\n")
    ]
  end

  defp on_linux() do
    cpu = cpu()

    [
      row(
        [rlimits: [memlock: 4096, nproc: 10_000, sigpending: 5]],
        ~w(--rlimit memlock=4096 --rlimit nproc=10000 --rlimit sigpending=5),
        "ulimit -l; cat /proc/self/limits",
        ~r/^4\n.*Max processes\s+10000\s+10000 .*Max pending signals\s+5\s+5 /s
      ),
      row(
        [rlimits: [msgqueue: 1, nice: 0, rtprio: 0, rttime: {3, 4}, rss: 5, locks: 6]],
        ~w(--rlimit msgqueue=1 --rlimit nice=0 --rlimit rtprio=0 --rlimit rttime=3:4 --rlimit rss=5 --rlimit locks=6),
        "cat /proc/self/limits",
        ~r/Max resident set\s+5 .*Max file locks\s+6 .*Max msgqueue size\s+1 .*Max nice priority\s+0 .*Max realtime priority\s+0 .*Max realtime timeout\s+3\s+4 /s
      ),
      row(
        [cpus: [cpu]],
        ["--cpus", "#{cpu}"],
        "grep Cpus_allowed_list /proc/self/status",
        "Cpus_allowed_list:\t#{cpu}\n"
      ),
      row([oom_score_adj: 1000], ~w(--oom-score-adj 1000), "cat /proc/self/oom_score_adj", "1000\n"),
      row([no_new_privs: true], ~w(--no-new-privs), "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n")
    ]
  end

  @doc "A nice value that anybody may have who runs the tests, above theirs if there is one"
  def nice() do
    {own, 0} = System.cmd("nice", [])
    min(String.to_integer(String.trim(own)) + 3, 19)
  end

  @doc "A processor that the tests may use"
  def cpu() do
    [_all, first] = Regex.run(~r/^Cpus_allowed_list:\s+(\d+)/m, File.read!("/proc/self/status"))
    String.to_integer(first)
  end

  @doc "Where the program is, its streams, and whose it is; what it makes is in that directory, which is empty"
  def others(dir) do
    file = Path.expand(Path.join(dir, "file"))
    lock = Path.expand(Path.join(dir, "lock"))
    input = Path.expand(Path.join(dir, "input"))
    File.write!(input, "what is in the file\n")

    [
      row([cd: "/usr"], ~w(--cd /usr), "pwd", "/usr\n"),
      row([arg0: "its name"], ["--arg0", "its name"], "echo $0", "its name\n"),
      row([env: [{"ONE", "1"}, {"PATH", nil}]], ~w(--setenv ONE=1 --unsetenv PATH), "echo $ONE", "1\n"),
      row([parallelism: true], :none, "echo there", "there\n"),
      row([stdio_window: 1], :none, "echo there", "there\n"),
      # Another one can't have it.
      row([lock: lock], ["--lock", lock], "flock -n #{lock} true || echo held", "held\n"),
      row(
        [lock: lock, lock_timeout: 60_000],
        ["--lock", lock, "--lock-timeout", "60000"],
        "flock -n #{lock} true || echo held",
        "held\n"
      ),
      row([stdin: :null], ~w(--stdin null), "cat; echo end", "end\n"),
      row([stdin: {:file, input}], ["--stdin", "file:" <> input], "cat", "what is in the file\n"),
      row([stdout: :null], ~w(--stdout null), "echo out", ""),
      leaves(row([stdout: {:file, file}], ["--stdout", "file:" <> file], "echo out", ""), file, "out\n"),
      leaves(
        row(
          [stdout: {:file, file, [:append, mode: 0o600]}],
          ["--stdout", "file,append,mode=600:" <> file],
          ">>#{file}; echo out; stat -c %a #{file}",
          ""
        ),
        file,
        "out\n600\n"
      ),
      row([stderr: :stdout], ~w(--stderr stdout), "echo err >&2", "err\n"),
      row([stderr: :null], ~w(--stderr null), "echo err >&2", ""),
      leaves(row([stderr: {:file, file}], ["--stderr", "file:" <> file], "echo err >&2", ""), file, "err\n"),
      row([stderr_to_stdout: true], ~w(--stderr stdout), "echo err >&2", "err\n"),
      row([capture_stderr_only: true], ~w(--stdout null), "echo out; echo err >&2", "err\n"),
      row([pty: [rows: 33, cols: 44, opost: false]], ~w(--pty=33x44 --pty-mode OPOST=0), "stty size", "33 44\n")
    ] ++ if(OS.root?(), do: identities(), else: [])
  end

  defp identities() do
    [
      row([uid: "nobody"], ~w(--uid nobody), "id -un; echo $USER", "nobody\nnobody\n"),
      row([gid: 12_345], ~w(--gid 12345), "id -g", "12345\n"),
      row([uid: 12_345, gid: 12_346], ~w(--uid 12345 --gid 12346), "id -u; id -G", "12345\n12346\n"),
      row([gid: 12_345, groups: [12_346, 12_347]], ~w(--gid 12345 --groups 12346,12347), "id -G", "12345 12346 12347\n")
    ]
  end

  @doc """
  How it is stopped: each with a script that has written what it was told to that file when it is dead, and "ready" before it
  waits for that
  """
  def stops(file) do
    [
      # Half a second is the default.
      stop(file, [delay_to_sigkill: 60_000], ~w(-k 60000), "trap 'sleep 1; echo done >>$0; exit' TERM", "done\n"),
      stop(
        file,
        [stop_signal: :sigusr1, delay_to_sigkill: 60_000],
        ~w(--stop-signal USR1 -k 60000),
        "trap 'echo usr1 >>$0; exit' USR1",
        "usr1\n"
      ),
      stop(
        file,
        [stop_sequence: [sigusr1: 300, sigusr2: 60_000]],
        ~w(--stop-signal USR1:300 --stop-signal USR2:60000),
        "trap 'echo usr1 >>$0' USR1; trap 'echo usr2 >>$0; exit' USR2",
        "usr1\nusr2\n"
      ),
      stop(
        file,
        [stop_command: ["sh", "-c", "echo command >>$0; kill -USR1 $CHILD_PID", file], delay_to_sigkill: 60_000],
        ["-k", "60000"] ++
          Enum.flat_map(["sh", "-c", "echo command >>$0; kill -USR1 $CHILD_PID", file], &["--stop-command", &1]),
        "trap 'echo usr1 >>$0; exit' USR1",
        "command\nusr1\n"
      )
    ]
  end

  defp stop(file, opts, shell, traps, content) do
    row = row(opts, shell, ": >$0; #{traps}; echo ready; while :; do sleep 0.05; done", ~r/^ready\n/)
    leaves(row, file, content)
  end

  @own "sed -n 's/^0:://p' /proc/self/cgroup"

  @doc "In which cgroup it runs; the second one is there"
  def cgroups(base, path) do
    [
      row([cgroup_base: base], ["--group", "#{base}/from-a-shell"], @own, ~r"\A/#{base}/[-0-9a-z]+\n\z"),
      row([cgroup_path: path], ["--group", path], @own, "/#{path}\n")
    ]
  end

  @doc "With which settings, which takes the controllers pids and memory"
  def settings(base) do
    read = fn file -> "cat #{Cgroups.mount()}$(#{@own})/#{file}" end
    group = ["--group", "#{base}/from-a-shell"]

    [
      row(
        [cgroup_base: base, cgroup: %{pids_max: 99}],
        group ++ ~w(--set pids.max=99),
        read.("pids.max"),
        "99\n"
      ),
      row(
        [cgroup_base: base, cgroup_controllers: ["pids", "memory"]],
        group ++ ~w(--controller pids --controller memory),
        read.("cgroup.controllers"),
        ~r/memory.*pids/
      ),
      row(
        [cgroup_base: base, cgroup_sets: [{"memory", "memory.limit_in_bytes", "268435456"}]],
        group ++ ~w(--controller memory --set memory.limit_in_bytes=268435456),
        read.("memory.max"),
        "268435456\n"
      )
    ]
  end
end
