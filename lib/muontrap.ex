# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap do
  @moduledoc """
  Keep programs launched from Erlang and Elixir contained and well-behaved

  A program that is started through a plain port is expected to leave when its stdin closes. Most don't, and so they, and
  what they started, outlive the Elixir process that wanted them. MuonTrap starts programs through a small helper that
  kills everything that descends from the program when the program ends, when the Elixir process that started it does, and
  when the VM does, even by `kill -9`.

    * `cmd/3` runs a program and collects its output, like `System.cmd/3`
    * `stream!/3` runs a program and gives its output as a stream
    * `MuonTrap.Program` runs a program to talk to
    * `attach/2` makes one of a process that somebody else has started
    * `MuonTrap.Daemon` puts a long-running program into a supervision tree
    * `check/1` says whether programs can be run in cgroups on this machine, and what is to be done if they can't

  From Erlang:

      'Elixir.MuonTrap':cmd(<<"echo">>, [<<"hello">>]).
  """

  @doc """
  Run a program and return its output and exit status

  It works as `System.cmd/3` does: `command` is looked for in `PATH` unless it is an absolute path, no shell is involved,
  the program's standard input is empty, and the calling process waits for the end. Beyond that, when this function comes
  back, by returning or by raising, or when the calling process is killed, neither the program nor anything that descends
  from it is left running, and everything that they wrote has been collected.

  While it runs, messages of a port come to the calling process, as with `System.cmd/3`, and none is left when it comes back.
  A collectable that receives messages must leave alone those that it doesn't know.

  ## Options

    * `:input` - what the program reads from its standard input, and then its end: iodata, or an enumerable of iodata, which
      is enumerated by a process of its own, no faster than the program reads. What that raises ends the program, and is
      raised here. A program that ends, or closes its standard input, before it has read everything is no error; the process that
      enumerates is killed then. Without it the standard input is empty
    * `:into` - collects the output into that collectable, as the second argument of `Enum.into/2`. Defaults to `""`
    * `:cd` - the directory to run the program in
    * `:lines` - collects whole lines, without their newlines, instead of the bytes as they come. Its value is a number of
      bytes, which bounds a buffer of `System.cmd/3` and has no effect here
    * `:env` - an enumerable of `{name, value}` strings to set in the program's environment; a `nil` value unsets. Or a
      function without arguments that returns one, which keeps it out of what a supervisor logs of its children
    * `:arg0` - what the program sees as its own name instead of its path
    * `:stdin` - in place of `:input`: `{:file, path}`, a file that the program reads, or `:null`, as by default
    * `:stdout` - `{:file, path}`, a file that the program's output goes to instead of here, which is made, or emptied;
      `{:file, path, [:append, mode: 0o600]}` to write at its end, or to make it with these permissions, less the umask; or
      `:null`, to throw it away. Files are opened as the user that the VM runs as, and relative to where it is
    * `:stderr` - where stderr goes: `:inherit`, to where the VM's own goes, as by default; `:stdout`, to where stdout goes;
      `:tag`, to have it collected apart, so that `{:stdout, data}` and `{:stderr, data}` are collected; or `:null` or a file
      as of `:stdout`
    * `:stderr_to_stdout` - `true` is the same as `stderr: :stdout`
    * `:capture_stderr_only` - `true` to collect stderr and throw stdout away
    * `:pty` - `true` gives the program a terminal of its own in place of pipes, of 24 rows and 80 columns, which is its
      controlling terminal. What it writes there to stdout and stderr is one stream, in which a newline is `"\\r\\n"`. Or a list
      with the size and with modes by their names in RFC 4254, section 8, in lower case: `[rows: 50, cols: 132, echo: false, vintr:
      nil]`. A mode is `true` or `false`, a character a number, or `nil` for none. Without `:input` the end of the input has been typed
      there at once
    * `:parallelism` - `true` lets the VM schedule port tasks for more throughput (see `Port.open/2`)
    * `:use_stdio` - `true`, as by default. `false`, with which `System.cmd/3` gives the program the VM's own standard
      input and output, is refused, because helper and VM talk over these
    * `:hide` - is taken for the sake of `System.cmd/3`, and has no effect: it hides a window on Windows
    * `:timeout` - milliseconds after which the program is stopped, counted from when it began to be started; then
      `{output, :timeout}` is returned, with the output up to its end. A program whose end is known by then has its
      status returned. Defaults to `:infinity`
    * `:stdio_window` - how many bytes of output may be on the way to Elixir without having been handled. By default that
      is 10 KB, and more for a reader that is fast
    * `:delay_to_sigkill` - milliseconds that the program has to end by itself after SIGTERM, when it is stopped, before
      it is sent SIGKILL. Defaults to 500. When the program has ended in that time and left descendants, as a shell does that
      doesn't pass the signal on, these get SIGTERM and the rest of the time. What a program that ended by itself leaves
      behind gets SIGKILL at once. In a cgroup a program
      that forks a thousand times more in that time is a fork bomb, and gets it at once
    * `:stop_signal` - the signal that the program is told to end by, in place of `:sigterm`. A name such as `:sigint` or a
      number
    * `:stop_sequence` - several such signals, each with the milliseconds before the next one, or SIGKILL, is sent:
      `[sigint: 10_000, sigterm: 5_000]`. In place of `:stop_signal` and `:delay_to_sigkill`
    * `:stop_command` - `[program | args]` to run when the program is to be stopped, in place of the first signal, such as
      `["nginx", "-s", "quit"]`. It is run as the program is: as the same user, in the same directory, cgroup and environment, with
      the program's pid in the variable CHILD_PID; what it writes goes to the VM's stderr. Should it fail, the signal is sent. The
      program has `:delay_to_sigkill` to end, or the first time of `:stop_sequence`. Once it has ended, the command is told to end
      like all that the program has left
    * `:lock` - a file, which is made if it isn't there, or a directory, to lock as by flock(2) for as long as the program or
      anything that descends from it lives. The start waits until the lock is free, and logs a warning when it has waited for a
      second. So a program never meets its predecessor, whichever VM had started that. The program inherits a descriptor of
      the file, and can read it, also as another user: name a file that is for the lock alone. Who removes it, or renames another
      one to its name, lifts the protection. A relative path is relative to where the VM is
    * `:lock_timeout` - milliseconds that the start waits for the lock, before it fails with a `MuonTrap.Error` of the stage
      `:lock`. Defaults to `:infinity`
    * `:uid` - user to run the program as, by name or number. Its groups become that user's, if not said otherwise, and so do
      HOME, USER, LOGNAME and SHELL, if `:env` doesn't say otherwise, as under systemd's `User=`. What that user hasn't got is
      not set
    * `:gid` - group to run the program as, by name or number
    * `:groups` - list of supplementary groups, by name or number
    * `:rlimits` - resource limits (see `man 2 getrlimit`) of the program and of each process that descends from it, such as
      `[nofile: 1024, core: 0, cpu: {10, 12}, as: :infinity]`: a number for the soft and the hard limit, or `{soft, hard}`. Sizes
      are in bytes, `:cpu` is in seconds. One that may not be raised is refused with a `MuonTrap.Error` that names the one in force.
      To limit all of them together, use a cgroup
    * `:nice` - the nice value, from -20 to 19. Below that of the VM it takes root or CAP_SYS_NICE
    * `:umask` - such as `0o027`. It counts for files of `:stdout` and `:stderr`, too
    * `:cpus` - list of the processors that the program may run on, such as `[0, 1]`
    * `:oom_score_adj` - how willingly the kernel's OOM killer takes the program, from -1000, never, to 1000. Below that of the VM
      it takes root or CAP_SYS_RESOURCE
    * `:no_new_privs` - `true` keeps the program and its descendants from gaining privileges, as by a set-user-ID file
    * `:clear_env` - `true` gives the program nothing of the VM's environment, only what `:env` sets, and with `:uid` the user's
      HOME, USER, LOGNAME and SHELL. It is looked for in the VM's PATH all the same

  `:uid`, `:gid` and `:groups` take root (or the capabilities CAP_SETUID and CAP_SETGID, and CAP_KILL for `:uid`), and never
  root's own id 0. The program has no capabilities then, unless it stays root.

  These run the program in a cgroup of its own, where Linux has cgroups of version 2 (see `check/1`). Paths are relative to
  where they are mounted, usually /sys/fs/cgroup.

    * `:cgroup_base` - the cgroup below which a new one is made for the program, and removed at the end. It is made too if
      it doesn't exist. `:auto` finds one: that which `config :muontrap, cgroup_base: "mycgroup"` names, else one below the
      VM's own cgroup, if that was delegated to it (systemd's `Delegate=yes`, a container's root). The VM, with all other
      processes in its cgroup, moves to `muontrap.vm` in it first, because cgroups that have processes can't limit those
      below
    * `:cgroup_path` - the cgroup to use, instead. If it exists it must hold no process, keeps the settings that it has,
      and is left in place. Everything in it is killed when the program ends
    * `:cgroup` - a map of settings such as `%{memory_max: 268_435_456, cpu_max: {50_000, 100_000}}`. The keys are listed
      at `MuonTrap.Daemon.cgroup_config/1`
    * `:cgroup_controllers` - list of controllers to enable, such as `["memory"]`. Those of the settings are anyway
    * `:cgroup_sets` - list of settings `{controller, name, value}`, with the names of the files of version 2 or 1, such as
      `{"memory", "memory.max", 268_435_456}` or `{"memory", "memory.limit_in_bytes", "268435456"}`

  A program whose memory is used up is killed by the kernel's OOM killer: the status is 137 then, as of every program that
  was ended by SIGKILL.

  ## Return values

    * `{collected, exit_status}` - the status is 0 to 255, 128 plus the signal's number when a signal ended the program
    * `{collected, :timeout}` - see `:timeout`

  ## Errors

    * `ArgumentError` - an argument or option of the wrong type, an unknown option, or a null byte in a string
    * `ErlangError` with `original: :enoent` - there is no such program; `:eacces` - it may not be executed; another
      errno such as `:eloop` - its path can't be followed
    * `MuonTrap.Error` - what only the helper can find out: a bad `:cd`, a user that may not be changed to, a cgroup that
      can't be made or limited so, a file that the kernel can't execute, or that the helper itself was killed

  ## Examples

      iex> MuonTrap.cmd("echo", ["hello"])
      {"hello\\n", 0}

      iex> MuonTrap.cmd("sh", ["-c", "echo $GREETING; exit 3"], env: [{"GREETING", "hello"}])
      {"hello\\n", 3}

      iex> MuonTrap.cmd("sh", ["-c", "echo one; echo two >&2"], stderr_to_stdout: true, into: [])
      ...> |> then(fn {output, status} -> {IO.iodata_to_binary(output), status} end)
      {"one\\ntwo\\n", 0}

      iex> MuonTrap.cmd("sort", ["-n"], input: ["10\\n", "9\\n"])
      {"9\\n10\\n", 0}

      iex> MuonTrap.cmd("head", ["-n", "2"], input: Stream.repeatedly(fn -> "again\\n" end))
      {"again\\nagain\\n", 0}

      iex> MuonTrap.cmd("sleep", ["60"], timeout: 200)
      {"", :timeout}

      iex> MuonTrap.cmd("no-such-program", [])
      ** (ErlangError) Erlang error: :enoent
  """
  @spec cmd(String.t(), [String.t()], keyword()) :: {Collectable.t(), non_neg_integer() | :timeout}
  def cmd(command, args, opts \\ []) do
    :cmd
    |> MuonTrap.Options.prepare(command, args, opts)
    |> MuonTrap.Options.complete_for_helper(:cmd)
    |> MuonTrap.Command.run()
  end

  @doc """
  Run a command line of the shell, as `System.shell/2` does, contained as by `cmd/3`

  It is given to `sh -c`. What comes from outside is better given to a program as an argument, by `cmd/3`, than put into a
  command line. The options, return values and errors are those of `cmd/3`, and `:close_stdin` of `System.shell/2` has no effect:
  without `:input` or `:stdin` the standard input is empty.

  ## Examples

      iex> MuonTrap.shell("seq 3 | tac")
      {"3\\n2\\n1\\n", 0}

      iex> MuonTrap.shell("cat && exit $N", input: "hello", env: [{"N", "3"}])
      {"hello", 3}
  """
  @spec shell(String.t(), keyword()) :: {Collectable.t(), non_neg_integer() | :timeout}
  def shell(command, opts \\ []) do
    unless is_binary(command) and not String.contains?(command, <<0>>) do
      raise ArgumentError,
            "the command line for MuonTrap.shell/2 must be a string without null bytes, got: #{inspect(command)}"
    end

    :shell
    |> MuonTrap.Options.prepare("sh", ["-c", command], opts)
    |> MuonTrap.Options.complete_for_helper(:shell)
    |> MuonTrap.Command.run()
  end

  @doc """
  Return what a program writes as a stream

  The program is started when the enumeration begins, and ends with it: when the stream is halted, as by `Enum.take/2`, when the
  consumer raises, or when the process that enumerates is killed, the program and everything that descends from it are dead. What the
  consumer has not asked for holds the program up: no more than the window (see `:stdio_window` of `cmd/3`) is on the way.

  The elements are binaries as they come, in which characters and lines may be cut anywhere. To have lines, see `cmd/3`'s
  `:lines`, or `Stream.transform/4`.

  ## Options

  Those of `cmd/3` except `:into`, `:lines`, `:timeout`, `:use_stdio` and `:hide`, among them `:input`, which can be another
  stream; and

    * `:stderr` - as of `cmd/3`. With `:tag` the elements are `{:stdout, binary}` and `{:stderr, binary}`
    * `:exit` - `:return` for `{:exit, status}` as the last element, whatever the status is. By default, `:raise`, it is not
      among them, and another status than 0 raises `MuonTrap.ExitError`

  ## Errors

  As those of `cmd/3`, but for those of the program and its start, which are raised when the enumeration begins; and
  `MuonTrap.ExitError`. A program that is ended because the stream was halted raises nothing.

  ## Examples

      iex> MuonTrap.stream!("seq", ["3"]) |> Enum.join()
      "1\\n2\\n3\\n"

      iex> MuonTrap.stream!("yes") |> Enum.take(1) |> hd() |> binary_part(0, 4)
      "y\\ny\\n"

      iex> sorted = MuonTrap.stream!("sort", ["-rn"], input: MuonTrap.stream!("seq", ["100"]))
      iex> MuonTrap.stream!("head", ["-n", "2"], input: sorted) |> Enum.join()
      "100\\n99\\n"

      iex> MuonTrap.stream!("sh", ["-c", "echo oh >&2; exit 3"], stderr: :tag, exit: :return) |> Enum.to_list()
      [{:stderr, "oh\\n"}, {:exit, 3}]

      iex> MuonTrap.stream!("sh", ["-c", "exit 3"]) |> Enum.to_list()
      ** (MuonTrap.ExitError) sh exited with status 3
  """
  @spec stream!(String.t(), [String.t()], keyword()) :: Enumerable.t()
  def stream!(command, args \\ [], opts \\ []) do
    :stream
    |> MuonTrap.Options.prepare(command, args, opts)
    |> MuonTrap.ProgramStream.new()
  end

  @doc """
  Take charge of an OS process that somebody else has started

  The result is a `MuonTrap.Program`, linked to the calling process: wait for the process's end by `MuonTrap.Program.await/2`, signal
  it by `MuonTrap.Program.signal/3` and end it by `MuonTrap.Program.stop/2`. From now on it runs for the owner, the calling process if
  not said otherwise: when that ends, or the VM does, the process is stopped like a program.

      {:ok, server} = MuonTrap.attach(String.to_integer(String.trim(File.read!("/run/my_server.pid"))))
      :ok = MuonTrap.Program.signal(server, :sighup)
      {:ok, :unknown} = MuonTrap.Program.await(server)

  It is watched and signalled by a descriptor that stands for it (`pidfd_open(2)`, Linux 5.3), so that no other one is ever hit that
  has got its pid since. Whoever has read the pid from a file should know that the process there is still the one that wrote it.

  Only the process itself is ended: what descends from it isn't the VM's to adopt. With a cgroup it is moved there with all its
  descendants, and what is in the cgroup ends together, when the process ends by itself as well. Its exit status is `:unknown`, because
  only a parent gets it, and its output goes where it went: `MuonTrap.Program.read/2` gives `:eof` at its end, and
  `MuonTrap.Program.write/3` `{:error, :closed}`.

  ## Options

    * `:cgroup_base`, `:cgroup_path`, `:cgroup`, `:cgroup_controllers`, `:cgroup_sets` - as of `cmd/3`
    * `:delay_to_sigkill`, `:stop_signal`, `:stop_sequence`, `:stop_command` - as of `cmd/3`
    * `:owner`, `:active`, `:when_done`, `:name` - as of `MuonTrap.Program`. With `when_done: :stop` it exits with `:normal`

  ## Errors

  `{:error, exception}` with a `MuonTrap.Error` of the stage `:attach`, whose reason is

    * `:esrch` - there is no such process, or it has ended
    * `:eperm` - it may not be signalled, or not be moved into the cgroup
    * `:einval` - it is one that must not be stopped: the VM, or another process that the VM descends from, the init (process 1), a thread
      of the kernel's, or a helper of MuonTrap's
    * `:enosys` - this system has no descriptors that stand for processes

  or of another stage, when the cgroup can't be had. `ArgumentError` is raised for arguments and options that make no sense.

  ## Examples

      iex> port = Port.open({:spawn_executable, "/bin/sleep"}, args: ["1000"])
      iex> {:os_pid, os_pid} = Port.info(port, :os_pid)
      iex> {:ok, sleep} = MuonTrap.attach(os_pid)
      iex> MuonTrap.Program.stop(sleep)
      {:ok, :unknown}

      iex> {:error, error} = MuonTrap.attach(1)
      iex> {error.stage, error.reason, Exception.message(error)}
      {:attach, :einval, "cannot attach to process 1: it is the init, on which all processes depend"}
  """
  @spec attach(pos_integer(), keyword()) ::
          {:ok, pid()} | {:error, MuonTrap.Error.t() | {:already_started, pid()}} | :ignore
  def attach(os_pid, opts \\ []), do: MuonTrap.Program.attach(os_pid, opts)

  @typedoc """
  Something that running a program in a cgroup takes

    * `:ok?` - whether it is there
    * `:text` - what it is, in words
    * `:remedy` - the commands for a shell that would mend it, where it isn't there and they would
  """
  @type point :: %{ok?: boolean(), text: String.t(), remedy: [String.t()]}

  @doc """
  Say whether a program could be run with these cgroup options, and if it couldn't, what would have to be done

  The options are `:cgroup_base`, `:cgroup_path`, `:cgroup`, `:cgroup_controllers` and `:cgroup_sets` as for `cmd/3`.
  Without any, it says what this machine has, below the VM's own cgroup where that was delegated to it. No program is run, no
  process moved and no cgroup left.

  It returns `{:ok, points}` when a program could be started so, and `{:error, points}` when it couldn't. The commands
  of the points that are missing mend them:

      {:error, points} = MuonTrap.check(cgroup_base: "mycgroup", cgroup_controllers: ["memory"])
      for point <- points, not point.ok?, do: IO.puts([point.text, "\n", Enum.map(point.remedy, &["    ", &1, "\n"])])

  Raises `ArgumentError` for an option that is unknown or of the wrong type, and `MuonTrap.Error` when the helper can't be
  run.
  """
  @spec check(keyword()) :: {:ok | :error, [point()]}
  def check(opts \\ []) do
    opts
    |> MuonTrap.Options.validate_check()
    |> MuonTrap.Check.run()
  end

  @typedoc """
  A program that runs

    * `:server` - the process of MuonTrap's that sees to it
    * `:command` and `:args` - as they were given to who started it; `"sh"` and `["-c", line]` by `shell/2`
    * `:owner` - the process that it runs for: the caller of `cmd/3`, the `MuonTrap.Daemon` or the `MuonTrap.Program`, the process
      that enumerates the stream. It is stopped when that ends
    * `:os_pid` - the program's OS process id, `nil` until it runs
    * `:os_pids` - that and those of all living processes that descend from it, the program first
    * `:started_at` - since when it runs, in UTC; until it runs, since when it is being started
    * `:cgroup` - the path of the program's cgroup, relative to the mount; `nil` without one
    * `:output_byte_count` - bytes of its output that have come to the VM
    * `:cpu_us` - microseconds of processor that all of it has used by now
    * `:memory_bytes` - bytes of memory that it has now
    * `:state` - `:waiting` for its `:lock`, `:starting`, `:running`, `:suspended` by a signal such as SIGSTOP, or `:stopping`, when
      it has been told to end
  """
  @type running :: %{
          server: pid(),
          command: String.t(),
          args: [String.t()],
          owner: pid(),
          os_pid: pos_integer() | nil,
          os_pids: [pos_integer()],
          started_at: DateTime.t(),
          cgroup: String.t() | nil,
          output_byte_count: non_neg_integer(),
          cpu_us: non_neg_integer() | nil,
          memory_bytes: non_neg_integer() | nil,
          state: :waiting | :starting | :running | :suspended | :stopping
        }

  @doc """
  Return what runs in this node: the programs of `cmd/3`, `shell/2`, `stream!/3`, `MuonTrap.Daemon` and `MuonTrap.Program`, the
  oldest first

  It costs nothing unless it is called. The environment, which may hold secrets, is not in it.

  `:cpu_us` and `:memory_bytes` are those of the program's cgroup, where it has one that was made for it, for the former, or one with
  the controller memory, for the latter. Else they are sums over the processes that live: of the processor, in hundredths of
  a second, which a process that has ended is among if its parent has waited for it; and of the resident memory, where pages that
  processes share count for each of them.

  These two are `nil`, and `:os_pids` has the program alone, until it runs, where there is no Linux, and where its processes are
  hidden from the VM (`hidepid` of proc(5)). A program that ends during the call is left out, and so is one of which nothing can
  be learnt within a second; while the application is being stopped that is all of them.

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"])
      iex> program = Enum.find(MuonTrap.list(), &(&1.owner == daemon))
      iex> {program.command, program.args, program.state, program.output_byte_count}
      {"sleep", ["60"], :running, 0}
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec list() :: [running()]
  def list(), do: MuonTrap.Listing.read()

  @doc """
  Show what runs in this node or another one in a live table, like top(1), until it is ended

  It is for the shell: in iex a key is followed by Enter, because the shell reads whole lines. `mix muontrap.top --node NAME` shows
  the same from outside, and needs no Enter. Without a terminal, one table is printed. See [Top](top.md).

      MuonTrap.top()
      MuonTrap.top(node: :"app@db1", sort: :memory, interval: 5_000)

  The options

    * `:node` - a node that this one is connected to, or can be, with MuonTrap in the same version. Defaults to this node
    * `:sort` - the column to sort by: `:pid`, `:owner`, `:state`, `:age`, `:cpu`, `:time`, `:memory`, `:output`, `:rate`,
      `:processes`, `:cgroup` or `:command`. Defaults to `:cpu`
    * `:reverse` - the other way round. Defaults to `false`
    * `:interval` - milliseconds from one look to the next, 100 at least. Defaults to 1,000
    * `:filter` - only programs that have these words in pid, owner, cgroup or command line
    * `:once` - print one table as text, and return. Defaults to `false`

  `s` has a program stopped, as by its options `:stop_signal`, `:stop_command` and so on, and `x` sends it a signal. That is done by
  the process of MuonTrap's that sees to it, so that no other program is hit, and its owner sees the program end.

  Each look costs what `list/0` costs, and nothing is done in between, or when nobody looks.

  Raises `ArgumentError` for a wrong option, and `RuntimeError` when the node can't be reached or goes away.
  """
  @spec top(keyword()) :: :ok
  def top(opts \\ []) do
    with {:error, message} <- opts |> MuonTrap.Top.options!() |> MuonTrap.Top.run(:lines), do: raise(message)
  end

  @doc """
  Return the absolute path of the helper program

  It can be used from a shell as well: `muontrap --help` and its man page muontrap(1), which lies beside it, say how.

      iex> File.exists?(MuonTrap.muontrap_path())
      true
  """
  @spec muontrap_path() :: Path.t()
  def muontrap_path(), do: IO.chardata_to_string(MuonTrap.Helper.path())
end
