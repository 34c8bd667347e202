# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.CommandLine do
  @moduledoc false
  # What the helper is started with, or is sent: validated options as its command line and as the options of its port. Pure,
  # but for a look at the VM's environment where the program is to have nothing of it.

  alias MuonTrap.Cgroup
  alias MuonTrap.Cgroup.Settings
  alias MuonTrap.{Attributes, Protocol, Signal, Stdio}

  # What the helper sets for a program that runs as another user (login_variables of options.c).
  @login_variables ["HOME", "USER", "LOGNAME", "SHELL"]

  # A helper of another version than the library's refuses it.
  @port "--port=" <> Mix.Project.config()[:version]

  # The helper's SETENV_MOST
  @variables_most 128

  @doc """
  The helper's command line, as it can be sent to one that waits; `nil` where it takes a new helper

  That is so with a lock and with a process to attach to, which both of the helper's processes have to have, and for what is
  larger than a launch may be.
  """
  @spec launch(map()) :: [String.t()] | nil
  def launch(%{attach: _os_pid}), do: nil

  def launch(options) do
    env = Map.get(options, :env, %{})

    unless is_map_key(options, :lock) or Map.get(options, :parallelism, false) or
             map_size(env) > @variables_most or not Enum.all?(env, &same_bytes?/1) do
      arguments =
        if(options[:clear_env], do: ["--clear-env"], else: []) ++
          Enum.flat_map(env, &variable/1) ++
          login_arguments(options) ++ arguments(Map.delete(options, :env)) ++ ["--", options.cmd | options.args]

      if Protocol.launch_fits?(arguments), do: arguments
    end
  end

  defp variable({name, nil}), do: ["--unsetenv", name]
  defp variable({name, value}), do: ["--setenv", name <> "=" <> value]

  # A VM whose files have names in latin1 would give variables to a port in that, too.
  defp same_bytes?({name, value}),
    do: :file.native_name_encoding() == :utf8 or (ascii?(name) and (value == nil or ascii?(value)))

  defp ascii?(text), do: byte_size(text) == String.length(text)

  @doc """
  The options for `Port.open/2` with a helper that waits for what `launch/1` returns
  """
  @spec waiting_port_options() :: list()
  def waiting_port_options(), do: [:binary, :exit_status, :use_stdio, packet: 4, args: [@port]]

  @doc """
  The options for `Port.open/2`, in which a `:cgroup_base` has become a `:cgroup_path`
  """
  @spec port_options(map()) :: list()
  def port_options(options) do
    [
      :binary,
      :exit_status,
      :use_stdio,
      packet: 4,
      args:
        [@port | login_arguments(options)] ++
          unspeakable_arguments(options) ++ arguments(options) ++ operands(options),
      env: cleared(options) ++ env(Map.get(options, :env, [])),
      parallelism: Map.get(options, :parallelism, false)
    ]
  end

  defp operands(%{attach: os_pid}), do: ["--attach", "#{os_pid}"]
  defp operands(options), do: ["--", options.cmd | options.args]

  # The helper starts with what the program is to have, and needs nothing more.
  defp cleared(%{clear_env: true} = options) do
    for {name, _value} <- System.get_env(),
        not is_map_key(Map.get(options, :env, %{}), name),
        do: {String.to_charlist(name), false}
  end

  defp cleared(_options), do: []

  # A VM whose files have names in UTF-8 sees the bytes of a name that is none as characters, and to a port it says these in
  # UTF-8, which is another name. The helper is told of the bytes.
  defp unspeakable_arguments(%{clear_env: true}) do
    for {name, _value} <- System.get_env(),
        :file.native_name_encoding() == :utf8 and not ascii?(name),
        bytes = :unicode.characters_to_binary(name, :utf8, :latin1),
        is_binary(bytes),
        arg <- ["--unsetenv", bytes],
        do: arg
  end

  defp unspeakable_arguments(_options), do: []

  # For erlang:open_port/2 an empty value unsets the variable, so the helper sets those.
  defp env(env) do
    for {name, value} <- env, value != "" do
      {String.to_charlist(name), if(value == nil, do: false, else: String.to_charlist(value))}
    end
  end

  # What was started already has its own.
  defp arguments(%{attach: _os_pid} = options), do: Enum.flat_map(options, &argument/1)

  defp arguments(options),
    do: Enum.flat_map(options, &argument/1) ++ Stdio.arguments(options)

  defp argument({:cd, directory}), do: ["--cd", directory]
  defp argument({:arg0, name}), do: ["--arg0", name]
  defp argument({:env, env}), do: Enum.flat_map(env, &empty_variable/1)
  defp argument({:stdio_window, bytes}), do: ["--stdio-window", "#{bytes}"]
  defp argument({:delay_to_sigkill, ms}), do: ["--delay-to-sigkill", "#{ms}"]
  defp argument({:stop_signal, signal}), do: ["--stop-signal", Signal.name(signal)]

  defp argument({:stop_sequence, steps}),
    do: Enum.flat_map(steps, fn {signal, ms} -> ["--stop-signal", "#{Signal.name(signal)}:#{ms}"] end)

  defp argument({:stop_command, words}), do: Enum.flat_map(words, &["--stop-command", &1])
  defp argument({:lock, file}), do: ["--lock", file]
  defp argument({:lock_timeout, ms}) when is_integer(ms), do: ["--lock-timeout", "#{ms}"]
  defp argument({:uid, user}), do: ["--uid", "#{user}"]
  defp argument({:gid, group}), do: ["--gid", "#{group}"]
  defp argument({:groups, groups}), do: ["--groups", Enum.map_join(groups, ",", &to_string/1)]
  defp argument({:cgroup_path, path}), do: Cgroup.arguments(path)
  defp argument({:cgroup_controllers, names}), do: Enum.flat_map(names, &["--controller", &1])
  defp argument({:cgroup, settings}), do: settings |> Settings.render() |> Enum.flat_map(&setting/1)

  # The helper would enable the controllers that the settings need. The user may have named others in the tuples.
  defp argument({:cgroup_sets, sets}) do
    controllers = sets |> Enum.map(fn {controller, _name, _value} -> controller end) |> Enum.uniq()

    Enum.flat_map(controllers, &["--controller", &1]) ++
      Enum.flat_map(sets, fn {_controller, name, value} -> setting({name, value}) end)
  end

  defp argument(other), do: Attributes.arguments(other)

  defp setting({name, value}), do: ["--set", "#{name}=#{value}"]

  defp empty_variable({name, ""}), do: ["--setenv", name <> "="]
  defp empty_variable(_other), do: []

  # The helper can't tell what was asked for from what the VM itself has.
  defp login_arguments(%{uid: _user, env: env}),
    do: env |> Map.take(@login_variables) |> Map.keys() |> Enum.flat_map(&["--keepenv", &1])

  defp login_arguments(_options), do: []
end
