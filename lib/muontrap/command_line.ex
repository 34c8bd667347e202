# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.CommandLine do
  @moduledoc false
  # What the helper is started with: validated options as its command line and as the options of its port. Pure.

  alias MuonTrap.Cgroup
  alias MuonTrap.Cgroup.Settings

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
      args: arguments(options) ++ ["--", options.cmd | options.args],
      env: env(Map.get(options, :env, [])),
      parallelism: Map.get(options, :parallelism, false)
    ]
  end

  # For erlang:open_port/2 an empty value unsets the variable, so the helper sets those.
  defp env(env) do
    for {name, value} <- env, value != "" do
      {String.to_charlist(name), if(value == nil, do: false, else: String.to_charlist(value))}
    end
  end

  defp arguments(options), do: ["--port" | Enum.flat_map(options, &argument/1)] ++ output_arguments(options)

  defp argument({:cd, directory}), do: ["--cd", directory]
  defp argument({:arg0, name}), do: ["--arg0", name]
  defp argument({:env, env}), do: Enum.flat_map(env, &empty_variable/1)
  defp argument({:stdio_window, bytes}), do: ["--stdio-window", "#{bytes}"]
  defp argument({:delay_to_sigkill, ms}), do: ["--delay-to-sigkill", "#{ms}"]
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

  defp argument(_other), do: []

  defp setting({name, value}), do: ["--set", "#{name}=#{value}"]

  defp empty_variable({name, ""}), do: ["--setenv", name <> "="]
  defp empty_variable(_other), do: []

  defp output_arguments(%{capture_stderr_only: true}), do: ["--stdout", "null"]
  defp output_arguments(%{stderr_to_stdout: true}), do: ["--stderr", "stdout"]
  defp output_arguments(_options), do: ["--stderr", "inherit"]
end
