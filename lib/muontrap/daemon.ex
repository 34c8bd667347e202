# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Daemon do
  @moduledoc """
  Put an OS process into a supervision tree

  List it among a supervisor's children with the program, its arguments and options:

      children = [
        {MuonTrap.Daemon, ["my_server", ["--options", "foo"], [cd: "/some_directory"]]}
      ]

      opts = [strategy: :one_for_one, name: MyApplication.Supervisor]
      Supervisor.start_link(children, opts)

  When the program ends, so does the daemon, and the supervisor decides what comes of it: `:permanent` (the default)
  restarts it always, `:transient` unless its exit status was 0, `:temporary` never. When the daemon is to end, the
  program is stopped: SIGTERM (`:stop_signal`, `:stop_sequence`), to what it leaves behind too, and SIGKILL after
  `:delay_to_sigkill` to all that is left. That this was needed is logged as a warning. Stopping waits until all of that is
  dead, so the program of a restarted daemon never meets its predecessor, not even when the daemon's process or its supervisor
  was killed: then the daemon that replaces it waits before it starts its program. That is one with the same program, arguments
  and options below the same supervisors; a daemon that goes on is never waited for. The `:shutdown` of the child specification
  leaves time for that.

  A VM that is killed and started again knows nothing of what the one before ran, which may still have its
  `:delay_to_sigkill` to end in. **Give `:lock` to everything that owns a port, a socket or a data directory**: then the next
  start waits for the end of the last one's program, whoever has started that. `start_link/3` doesn't hold up its supervisor for
  longer than a second by that: then it returns, and the daemon waits on, can be stopped, and starts its program when the lock is
  free. With a `:lock_timeout` it waits for so long, and returns the error.

  Run servers in the foreground (`nginx -g 'daemon off;'`). A program that goes on in the background has ended for its daemon,
  and what it has left behind is killed, with a warning in the log.

  Several daemons under one supervisor need ids of their own:

      Supervisor.child_spec({MuonTrap.Daemon, ["my_server", []]}, id: :server1)

  ## Options

  Those of `MuonTrap.cmd/3` other than `:input`, `:into`, `:lines`, `:timeout`, `:use_stdio` and `:hide`, and:

    * `:name` - register the daemon under this name, see the "Name registration" section of `GenServer`
    * `:log_output` - log each line of the output at this level, e.g. `:debug`. With `[stdout: :info, stderr: :error]`, or one
      of them alone, each stream has its own level. By default output is thrown away. A carriage return ends a line too
    * `:log_prefix` - what each logged line begins with. Defaults to the program's path, a colon and a space
    * `:log_transform` - a function that takes a line and returns what is logged of it. Defaults to replacing what is not
      UTF-8
    * `:logger_fun` - a function of one argument, `{module, function}`, or `{module, function, args}` to which the line is
      prepended, that is called with each line. `:log_output`, `:log_prefix`, `:log_transform` and `:logger_metadata` don't count then
    * `:logger_metadata` - keyword list merged into the daemon's logger metadata, besides `:muontrap_cmd` and
      `:muontrap_args`, which are always there
    * `:max_line_length` - bytes after which a line is passed on in pieces. Defaults to 65,536. With `:log_output` the
      pieces are smaller if Logger's own limit is (`config :logger, truncate: bytes`, by default 8 KB)
    * `:stderr` - as of `cmd/3`. By default it is `:inherit`, unless `:log_output` has a level for it. With `:tag` its lines are
      logged too, at the same level; `:logger_fun` is called with `{:stdout, line}` and `{:stderr, line}` then
    * `:exit_status_to_reason` - a function from the exit status (0 to 255, 128 plus the signal's number when a signal
      ended the program) to the reason that the daemon stops with. By default that is `:normal` for 0, `:oom_killed`
      for another when the kernel's OOM killer struck in the program's cgroup, and `:error_exit_status` for all else
    * `:wait_for` - a function without arguments that is called before the program is looked for and started, in a process beside the
      daemon, which is linked to it. `start_link/3` doesn't wait for it. What it returns is ignored. When it raises, throws
      or exits, the daemon stops with that as its reason, and when the daemon is stopped meanwhile, that process is killed
    * `:hibernate_after` - milliseconds without a message after which the daemon hibernates, which gives back the memory
      that a burst of output took, see `GenServer.start_link/3`. Defaults to 1,000

  ## Cgroups

  With `:cgroup_base` or `:cgroup_path` the program runs in a cgroup, see `MuonTrap.cmd/3` for these options and
  `cgroup_path/1`, `cgroup_config/1`, `cgget/2`, `cgset/3` and `statistics/1` for what can be done with it while the
  program runs:

      {MuonTrap.Daemon,
       ["long_running_command", ["arg1", "arg2"], [cgroup_base: "mycgroup", cgroup: %{memory_max: 268_435_456}]]}

  When the kernel's OOM killer has struck in it, because memory as limited by `:memory_max` was used up, that is logged as
  an error.

  ## Errors

  `start_link/3` returns `{:error, reason}` when the program can't be started: `{%ArgumentError{}, stacktrace}` for wrong
  options, `{:enoent, stacktrace}` for a missing program, and a `t:MuonTrap.Error.t/0` for what the helper found. As with
  every GenServer, a caller that doesn't trap exits gets the exit signal with the same reason. Supervisors trap them.

  With `:wait_for`, `start_link/3` has returned before the program is looked for and started, and before a function for `:env`
  is called; and with `:lock` it may have returned before the program is started. Then a missing program, a wrong
  environment and what the helper found are reasons that the daemon stops with, the same as above, and until the program
  runs, `os_pid/1` is `:error`, `cgroup_path/1` is `nil`, and the statistics are those of a program without a cgroup that
  has written nothing.

  ## Secrets in the environment

  A supervisor logs the arguments of a child that it starts, or that has failed, with all options. What may not be logged
  is to be given to `:env` as a function, which is called when the program is started:

      {MuonTrap.Daemon, ["my_server", [], [env: fn -> [{"TOKEN", MyApp.Vault.token()}] end]]}

  The daemon itself logs the environment nowhere, and doesn't keep it once the program runs.
  """

  use GenServer

  alias MuonTrap.Cgroup.{Settings, Statistics}
  alias MuonTrap.{Cgroup, HelperPort, Lines, Options, Predecessor, Protocol, Signal, Stdio, StopSequence}

  require Logger

  @max_line_length 65_536
  @hibernate_after 1_000

  # program: its path, for messages.
  # waiting: the task that runs :wait_for, and launch: what is started afterwards. Both nil else.
  # starting: the server of a launch that waits for its lock.
  # port: the running program; nil before, and once its end is known. cgroup: the path of its cgroup.
  # request: the request for what happens next, while it is not answered.
  # byte_count: how many bytes of output have come. lines: of each stream, the line that is not complete. log: where lines go,
  # see logger/1. signallers: who has sent a signal and awaits the answer. stop: how the program is stopped.
  #
  # All of it is data and no function of this module, so that its code can be loaded anew while daemons run.
  defstruct [
    :program,
    :waiting,
    :launch,
    :starting,
    :port,
    :cgroup,
    :request,
    :lines,
    :log,
    :exit_status_to_reason,
    :stop,
    signallers: :queue.new(),
    byte_count: 0
  ]

  @doc """
  Return a child specification

  It takes `[command, args, options]`, or that without the options or the arguments. `:restart` is `:permanent`. `:shutdown` is the time that the program
  has to end by itself, which is `:delay_to_sigkill` or the sum of a `:stop_sequence`, and five seconds.

      iex> MuonTrap.Daemon.child_spec(["sleep", ["60"], [delay_to_sigkill: 2_000]])
      %{
        id: MuonTrap.Daemon,
        start: {MuonTrap.Daemon, :start_link, ["sleep", ["60"], [delay_to_sigkill: 2_000]]},
        type: :worker,
        restart: :permanent,
        shutdown: 7_000
      }
  """
  @spec child_spec(list()) :: Supervisor.child_spec()
  def child_spec(child) do
    [command, args, opts] = Options.child!(child, "MuonTrap.Daemon")

    %{
      id: __MODULE__,
      start: {__MODULE__, :start_link, [command, args, opts]},
      type: :worker,
      restart: :permanent,
      # Wrong options are start_link/3's to refuse.
      shutdown: StopSequence.time_to_stop(opts)
    }
  end

  @doc """
  Start a daemon linked to the calling process

  It returns when the program runs, or with `:wait_for` at once, or when a `:lock` has been waited for for a second. The options,
  and what is returned when it doesn't, are in the module's documentation.

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"], name: MyDaemon)
      iex> is_integer(MuonTrap.Daemon.os_pid(MyDaemon))
      true
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec start_link(String.t(), [String.t()], keyword()) :: GenServer.on_start()
  def start_link(command, args, opts \\ []) do
    GenServer.start_link(__MODULE__, {command, args, opts}, server_options(opts))
  end

  # Only values that Options would let pass reach GenServer, which raises for others; init refuses those.
  defp server_options(opts) do
    opts = if Keyword.keyword?(opts), do: opts, else: []
    name = Keyword.get(opts, :name)
    hibernate_after = Keyword.get(opts, :hibernate_after, @hibernate_after)

    if(name != nil and Options.name?(name), do: [name: name], else: []) ++
      if(Options.hibernate_after?(hibernate_after), do: [hibernate_after: hibernate_after], else: [])
  end

  @doc """
  Return the OS process id of the `muontrap` helper that runs the program

  Not the program's own, which `program_pid/1` returns: a signal to the helper, such as SIGHUP by kill(1), stops the program.
  `:error` when there is none, because `:wait_for` has not returned.
  """
  @spec os_pid(GenServer.server()) :: non_neg_integer() | :error
  def os_pid(server), do: GenServer.call(server, :os_pid)

  @doc """
  Return the OS process id of the program

  `:error` when it doesn't run yet, because `:wait_for` has not returned. The program may end at any time, and another process
  may get that number then. So don't send a signal to it, but use `signal/3`.

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"])
      iex> pid = MuonTrap.Daemon.program_pid(daemon)
      iex> File.read!("/proc/\#{pid}/comm")
      "sleep\\n"
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec program_pid(GenServer.server()) :: pos_integer() | :error
  def program_pid(server), do: GenServer.call(server, :program_pid)

  @doc """
  Send a signal to the program, as `:sighup` for it to read its configuration anew

  `signal` is its name in lower case, or its number. `to` says who gets it:

    * `:program` - the program's process alone
    * `:group` - its process group: what the program has started, but for what has left the group
    * `:tree` - the program and all that descends from it
    * `:cgroup` - all processes of the program's cgroup

  It returns when the signal has been sent, to one process at least. The daemon sends it when it has logged what came before. A
  program that has just been started may not have its handler yet, and ends by a signal like SIGHUP then.

  ## Errors

    * `{:error, :esrch}` - there is no such process: the program doesn't run yet, or not any more
    * `{:error, :eperm}` - the helper may not send it, because the program has become another user's
    * `{:error, :no_cgroup}` - the program runs in no cgroup of its own
    * `{:error, :einval}` - the system has no such signal
    * `{:error, :enosys}` - the system can't tell what descends from the program

  Raises `ArgumentError` for what is no signal, or nobody who could get one. Exits, as every call does, when the daemon ends
  meanwhile.

  ## Example

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"])
      iex> MuonTrap.Daemon.signal(daemon, :sigcont)
      :ok
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec signal(GenServer.server(), Signal.t(), Protocol.receiver()) :: :ok | {:error, atom()}
  def signal(server, signal, to \\ :program) do
    Signal.check!(signal, to)
    GenServer.call(server, {:signal, signal, to}, :infinity)
  end

  @doc """
  Return the path of the program's cgroup

  It is relative to where the cgroup2 file system is mounted, usually /sys/fs/cgroup: with `cgroup_base: "muontrap"` it is
  one like `"muontrap/3f0c5a9be1d7"`. `nil` when the program runs in no cgroup of its own, or not yet.

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"])
      iex> MuonTrap.Daemon.cgroup_path(daemon)
      nil
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec cgroup_path(GenServer.server()) :: String.t() | nil
  def cgroup_path(server), do: GenServer.call(server, :cgroup_path)

  @doc """
  Read a file of the program's cgroup, such as `"memory.current"` or `"cpu.stat"`

  The kernel's Documentation/admin-guide/cgroup-v2.rst lists them; which of them are there depends on the controllers that
  are enabled and on the kernel. The text is returned without the newline at its end:

      {:ok, "268435456"} = MuonTrap.Daemon.cgget(daemon, "memory.max")

  ## Errors

    * `{:error, :no_cgroup}` - the program runs in no cgroup of its own
    * `{:error, :enoent}` - there is no such file, or the cgroup has just been removed, because the program has ended
    * `{:error, :einval}` - that can't be the name of such a file: it may have lower-case letters, digits, `_` and single
      dots between them
    * `{:error, posix}` - another error of open(2) or read(2), such as `:eacces`

  ## Example

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"])
      iex> MuonTrap.Daemon.cgget(daemon, "memory.max")
      {:error, :no_cgroup}
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec cgget(GenServer.server(), binary()) :: {:ok, String.t()} | {:error, File.posix() | :no_cgroup}
  def cgget(server, variable_name) when is_binary(variable_name), do: GenServer.call(server, {:cgget, variable_name})

  @doc """
  Write to a file of the program's cgroup, while the program runs

      :ok = MuonTrap.Daemon.cgset(daemon, "memory.max", "536870912")

  ## Errors

  Those of `cgget/2`, and what the kernel says of the value: `:einval` and `:erange` for one that the file doesn't take,
  `:ebusy` for one that can't be had now.

  ## Example

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"])
      iex> MuonTrap.Daemon.cgset(daemon, "memory.max", "max")
      {:error, :no_cgroup}
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec cgset(GenServer.server(), binary(), binary()) :: :ok | {:error, File.posix() | :no_cgroup}
  def cgset(server, variable_name, value) when is_binary(variable_name) and is_binary(value),
    do: GenServer.call(server, {:cgset, variable_name, value})

  @doc """
  Return the settings of the program's cgroup, as the option `:cgroup` takes them

  So one daemon's settings, also those that `cgset/3` has changed, can be given to another one:

      config = MuonTrap.Daemon.cgroup_config(daemon)
      MuonTrap.Daemon.start_link("another", [], cgroup_base: "mycgroup", cgroup: config)

  The map is empty without a cgroup. The keys are the names of the cgroup's files with `_` for the dots; they are there as
  far as the file is, and has a value that could be set:

    * `:cpu_weight` - 1 to 10,000; the kernel's default is 100. Not there while `:cpu_idle` is `true`
    * `:cpu_max` - `:max` or `{quota, period}` in microseconds
    * `:cpu_idle` - `true` for the lowest priority of all
    * `:memory_min`, `:memory_low` - bytes that are kept for it, or `:max`
    * `:memory_high`, `:memory_max`, `:memory_swap_max` - bytes, which the kernel rounds down to pages, or `:max`
    * `:memory_oom_group` - whether the OOM killer ends all processes of the cgroup or none
    * `:pids_max` - number of processes and threads, or `:max`
    * `:io_weight` - 1 to 10,000; the kernel's default is 100
    * `:cpuset_cpus`, `:cpuset_mems` - numbers of CPUs and memory nodes as ranges such as `"0-3,5"`. Not there while they
      are those of the cgroup above

  ## Example

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"])
      iex> MuonTrap.Daemon.cgroup_config(daemon)
      %{}
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec cgroup_config(GenServer.server()) :: %{optional(atom()) => term()}
  def cgroup_config(server), do: GenServer.call(server, :cgroup_config)

  @doc """
  Return statistics about the daemon

    * `:output_byte_count` - bytes of output that the program has written and that have been handled
    * `:cgroup` - statistics of the program's cgroup, a map from names of files to values; empty when there is no cgroup

  Of the cgroup there is, as far as its controllers are enabled and the kernel has it:

    * `"memory.current"`, `"memory.peak"`, `"memory.swap.current"` - bytes
    * `"memory.events"` - how often what happened: `"low"`, `"high"`, `"max"`, `"oom"`, `"oom_kill"`, ...
    * `"memory.pressure"`, `"cpu.pressure"`, `"io.pressure"` - how long some or all of its processes waited, as
      `%{"some" => %{"avg10" => 0.0, "avg60" => 0.0, "avg300" => 0.0, "total" => 0}, "full" => %{...}}`: percentages of
      the last 10, 60 and 300 seconds, and microseconds in total
    * `"cpu.stat"` - microseconds of CPU time: `"usage_usec"`, `"user_usec"`, `"system_usec"`; with the cpu controller also
      the numbers of periods, `"nr_periods"` and `"nr_throttled"`, and `"throttled_usec"`
    * `"pids.current"`, `"pids.peak"` - numbers of processes and threads
    * `"pids.events"` - how often what happened: `"max"` for forks that failed
    * `"cgroup.stat"` - `"nr_descendants"` and `"nr_dying_descendants"`, the cgroups in it

  ## Example

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"])
      iex> MuonTrap.Daemon.statistics(daemon)
      %{output_byte_count: 0, cgroup: %{}}
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec statistics(GenServer.server()) :: %{
          output_byte_count: non_neg_integer(),
          cgroup: %{optional(String.t()) => term()}
        }
  def statistics(server), do: GenServer.call(server, :statistics)

  @impl GenServer
  def init({command, args, opts}) do
    options = Options.prepare(:daemon, command, args, opts)
    Logger.metadata(metadata(command, options))
    place = Predecessor.place(command, args, opts)
    Predecessor.register(place)
    prepare(options, place)
  end

  defp metadata(command, options) do
    options
    |> Map.get(:logger_metadata, [])
    |> Keyword.merge(muontrap_cmd: command, muontrap_args: Enum.join(options.args, " "))
  end

  defp new(options) do
    %__MODULE__{
      program: options.cmd,
      lines: no_lines(Map.get(options, :max_line_length, @max_line_length)),
      log: logger(options),
      stop: StopSequence.new(options),
      exit_status_to_reason: Map.get(options, :exit_status_to_reason)
    }
  end

  defp no_lines(limit), do: %{stdout: Lines.new(limit), stderr: Lines.new(limit)}

  # Exits are trapped so that the task's end is a message, and terminate/2 is called when the supervisor wants the daemon to
  # end.
  defp prepare(%{wait_for: wait_for} = options, place) do
    Process.flag(:trap_exit, true)
    {:ok, %__MODULE__{waiting: Task.async(wait_for), launch: {options, place}}}
  end

  defp prepare(options, place) do
    # The time that start_link/3 may take is the caller's to bound.
    waits = if Map.get(options, :lock_timeout, :infinity) == :infinity, do: :impatient, else: :for_ever

    case launch(options, place, waits) do
      {:ok, state} -> {:ok, state}
      {:error, error} -> {:stop, error}
    end
  end

  defp launch(options, place, waits) do
    options = Options.complete(options, :daemon)
    Predecessor.await(place)
    Process.flag(:trap_exit, true)

    result = HelperPort.start(options, place, waits)
    Predecessor.unregister(place)

    case result do
      {:ok, port, _next} ->
        {:ok, options |> new() |> started(port) |> ask(0)}

      {:waiting, server} ->
        {:ok, %{new(options) | starting: server, request: HelperPort.await_start(server)}}

      {:error, error} ->
        Predecessor.exit_with_parent(place)
        {:error, error}
    end
  end

  defp started(state, port), do: %{state | starting: nil, port: port, cgroup: port.cgroup}

  # For what happens next, when so many bytes of output have been handled.
  defp ask(state, handled), do: %{state | request: HelperPort.request(state.port, handled)}

  # Where each line goes; nil when nobody wants lines.
  defp logger(%{logger_fun: fun} = options), do: {:fun, fun, Stdio.tags?(options)}

  defp logger(%{log_output: level} = options) do
    prefix = Map.get(options, :log_prefix, options.cmd <> ": ")
    # Logger cuts off what is longer than its limit, and then says that it has, which need not happen to a line.
    limit = max(Application.get_env(:logger, :truncate, 8 * 1024) |> limit() |> Kernel.-(byte_size(prefix)), 80)

    %{
      levels: levels(level),
      prefix: prefix,
      transform: Map.get(options, :log_transform),
      limit: limit
    }
  end

  defp logger(_options), do: nil

  defp levels(level) when is_atom(level), do: levels(stdout: level, stderr: level)

  defp levels(levels),
    do: Map.new(levels, fn {stream, level} -> {stream, if(level == :warn, do: :warning, else: level)} end)

  defp limit(:infinity), do: @max_line_length
  defp limit(bytes), do: bytes

  # Whether the lines of that stream go anywhere.
  defp logs?(nil, _stream), do: false
  defp logs?(%{levels: levels}, stream), do: is_map_key(levels, stream)
  defp logs?(_fun, _stream), do: true

  defp log_line(line, stream, {:fun, fun, true}), do: call({stream, line}, fun)
  defp log_line(line, _stream, {:fun, fun, false}), do: call(line, fun)

  defp log_line(line, stream, %{levels: levels, prefix: prefix, transform: transform, limit: limit}) do
    text = if transform, do: line |> transform.() |> IO.chardata_to_string(), else: replace_invalid(line)
    for piece <- Lines.cut(text, limit), do: Logger.log(levels[stream], [prefix, piece])
  end

  defp call(line, {module, function}), do: apply(module, function, [line])
  defp call(line, {module, function, args}), do: apply(module, function, [line | args])
  defp call(line, fun), do: fun.(line)

  if function_exported?(String, :replace_invalid, 1) do
    defp replace_invalid(line), do: String.replace_invalid(line)
  else
    # Elixir before 1.16
    defp replace_invalid(line, done \\ []) do
      case :unicode.characters_to_binary(line) do
        valid when is_binary(valid) -> IO.iodata_to_binary(Enum.reverse([valid | done]))
        {_kind, valid, <<_bad, rest::binary>>} -> replace_invalid(rest, ["\uFFFD", valid | done])
      end
    end
  end

  @impl GenServer
  def handle_call(:os_pid, _from, state), do: {:reply, (state.port && state.port.os_pid) || :error, state}
  def handle_call(:program_pid, _from, state), do: {:reply, (state.port && state.port.program_pid) || :error, state}
  def handle_call({:signal, _signal, _to}, _from, %{port: nil} = state), do: {:reply, {:error, :esrch}, state}

  def handle_call({:signal, _signal, :cgroup}, _from, %{cgroup: nil} = state),
    do: {:reply, {:error, :no_cgroup}, state}

  def handle_call({:signal, signal, to}, from, state) do
    HelperPort.signal(state.port, signal, to)
    {:noreply, %{state | signallers: :queue.in(from, state.signallers)}}
  end

  def handle_call(:cgroup_path, _from, state), do: {:reply, state.cgroup, state}

  def handle_call({:cgget, name}, _from, state),
    do: {:reply, with_cgroup(state, {:error, :no_cgroup}, &Cgroup.read(&1, name)), state}

  def handle_call({:cgset, name, value}, _from, state),
    do: {:reply, with_cgroup(state, {:error, :no_cgroup}, &Cgroup.write(&1, name, value)), state}

  def handle_call(:cgroup_config, _from, state), do: {:reply, with_cgroup(state, %{}, &Settings.read/1), state}

  def handle_call(:statistics, _from, state) do
    statistics = %{output_byte_count: state.byte_count, cgroup: with_cgroup(state, %{}, &Statistics.read/1)}
    {:reply, statistics, state}
  end

  # In this process and not in the caller, which may be on another machine.
  defp with_cgroup(%{cgroup: nil}, without, _fun), do: without
  defp with_cgroup(%{cgroup: path}, _without, fun), do: fun.(path)

  @impl GenServer
  def handle_info({reference, _returned}, %{waiting: %Task{ref: reference}} = state) do
    Process.demonitor(reference, [:flush])
    {:noreply, %{state | waiting: nil}, {:continue, :launch}}
  end

  def handle_info({:DOWN, reference, :process, _pid, reason}, %{waiting: %Task{ref: reference}} = state),
    do: {:stop, reason, %{state | waiting: nil, launch: nil}}

  def handle_info(message, %{request: request} = state) when request != nil do
    case HelperPort.check_response(message, request) do
      {:events, [{:started, port} | events]} -> handle_events(events, started(%{state | request: nil}, port))
      {:events, events} -> handle_events(events, %{state | starting: nil, request: nil})
      :no_reply -> handle_other(message, state)
    end
  end

  def handle_info(message, state), do: handle_other(message, state)

  # As if exits weren't trapped.
  defp handle_other({:EXIT, _pid, :normal}, state), do: {:noreply, state}
  defp handle_other({:EXIT, _pid, reason}, state), do: {:stop, reason, state}
  defp handle_other(_message, state), do: {:noreply, state}

  # The user's functions are called in the continuation. Should one raise, terminate/2 is called with the state from here,
  # which says that the request has been answered, whether the program's end was among the answer, and what the lines are
  # that come next.
  defp handle_events(events, state) do
    {news, state} = split_lines(events, state)
    port = unless Enum.any?(events, &HelperPort.last?/1), do: state.port
    {:noreply, %{state | port: port}, {:continue, {:news, news, HelperPort.size(events)}}}
  end

  @impl GenServer
  def handle_continue(:launch, %{launch: {options, place}} = state) do
    case launch(options, place, :impatient) do
      {:ok, state} -> {:noreply, state}
      {:error, error} -> {:stop, error, state}
    end
  end

  def handle_continue({:news, news, bytes}, state) do
    case take_in(news, state) do
      :running -> {:noreply, ask(state, bytes)}
      {:ended, reason} -> {:stop, reason, state}
    end
  end

  # The same events with lines in place of output.
  defp split_lines(events, state), do: Enum.flat_map_reduce(events, state, &split_event/2)

  defp split_event({stream, data}, state) when stream in [:stdout, :stderr] do
    state = %{state | byte_count: state.byte_count + byte_size(data)}

    if logs?(state.log, stream) do
      {lines, rest} = Lines.push(state.lines[stream], data)
      {[{:lines, {stream, lines}}], put_in(state.lines[stream], rest)}
    else
      {[], state}
    end
  end

  defp split_event({:signalled, result}, state) do
    {{:value, first}, signallers} = :queue.out(state.signallers)
    GenServer.reply(first, result)
    {[], %{state | signallers: signallers}}
  end

  # What has no newline is a line when the output ends.
  defp split_event(event, state) do
    if HelperPort.last?(event) do
      for from <- :queue.to_list(state.signallers), do: GenServer.reply(from, {:error, :esrch})
      rest = for {stream, lines} <- state.lines, do: {:lines, {stream, Lines.flush(lines)}}
      {rest ++ [event], %{state | lines: no_lines(state.lines.stdout.limit), signallers: :queue.new()}}
    else
      {[event], state}
    end
  end

  defp take_in([], _state), do: :running

  defp take_in([{:lines, {stream, lines}} | news], state) do
    Enum.each(lines, &log_line(&1, stream, state.log))
    take_in(news, state)
  end

  # The helper stops the program because of it, and tells its end next.
  defp take_in([{:error, error} | news], state) do
    Logger.error("#{state.program}: #{error.message}")
    take_in(news, state)
  end

  defp take_in([{:exited, ending}], state) do
    if ending.oom_killed, do: log_oom(ending, state)
    log_force(ending, state)
    log_daemonised(ending, state)
    {:ended, reason(ending, state)}
  end

  defp take_in([{:failed, error}], _state), do: {:ended, error}

  defp take_in([{:vanished, error}], state) do
    Logger.error("#{state.program}: #{error.message}")
    {:ended, error}
  end

  defp reason(%{status: status}, %{exit_status_to_reason: to_reason}) when to_reason != nil, do: to_reason.(status)
  defp reason(%{status: 0}, _state), do: :normal
  defp reason(%{oom_killed: true}, _state), do: :oom_killed

  defp reason(ending, state) do
    Logger.error("#{state.program}: the process #{describe(ending)}")
    :error_exit_status
  end

  # Whatever reason is made of it, and even if the program has coped with the loss of a child.
  defp log_oom(ending, state) do
    Logger.error(
      "#{state.program}: the kernel's OOM killer struck in the cgroup #{state.cgroup}, because the memory was used up that " <>
        "its own memory_max allows, or a cgroup above (#{limits_above(state.cgroup)}), or all that the machine has; the " <>
        "process #{describe(ending)}"
    )
  end

  # systemd.resource-control(5): MemoryMax= of a service, scope or slice is the memory.max of its cgroup.
  defp limits_above(cgroup) do
    case Cgroup.memory_limits_above(cgroup) do
      [] ->
        "no memory_max or MemoryMax= is to be seen there"

      limits ->
        Enum.map_join(limits, ", ", fn {path, limit} -> "memory_max or MemoryMax= of /#{path}: #{limit} bytes" end)
    end
  end

  # Nobody was left when force was to be used.
  defp log_force(%{signal: signal, stragglers: 0}, _state) when signal != 9, do: :ok

  # Who gives no time wants force.
  defp log_force(%{forced: true} = ending, state) do
    if StopSequence.duration(state.stop) > 0 do
      {time, remedy} = StopSequence.describe(state.stop)
      Logger.warning("#{state.program}: #{forced(ending, time)}; #{remedy}#{named(ending)}")
    end
  end

  defp log_force(_ending, _state), do: :ok

  # Its supervisor takes that for a normal end.
  defp log_daemonised(%{status: 0, stragglers: count, stopped: false} = ending, state) when count > 0 do
    Logger.warning(
      "#{state.program}: the process exited with status 0 and left #{descendants(ending)}#{named(ending)}, which had to be killed: a program " <>
        "that goes on in the background can't be supervised; run it in the foreground (nginx has `daemon off;` for that), or " <>
        "have a script wait for what it has started"
    )
  end

  defp log_daemonised(_ending, _state), do: :ok

  defp forced(%{signal: 9, stragglers: 0}, time), do: "the process did not end #{time}, and was killed"

  defp forced(%{signal: 9} = ending, time),
    do: "the process did not end #{time}, and was killed with #{descendants(ending)}"

  defp forced(ending, time),
    do: "the process #{describe(ending)}, but #{descendants(ending)} did not end #{time}, and had to be killed"

  defp descendants(%{stragglers: 1}), do: "1 descendant"
  defp descendants(%{stragglers: count}), do: "#{count} descendants"

  # Of many the helper tells the names of the first.
  defp named(%{names: []}), do: ""

  defp named(%{stragglers: count, names: names}) do
    counts = names |> Enum.frequencies() |> Enum.sort()
    named = Enum.map_join(counts, ", ", fn {name, count} -> if count == 1, do: name, else: "#{count} #{name}" end)
    " (#{named}#{if length(names) < count, do: ", …"})"
  end

  defp describe(%{signal: nil, status: status}), do: "exited with status #{status}"
  defp describe(%{signal: signal}), do: "was ended by signal #{signal}"

  # The daemon doesn't let its supervisor go on before everything that descends from the program is dead.
  @impl GenServer
  def terminate(_reason, %{waiting: %Task{} = task}), do: Task.shutdown(task, :brutal_kill)
  def terminate(_reason, %{starting: server}) when server != nil, do: HelperPort.abandon_server(server)
  def terminate(_reason, %{port: nil}), do: :ok

  def terminate(_reason, state) do
    HelperPort.stop(state.port)
    await_end(state)
  end

  # What the program says at its end is logged too.
  defp await_end(state) do
    events = HelperPort.receive_response(state.port, state.request)
    {news, state} = split_lines(events, %{state | request: nil})
    {last, news} = Enum.split_with(news, &HelperPort.last?/1)
    take_in_or_abandon(news, state)
    with [{:exited, ending}] <- last, do: log_force(ending, state)
    if last == [], do: await_end(state)
  end

  defp take_in_or_abandon(news, state) do
    :running = take_in(news, state)
  catch
    kind, reason ->
      HelperPort.abandon(state.port)
      :erlang.raise(kind, reason, __STACKTRACE__)
  end

  # What a daemon that fails is logged with: not what the program is to be started with, which includes its environment, and of
  # its output how much it was. Called by OTP from 25 on, while it is a callback of Elixir's GenServer from 1.17 on.
  if Version.match?(System.version(), ">= 1.17.0-dev"), do: @impl(GenServer)
  @doc false
  @spec format_status(map()) :: map()
  def format_status(status), do: Map.new(status, &redact/1)

  defp redact({:state, %__MODULE__{launch: launch} = state}) when launch != nil,
    do: {:state, %{state | launch: :redacted}}

  defp redact({:message, {:continue, {:news, _news, bytes}}}), do: {:message, {:continue, {:news, {:bytes, bytes}}}}
  defp redact(other), do: other
end
