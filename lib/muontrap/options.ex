# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Options do
  @moduledoc """
  Validation of what the functions that start programs are given: `MuonTrap.cmd/3`, `MuonTrap.stream!/3`,
  `MuonTrap.Program.start_link/3` and `MuonTrap.Daemon.start_link/3`
  """

  require Logger

  alias MuonTrap.Cgroup.Settings
  alias MuonTrap.{Attributes, Cgroup, Feeder, ProcessTree, Stdio, StopSequence}

  # The helper's own bounds: WINDOW_FIXED_MOST and INT_MAX, and STOP_COMMAND_MOST.
  @most 0x7FFFFFFF
  @stop_command_most 64

  @cgroup [:cgroup_base, :cgroup_path, :cgroup, :cgroup_controllers, :cgroup_sets]
  @common [
    :cd,
    :env,
    :arg0,
    :parallelism,
    :stdio_window,
    :delay_to_sigkill,
    :stop_signal,
    :stop_sequence,
    :stop_command,
    :lock,
    :lock_timeout,
    :uid,
    :gid,
    :groups
    | @cgroup ++ Stdio.names() ++ Attributes.names()
  ]
  @collecting @common ++ [:input, :into, :lines, :timeout, :use_stdio, :hide]
  @allowed %{
    check: @cgroup,
    attach: [:delay_to_sigkill, :stop_signal, :stop_sequence, :stop_command, :active, :owner, :when_done | @cgroup],
    stream: @common ++ [:input, :exit],
    program: @common ++ [:active, :owner, :when_done],
    cmd: @collecting,
    shell: @collecting ++ [:close_stdin],
    daemon:
      @common ++
        [
          :name,
          :logger_fun,
          :log_output,
          :log_prefix,
          :log_transform,
          :logger_metadata,
          :max_line_length,
          :exit_status_to_reason,
          :wait_for,
          :hibernate_after
        ]
  }

  @typedoc """
  The options as a map, with `:cmd` (the program's absolute path) and `:args`, with `:command` (the program as it was given) and
  `:starter` (the context), and for `:cmd` with `:into`
  """
  @type t :: %{
          required(:cmd) => String.t(),
          required(:args) => [String.t()],
          required(:command) => String.t(),
          required(:starter) => context(),
          optional(atom()) => term()
        }

  @typedoc "Who starts the program"
  @type context :: :cmd | :shell | :stream | :program | :daemon

  @doc """
  Command, arguments and options of a supervisor's child of that module; raises `ArgumentError` when it is none

  What they are is for the start to check. The message shows nothing of them, for there may be secrets among them.
  """
  @spec child!(term(), String.t()) :: [term()]
  def child!([command], _module), do: [command, [], []]
  def child!([command, args], _module), do: [command, args, []]
  def child!([command, args, opts], _module), do: [command, args, opts]

  def child!(_other, module) do
    raise ArgumentError,
          "a child is {#{module}, [command, args, options]}, or without the options or the arguments, such as " <>
            ~s({#{module}, ["sleep", ["60"]]})
  end

  @doc false
  @spec name?(term()) :: boolean()
  def name?({:global, _name}), do: true
  def name?({:via, module, _name}), do: is_atom(module) and module not in [nil, true, false]
  def name?(name), do: is_atom(name) and name not in [nil, :undefined]

  @doc false
  @spec hibernate_after?(term()) :: boolean()
  def hibernate_after?(value), do: value == :infinity or integer?(value, 0)

  @doc """
  Check program, arguments and options, and return them as a map

  `context` says whose options they are: `:cmd` for those of `MuonTrap.cmd/3`, `:shell` for `MuonTrap.shell/2`, `:stream` for `MuonTrap.stream!/3`, `:program`
  for `MuonTrap.Program.start_link/3`, `:daemon` for `MuonTrap.Daemon.start_link/3`. The program is looked up as by `System.cmd/3`: an absolute path is taken as it is, anything else is looked for in the
  directories of `PATH`.

  Raises `ArgumentError` for an unknown option or a value of the wrong type, and for a null byte in any string;
  `ErlangError` with `:enoent` when the program doesn't exist, with `:eacces` when it can't be executed, and with another
  errno such as `:eloop` when its path can't be followed.

  ## Examples

      iex> options = MuonTrap.Options.validate(:cmd, "sh", ["-c", "exit 3"], timeout: 1000)
      iex> {Path.basename(options.cmd), options.args, options.timeout, options.into}
      {"sh", ["-c", "exit 3"], 1000, ""}

      iex> MuonTrap.Options.validate(:cmd, "sh", [], timeout: "soon")
      ** (ArgumentError) invalid option :timeout for MuonTrap.cmd/3: expected a positive number of milliseconds or :infinity, got: "soon"
  """
  @spec validate(context(), String.t(), [String.t()], keyword()) :: t()
  def validate(context, command, args, opts), do: context |> prepare(command, args, opts) |> complete(context)

  @doc """
  The first half of `validate/4`: all but what is to be found out when the program is about to be started, the environment that
  a function returns and the program's path. `complete/2` is the second half.
  """
  @spec prepare(context(), String.t(), [String.t()], keyword()) :: map()
  def prepare(context, command, args, opts) when context in [:cmd, :shell, :stream, :program, :daemon] do
    check_command!(context, command)
    check_args!(context, args)
    context |> check_options!(opts) |> Map.merge(%{cmd: command, args: args, command: command, starter: context})
  end

  @doc false
  @spec complete(map(), context()) :: t()
  def complete(options, context) do
    options |> evaluate_env(context) |> Map.delete(:wait_for) |> find_program() |> find_stop_command!(context)
  end

  @doc """
  The same for `MuonTrap.cmd/3` and `MuonTrap.shell/2`, except that `:cmd` may be left a name for the helper to look for, and be executed, in the
  directories of `PATH`

  The helper finds it in a tenth of the time. It is left to it when it finds the same, and nothing is lost should there be no such
  program: when `PATH` is the VM's, no directory in it is relative, and the user is the VM's; and when `:into` is a value and not
  something like a file, which would have been opened for nothing. `find_program/1` then tells why the helper found none.
  """
  @spec complete_for_helper(map(), :cmd | :shell) :: map()
  def complete_for_helper(options, context) do
    options = options |> evaluate_env(context) |> find_stop_command!(context)
    if helper_finds_same?(options), do: options, else: find_program(options)
  end

  defp helper_finds_same?(%{cmd: command, into: into} = options) do
    command != "" and not String.contains?(command, "/") and (is_binary(into) or is_list(into)) and
      not Enum.any?([:uid, :gid, :groups], &is_map_key(options, &1)) and
      not Map.get(options, :clear_env, false) and not is_map_key(Map.get(options, :env, %{}), "PATH") and
      Enum.all?(path(), &String.starts_with?(&1, "/"))
  end

  @doc """
  Make `:cmd` a path; raises as `validate/4` does
  """
  @spec find_program(map()) :: t()
  def find_program(options), do: %{options | cmd: find!(options.cmd, options.args)}

  # Now, when somebody hears of it, and not when the program is to be stopped.
  defp find_stop_command!(%{stop_command: [command | args]} = options, context) do
    found = if Path.type(command) == :absolute, do: executable(command) == :ok && command, else: find_in_path(command)

    unless found do
      raise ArgumentError,
            "the program #{inspect(command)} of the option :stop_command for #{operation(context)} can't be found, or not be executed"
    end

    %{options | stop_command: [found | args]}
  end

  defp find_stop_command!(options, _context), do: options

  # A function keeps the environment out of what a supervisor logs of its children's arguments.
  defp evaluate_env(%{env: fun} = options, context) when is_function(fun),
    do: put_value!(context, {:env, fun.()}, options)

  defp evaluate_env(options, _context), do: options

  @doc """
  Check the options of `MuonTrap.check/1`, and return them as a map

  Raises `ArgumentError` as `validate/4` does.
  """
  @spec validate_check(keyword()) :: map()
  def validate_check(opts), do: check_options!(:check, opts)

  # The kernel's PID_MAX_LIMIT, less one
  @pid_most 0x3FFFFF

  @doc """
  Check the arguments of `MuonTrap.attach/2`, and return them as a map, with the process as `:attach`, and what it executes as
  `:command` and `:args`

  Raises `ArgumentError` as `validate/4` does.
  """
  @spec validate_attach(pos_integer(), keyword()) :: map()
  def validate_attach(os_pid, opts) do
    unless is_integer(os_pid) and os_pid in 1..@pid_most do
      raise ArgumentError,
            "the process for MuonTrap.attach/2 must be an OS process id from 1 to #{@pid_most}, got: #{inspect(os_pid)}"
    end

    {command, args} = ProcessTree.command(os_pid)

    :attach
    |> check_options!(opts)
    |> find_stop_command!(:attach)
    |> Map.merge(%{attach: os_pid, command: command, args: args, starter: :attach})
  end

  @doc """
  Options that are looked at before they are validated; raises `ArgumentError` unless they are a keyword list

  The message shows nothing of them, for there may be secrets among them.
  """
  @spec keyword!(context() | :check | :attach, term()) :: keyword()
  def keyword!(context, opts) do
    if Keyword.keyword?(opts),
      do: opts,
      else:
        raise(
          ArgumentError,
          "options for #{operation(context)} must be a keyword list such as [cd: \"/tmp\"], got #{kind(opts)}"
        )
  end

  defp kind(opts) when is_map(opts), do: "a map"
  defp kind(opts) when is_list(opts), do: "a list with other elements than pairs of an atom and a value"
  defp kind(_opts), do: "another term"

  defp check_options!(context, opts) do
    keyword!(context, opts)
    options = Enum.reduce(opts, defaults(context), &put!(context, &1, &2))
    check_combination!(context, options)
    options
  end

  defp defaults(context) when context in [:cmd, :shell], do: %{into: ""}
  defp defaults(_context), do: %{}

  defp operation(:cmd), do: "MuonTrap.cmd/3"
  defp operation(:shell), do: "MuonTrap.shell/2"
  defp operation(:stream), do: "MuonTrap.stream!/3"
  defp operation(:program), do: "MuonTrap.Program.start_link/3"
  defp operation(:daemon), do: "MuonTrap.Daemon.start_link/3"
  defp operation(:check), do: "MuonTrap.check/1"
  defp operation(:attach), do: "MuonTrap.attach/2"

  defp check_command!(context, command) do
    unless text?(command) do
      raise ArgumentError,
            "the program for #{operation(context)} must be a string without null bytes, got: #{inspect(command)}"
    end
  end

  defp check_args!(context, args) do
    unless is_list(args) and proper?(args) and Enum.all?(args, &text?/1) do
      raise ArgumentError,
            "the arguments for #{operation(context)} must be a list of strings without null bytes, got: #{inspect(args)}"
    end
  end

  defp put!(context, {:env, fun}, options) when is_function(fun, 0) and context != :check,
    do: Map.put(options, :env, fun)

  defp put!(context, {name, value}, options) do
    unless name in @allowed[context] do
      raise ArgumentError,
            "unknown option #{inspect(name)} for #{operation(context)}; the options are " <>
              Enum.map_join(@allowed[context], ", ", &inspect/1)
    end

    put_value!(context, {name, value}, options)
  end

  defp put_value!(context, {name, value}, options) do
    case check(name, value) do
      :ok ->
        Map.put(options, name, normal(name, value))

      {:error, expected} ->
        raise ArgumentError,
              "invalid option #{inspect(name)} for #{operation(context)}: expected #{expected}#{got(name, value)}"
    end
  end

  # The environment may hold secrets, which must not get into a log with this message. The names say which variable is wrong.
  defp got(:env, value), do: wrong_variables(value)
  # What is written to a program may be as secret, and large.
  defp got(:input, _value), do: ""
  defp got(_name, value), do: ", got: #{inspect(value)}"

  defp wrong_variables(value) do
    with true <- enumerable?(value),
         names when names != [] <- for({name, _value} = pair <- value, not env_pair?(pair), do: inspect(name)) do
      "; wrong are those with the names #{Enum.join(names, ", ")}"
    else
      _unknown -> ""
    end
  end

  # Of several variables of one name the last counts.
  defp normal(:env, value), do: Map.new(value)
  defp normal(:lock, value), do: Path.expand(value)
  defp normal(name, value), do: Stdio.normal(name, value)

  defp check_combination!(context, options) do
    if conflict = Stdio.conflict(options), do: raise(ArgumentError, "#{operation(context)}: #{conflict}")

    if options[:stop_sequence] && (options[:stop_signal] || options[:delay_to_sigkill]) do
      raise ArgumentError,
            "the option :stop_sequence for #{operation(context)} has the signals and the times of all steps, so that " <>
              ":stop_signal and :delay_to_sigkill can't be given beside it"
    end

    if options[:lock_timeout] && !options[:lock] do
      raise ArgumentError, "the option :lock_timeout for #{operation(context)} needs :lock, the file to lock"
    end

    if options[:cgroup_base] && options[:cgroup_path] do
      raise ArgumentError,
            "the options :cgroup_base and :cgroup_path for #{operation(context)} exclude each other: with the first a new " <>
              "cgroup is made below it, with the second that very cgroup is used"
    end

    # An empty map is what MuonTrap.Daemon.cgroup_config/1 returns without a cgroup.
    with false <- is_map_key(options, :cgroup_base) or is_map_key(options, :cgroup_path),
         name when name != nil <-
           Enum.find([:cgroup, :cgroup_controllers, :cgroup_sets], &(Map.get(options, &1, []) not in [[], %{}])) do
      raise ArgumentError,
            "the option #{inspect(name)} for #{operation(context)} needs :cgroup_base, below which a new cgroup is made, " <>
              "or :cgroup_path, the cgroup to use"
    end
  end

  defp check(:into, value),
    do: expect(Collectable.impl_for(value) != nil, "a Collectable such as a string, a list or a stream")

  defp check(:input, value) do
    expect(
      Feeder.iodata?(value) or enumerable?(value),
      "iodata (a binary, or a list of bytes and binaries) or an enumerable of iodata"
    )
  end

  defp check(:active, value),
    do: expect(value in [true, false, :once] or integer?(value, 1), "true, false, :once or a positive number")

  defp check(:owner, value), do: expect(is_pid(value), "a process")
  defp check(:when_done, value), do: expect(value in [:stay, :stop], ":stay or :stop")
  defp check(:exit, value), do: expect(value in [:raise, :return], ":raise or :return")
  defp check(:lines, value), do: expect(integer?(value, 1), "a number of bytes from 1 to #{@most}")
  defp check(name, value) when name in [:hide, :close_stdin], do: expect(is_boolean(value), "true or false")

  # Helper and library speak over the pipes that the port has in place of standard input and output.
  defp check(:use_stdio, value) do
    expect(
      value == true,
      "true, because the program has no way to the VM's own standard input and output; System.cmd/3 gives it these, and so " <>
        "does the muontrap command in a shell"
    )
  end

  defp check(:timeout, value),
    do: expect(value == :infinity or integer?(value, 1), "a positive number of milliseconds or :infinity")

  defp check(:cd, value), do: expect(text?(value) and value != "", "a directory as a string without null bytes")
  defp check(:arg0, value), do: expect(text?(value), "a string without null bytes")

  defp check(:env, value) do
    expect(
      enumerable?(value) and Enum.all?(value, &env_pair?/1),
      "a list of {name, value}, or a function without arguments that returns one, with strings without null bytes, the " <>
        "name neither empty nor with an = in it, the value nil to unset the variable"
    )
  end

  defp check(:parallelism, value), do: expect(is_boolean(value), "true or false")

  defp check(:stdio_window, value), do: expect(integer?(value, 1), "a number of bytes from 1 to #{@most}")
  defp check(:delay_to_sigkill, value), do: expect(integer?(value, 0), "a number of milliseconds from 0 to #{@most}")

  defp check(:stop_signal, value),
    do: expect(StopSequence.stop_signal?(value), "a signal that a program can end by itself for, such as :sigint")

  defp check(:stop_sequence, value) do
    expect(
      StopSequence.steps?(value),
      "up to 8 signals that a program can end by itself for, each with the milliseconds before the next one, such as " <>
        "[sigint: 10_000, sigterm: 5_000]"
    )
  end

  defp check(:stop_command, value) do
    expect(
      is_list(value) and value != [] and proper?(value) and Enum.all?(value, &text?/1) and hd(value) != "" and
        length(value) <= @stop_command_most,
      "a list of a program and its arguments, up to #{@stop_command_most} strings without null bytes"
    )
  end

  defp check(:lock, value), do: expect(text?(value) and value != "", "a file as a string without null bytes")

  defp check(:lock_timeout, value),
    do: expect(value == :infinity or integer?(value, 0), "a number of milliseconds from 0 to #{@most} or :infinity")

  defp check(:max_line_length, value), do: expect(integer?(value, 1), "a number of bytes from 1 to #{@most}")

  defp check(name, value) when name in [:uid, :gid],
    do: expect(id?(value), "a positive number or a name, never 0 or root's")

  defp check(:groups, value),
    do:
      expect(is_list(value) and proper?(value) and Enum.all?(value, &group?/1), "a list of positive numbers and names")

  defp check(:cgroup, value), do: Settings.check(value)
  defp check(:cgroup_base, :auto), do: :ok

  # The helper would take it for what cgroup_base: :auto is.
  defp check(:cgroup_path, "auto"),
    do: expect(false, ~s(another path than "auto", a word of its own on the helper's command line))

  defp check(name, value) when name in [:cgroup_base, :cgroup_path] do
    expect(
      Cgroup.path?(value),
      "a path below the mount of cgroup2 as a string#{if name == :cgroup_base, do: ", or :auto"}, without leading or " <>
        ~s(trailing slash, empty parts, parts "." or ".." and null bytes)
    )
  end

  defp check(:cgroup_controllers, value),
    do:
      expect(
        is_list(value) and proper?(value) and Enum.all?(value, &controller?/1),
        ~s(a list of names such as "memory")
      )

  defp check(:cgroup_sets, value) do
    expect(
      is_list(value) and proper?(value) and Enum.all?(value, &cgroup_set?/1),
      ~s(a list of {controller, name, value} such as {"memory", "memory.max", 268_435_456}, the value a string or integer)
    )
  end

  # nil is no name, for callers who pass on an option of their own.
  defp check(:name, value), do: expect(value == nil or name?(value), "an atom, {:global, term} or {:via, module, term}")

  defp check(:logger_fun, value),
    do:
      expect(
        is_function(value, 1) or mfargs?(value),
        "a function of one argument, {module, function} or {module, function, args}"
      )

  defp check(:log_output, value),
    do: expect(log_level?(value) or log_levels?(value), "a log level such as :debug, or [stdout: level, stderr: level]")

  defp check(:log_prefix, value), do: expect(is_binary(value), "a string")
  defp check(:log_transform, value), do: expect(is_function(value, 1), "a function of one argument")
  defp check(:logger_metadata, value), do: expect(Keyword.keyword?(value), "a keyword list")
  defp check(:exit_status_to_reason, value), do: expect(is_function(value, 1), "a function of one argument")

  defp check(:hibernate_after, value),
    do: expect(hibernate_after?(value), "a number of milliseconds from 0 to #{@most} or :infinity")

  defp check(:wait_for, value), do: expect(is_function(value, 0), "a function without arguments")

  defp check(name, value),
    do: if(name in Attributes.names(), do: Attributes.check(name, value), else: Stdio.check(name, value))

  defp expect(true, _expected), do: :ok
  defp expect(false, expected), do: {:error, expected}

  # Of functions only those of arity 2 are.
  defp enumerable?(value),
    do: Enumerable.impl_for(value) != nil and proper?(value) and (not is_function(value) or is_function(value, 2))

  defp proper?(value), do: not (is_list(value) and List.improper?(value))
  defp text?(value), do: is_binary(value) and not String.contains?(value, <<0>>)
  defp integer?(value, least), do: is_integer(value) and value >= least and value <= @most
  # (uid_t)-1 and (gid_t)-1 mean "leave it as it is" to the system calls, so they are no ids.
  defp id?(value), do: (is_integer(value) and value > 0 and value < 0xFFFFFFFF) or (text?(value) and value != "")
  defp group?(value), do: id?(value) and not (is_binary(value) and String.contains?(value, ","))
  defp controller?(value), do: text?(value) and value != ""

  defp cgroup_set?({controller, name, value}),
    do: controller?(controller) and Cgroup.file_name?(name) and (is_integer(value) or text?(value))

  defp cgroup_set?(_value), do: false
  defp log_level?(value), do: value in [:emergency, :alert, :critical, :error, :warning, :warn, :notice, :info, :debug]

  defp log_levels?(value) do
    Keyword.keyword?(value) and value != [] and Keyword.keys(value) -- [:stdout, :stderr] == [] and
      Enum.all?(Keyword.values(value), &log_level?/1)
  end

  defp mfargs?({module, function}), do: is_atom(module) and is_atom(function)
  defp mfargs?({module, function, args}), do: is_atom(module) and is_atom(function) and is_list(args) and proper?(args)
  defp mfargs?(_value), do: false

  defp env_pair?({name, value}) do
    text?(name) and name != "" and not String.contains?(name, "=") and String.valid?(name) and
      (value == nil or (text?(value) and String.valid?(value)))
  end

  defp env_pair?(_value), do: false

  # As System.cmd/3 has it: what is absolute is taken as it is, all else is looked for. The stack trace shows the arguments
  # here, and is logged when a daemon fails to start: that is why the options, with the environment, are not among them.
  defp find!(command, args) do
    if Path.type(command) == :absolute do
      case executable(command) do
        :ok -> command
        {:error, reason} -> :erlang.error(reason, [command, args])
      end
    else
      find_in_path(command) || :erlang.error(:enoent, [command, args])
    end
  end

  # As System.find_executable/1, but without a message to the file server and back for each directory of PATH, which takes
  # longer than the helper takes to start the program. An empty part of PATH is the current directory, which is the VM's here
  # and may be another one for the program.
  defp find_in_path(command) do
    Enum.find_value(path(), fn directory ->
      file = Path.join(if(directory == "", do: ".", else: directory), command)
      if executable(file) == :ok, do: Path.absname(file)
    end)
  end

  defp path(), do: "PATH" |> System.get_env("") |> String.split(":")

  defp executable(path) do
    case :file.read_file_info(path, [:raw]) do
      {:ok, info} when elem(info, 2) == :regular and Bitwise.band(elem(info, 7), 0o111) != 0 -> :ok
      {:ok, _other} -> {:error, :eacces}
      {:error, reason} when reason in [:enoent, :enotdir] -> {:error, :enoent}
      {:error, reason} -> {:error, reason}
    end
  end
end
