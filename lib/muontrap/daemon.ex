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
  program is stopped: SIGTERM, then SIGKILL after `:delay_to_sigkill`, and SIGKILL to everything that descends from it.
  Stopping waits until all of that is dead, so the program of a restarted daemon never meets its predecessor, not even
  when the daemon's process or its supervisor was killed (then the next one of the same program and arguments waits in
  its place). The `:shutdown` of the child specification leaves time for that.

  Several daemons under one supervisor need ids of their own:

      Supervisor.child_spec({MuonTrap.Daemon, ["my_server", []]}, id: :server1)

  ## Options

  Those of `MuonTrap.cmd/3` other than `:into` and `:timeout`, and:

    * `:name` - register the daemon under this name, see the "Name registration" section of `GenServer`
    * `:log_output` - log each line of the output at this level, e.g. `:debug`. By default output is thrown away
    * `:log_prefix` - what each logged line begins with. Defaults to the program's path, a colon and a space
    * `:log_transform` - a function that takes a line and returns what is logged of it. Defaults to replacing what is not
      UTF-8
    * `:logger_fun` - a function of one argument, or `{module, function, args}` to which the line is prepended, that is
      called with each line. `:log_output`, `:log_prefix`, `:log_transform` and `:logger_metadata` don't count then
    * `:logger_metadata` - keyword list merged into the daemon's logger metadata, besides `:muontrap_cmd` and
      `:muontrap_args`, which are always there
    * `:max_line_length` - bytes after which a line is passed on in pieces. Defaults to 65,536. With `:log_output` the
      pieces are smaller if Logger's own limit is (`config :logger, truncate: bytes`, by default 8 KB)
    * `:stderr_to_stdout` - `true` to treat stderr as output. Without it stderr goes to where the VM's own goes
    * `:capture_stderr_only` - `true` to treat stderr as the output and throw stdout away
    * `:exit_status_to_reason` - a function from the exit status (0 to 255, 128 plus the signal's number when a signal
      ended the program) to the reason that the daemon stops with. By default that is `:normal` for 0, `:oom_killed`
      for another when the kernel's OOM killer struck in the program's cgroup, and `:error_exit_status` for all else
    * `:wait_for` - a function without arguments that is called before the program is started, in the daemon's `init`; the
      supervisor waits meanwhile. What it returns is ignored, and when it raises, the program isn't started

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
  """

  use GenServer

  alias MuonTrap.Cgroup.{Settings, Statistics}
  alias MuonTrap.{Cgroup, Error, HelperPort, Lines, Options, Reaper}

  require Logger

  @max_line_length 65_536
  @delay_to_sigkill 500
  # Milliseconds that the dead have to be collected in, on a machine under load, after the SIGKILL.
  @time_to_bury 5_000

  defstruct [:port, :options, :lines, :log]

  @doc """
  Return a child specification

  It takes `[command, args]` or `[command, args, options]`. `:restart` is `:permanent`, `:shutdown` follows
  `:delay_to_sigkill`.

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
  def child_spec([command, args]), do: child_spec([command, args, []])

  def child_spec([command, args, opts]) do
    %{
      id: __MODULE__,
      start: {__MODULE__, :start_link, [command, args, opts]},
      type: :worker,
      restart: :permanent,
      shutdown: shutdown(opts)
    }
  end

  # Wrong options are start_link/3's to refuse.
  defp shutdown(opts) do
    case is_list(opts) and List.keyfind(opts, :delay_to_sigkill, 0) do
      {:delay_to_sigkill, delay} when is_integer(delay) -> delay + @time_to_bury
      _default -> @delay_to_sigkill + @time_to_bury
    end
  end

  @doc """
  Start a daemon linked to the calling process

  It returns when the program runs. The options, and what is returned when it doesn't, are in the module's documentation.

      iex> {:ok, daemon} = MuonTrap.Daemon.start_link("sleep", ["60"], name: MyDaemon)
      iex> is_integer(MuonTrap.Daemon.os_pid(MyDaemon))
      true
      iex> GenServer.stop(daemon)
      :ok
  """
  @spec start_link(String.t(), [String.t()], keyword()) :: GenServer.on_start()
  def start_link(command, args, opts \\ []) do
    GenServer.start_link(__MODULE__, {command, args, opts}, name_option(opts))
  end

  # Only a name that Options would let pass reaches GenServer, which raises for others; init refuses those.
  defp name_option(opts) do
    with true <- Keyword.keyword?(opts),
         name when name != nil <- Keyword.get(opts, :name),
         true <- Options.name?(name) do
      [name: name]
    else
      _none -> []
    end
  end

  @doc """
  Return the OS process id of the `muontrap` helper that runs the program

  `:error` when there is none.
  """
  @spec os_pid(GenServer.server()) :: non_neg_integer() | :error
  def os_pid(server), do: GenServer.call(server, :os_pid)

  @doc """
  Return the path of the program's cgroup

  It is relative to where the cgroup2 file system is mounted, usually /sys/fs/cgroup: with `cgroup_base: "muontrap"` it is
  one like `"muontrap/3f0c5a9be1d7"`. `nil` when the program runs in no cgroup of its own.

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
    options = Options.validate(:daemon, command, args, opts)
    Logger.metadata(metadata(command, options))
    Map.get(options, :wait_for, fn -> :ok end).()

    key = {options.cmd, args}
    Reaper.await(key)

    # So that terminate/2 is called when the supervisor wants the daemon to end.
    Process.flag(:trap_exit, true)

    case HelperPort.start(options, {key, parent()}) do
      {:ok, port} -> {:ok, new(port, options)}
      {:error, error} -> {:stop, error}
    end
  end

  defp metadata(command, options) do
    options
    |> Map.get(:logger_metadata, [])
    |> Keyword.merge(muontrap_cmd: command, muontrap_args: Enum.join(options.args, " "))
  end

  # The supervisor, or whoever else called start_link/3 (proc_lib:start_link/5).
  defp parent() do
    case Process.get(:"$ancestors") do
      [parent | _rest] when is_pid(parent) -> parent
      [parent | _rest] when is_atom(parent) -> Process.whereis(parent)
      _none -> nil
    end
  end

  defp new(port, options) do
    log = logger(options)

    %__MODULE__{
      port: port,
      options: options,
      lines: Lines.new(Map.get(options, :max_line_length, @max_line_length)),
      log: log
    }
  end

  # The function that each line is given to; nil when nobody wants lines.
  defp logger(%{logger_fun: {module, function, args}}), do: fn line -> apply(module, function, [line | args]) end
  defp logger(%{logger_fun: fun}), do: fun

  defp logger(%{log_output: level} = options) do
    prefix = Map.get(options, :log_prefix, options.cmd <> ": ")
    transform = Map.get(options, :log_transform, &replace_invalid/1)
    level = if level == :warn, do: :warning, else: level
    # Logger cuts off what is longer than its limit, and then says that it has, which need not happen to a line.
    limit = max(Application.get_env(:logger, :truncate, 8 * 1024) |> limit() |> Kernel.-(byte_size(prefix)), 80)

    fn line ->
      for piece <- line |> transform.() |> IO.chardata_to_string() |> Lines.cut(limit) do
        Logger.log(level, [prefix, piece])
      end
    end
  end

  defp logger(_options), do: nil

  defp limit(:infinity), do: @max_line_length
  defp limit(bytes), do: bytes

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
  def handle_call(:os_pid, _from, state), do: {:reply, HelperPort.os_pid(state.port) || :error, state}

  def handle_call(:cgroup_path, _from, state), do: {:reply, HelperPort.cgroup(state.port), state}

  def handle_call({:cgget, name}, _from, state),
    do: {:reply, with_cgroup(state, {:error, :no_cgroup}, &Cgroup.read(&1, name)), state}

  def handle_call({:cgset, name, value}, _from, state),
    do: {:reply, with_cgroup(state, {:error, :no_cgroup}, &Cgroup.write(&1, name, value)), state}

  def handle_call(:cgroup_config, _from, state), do: {:reply, with_cgroup(state, %{}, &Settings.read/1), state}

  def handle_call(:statistics, _from, state) do
    statistics = %{
      output_byte_count: HelperPort.received(state.port),
      cgroup: with_cgroup(state, %{}, &Statistics.read/1)
    }

    {:reply, statistics, state}
  end

  # In this process and not in the caller, which may be on another machine.
  defp with_cgroup(state, without, fun) do
    case HelperPort.cgroup(state.port) do
      nil -> without
      path -> fun.(path)
    end
  end

  @impl GenServer
  def handle_info(message, state) do
    case HelperPort.handle(state.port, message) do
      {event, port} -> handle_event(event, %{state | port: port})
      :unknown -> handle_other(message, state)
    end
  end

  # As if exits weren't trapped.
  defp handle_other({:EXIT, _pid, :normal}, state), do: {:noreply, state}
  defp handle_other({:EXIT, _pid, reason}, state), do: {:stop, reason, state}
  defp handle_other(_message, state), do: {:noreply, state}

  # What the user's functions do comes once the port has left the state: should one raise, terminate/2 is called with the
  # state from before, and must not wait for an end that has been told already.
  defp handle_event({:exited, ending}, state) do
    if ending.oom_killed, do: log_oom(ending, state)
    HelperPort.close(state.port)
    {:noreply, %{state | port: nil}, {:continue, {:exited, ending}}}
  end

  defp handle_event({:error, %Error{reason: :vanished} = error}, state) do
    HelperPort.close(state.port)
    {:noreply, %{state | port: nil}, {:continue, {:vanished, error}}}
  end

  defp handle_event(event, state), do: {:noreply, take(event, state)}

  @impl GenServer
  def handle_continue({:exited, ending}, state), do: {:stop, reason(ending, finish_lines(state)), state}

  def handle_continue({:vanished, error}, state) do
    state = finish_lines(state)
    Logger.error("#{state.options.cmd}: #{error.message}")
    {:stop, error, state}
  end

  defp take({stream, data}, state) when stream in [:stdout, :stderr] do
    state = log_lines(data, state)
    %{state | port: HelperPort.acknowledge(state.port)}
  end

  # The helper stops the program because of it, and tells its end next.
  defp take({:error, error}, state) do
    Logger.error("#{state.options.cmd}: #{error.message}")
    state
  end

  defp log_lines(_data, %{log: nil} = state), do: state

  defp log_lines(data, state) do
    {lines, rest} = Lines.push(state.lines, data)
    Enum.each(lines, state.log)
    %{state | lines: rest}
  end

  # A last line that has no newline.
  defp finish_lines(%{log: nil} = state), do: state

  defp finish_lines(state) do
    state.lines |> Lines.flush() |> Enum.each(state.log)
    %{state | lines: Lines.new(state.lines.limit)}
  end

  defp reason(%{status: status}, %{options: %{exit_status_to_reason: to_reason}}), do: to_reason.(status)
  defp reason(%{status: 0}, _state), do: :normal
  defp reason(%{oom_killed: true}, _state), do: :oom_killed

  defp reason(ending, state) do
    Logger.error("#{state.options.cmd}: the process #{describe(ending)}")
    :error_exit_status
  end

  # Whatever reason is made of it, and even if the program has coped with the loss of a child.
  defp log_oom(ending, state) do
    Logger.error(
      "#{state.options.cmd}: the kernel's OOM killer struck in the cgroup #{HelperPort.cgroup(state.port)}, because the " <>
        "memory that it may use (memory_max) or that the machine has was used up; the process #{describe(ending)}"
    )
  end

  defp describe(%{signal: nil, status: status}), do: "exited with status #{status}"
  defp describe(%{signal: signal}), do: "was ended by signal #{signal}"

  # Not before everything that descends from the program is dead does the daemon let its supervisor go on.
  @impl GenServer
  def terminate(_reason, %{port: nil}), do: :ok

  def terminate(_reason, state) do
    HelperPort.stop(state.port)
    await_end(state)
  end

  defp await_end(state) do
    {event, port} = HelperPort.next(state.port, :infinity)
    state = %{state | port: port}

    if HelperPort.last?(event) do
      HelperPort.close(port)
      finish_lines(state)
    else
      event |> take_or_abandon(state) |> await_end()
    end
  end

  defp take_or_abandon(event, state) do
    take(event, state)
  catch
    kind, reason ->
      HelperPort.abandon(state.port)
      :erlang.raise(kind, reason, __STACKTRACE__)
  end
end
