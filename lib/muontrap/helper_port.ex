# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.HelperPort do
  @moduledoc false
  # The one place where ports to the helper are opened, fed and closed, and where the bytes are counted that its window
  # goes by. Everything else is built on it: a loop around `next/2`, or `handle/2` in a GenServer's handle_info/2.
  #
  # The helper leaves after it has told all and the port is closed here, so no acknowledgement meets a closed pipe. When it
  # leaves before, the port has its exit status, which comes after all frames, and then closes by itself.

  alias MuonTrap.Cgroup.Settings
  alias MuonTrap.{Error, Protocol, Reaper}

  @enforce_keys [:port, :monitor, :reaper, :keeper]
  defstruct [:port, :monitor, :reaper, :keeper, :cgroup, spoken: false, received: 0, acknowledged: 0, discarding: false]

  @opaque t :: %__MODULE__{
            port: port(),
            monitor: reference(),
            reaper: pid(),
            keeper: pos_integer() | nil,
            cgroup: String.t() | nil,
            spoken: boolean(),
            received: non_neg_integer(),
            acknowledged: non_neg_integer(),
            discarding: boolean()
          }

  @doc """
  Start the helper with validated options, in which a `:cgroup_base` has become a `:cgroup_path`

  The next event is `{:started, pid, cgroup_path}` or `{:error, error}`. `key` is what a successor may wait for, see
  `MuonTrap.Reaper`.
  """
  @spec open(map(), term()) :: t()
  def open(options, key \\ nil) do
    port = MuonTrap.Helper.open(port_options(options))
    # At once, so that the number is there even when the helper has left since.
    keeper = Port.info(port, :os_pid)
    monitor = Port.monitor(port)
    reaper = Reaper.start(port, key)
    %__MODULE__{port: port, monitor: monitor, reaper: reaper, keeper: with({:os_pid, pid} <- keeper, do: pid)}
  end

  @doc """
  Choose the program's cgroup, open the port and wait until the program runs
  """
  @spec start(map(), term()) :: {:ok, t()} | {:error, Error.t()}
  def start(options, key \\ nil) do
    with {:ok, options} <- MuonTrap.Cgroup.choose(options) do
      case next(open(options, key), :infinity) do
        {{:started, _pid, _cgroup}, port} ->
          {:ok, port}

        {{:error, error}, port} ->
          close(port)
          {:error, error}
      end
    end
  end

  @doc """
  Wait for the next event, `:timeout` after so many milliseconds

  After `{:exited, ending}`, and after `{:error, error}` where the error's reason is `:vanished`, no event comes.
  """
  @spec next(t(), timeout()) :: {Protocol.event(), t()} | :timeout
  def next(%__MODULE__{port: port, monitor: monitor} = state, timeout) do
    receive do
      {^port, {:data, frame}} -> decoded(state, Protocol.decode(frame))
      {^port, {:exit_status, status}} -> {{:error, left(state, status)}, state}
      {:DOWN, ^monitor, :port, _port, _reason} -> {{:error, vanished(state)}, state}
    after
      timeout -> :timeout
    end
  end

  @doc """
  Turn a message into an event, if it is one of this port's
  """
  @spec handle(t(), term()) :: {Protocol.event(), t()} | :unknown
  def handle(%__MODULE__{port: port} = state, {port, {:data, frame}}), do: decoded(state, Protocol.decode(frame))

  def handle(%__MODULE__{port: port} = state, {port, {:exit_status, status}}),
    do: {{:error, left(state, status)}, state}

  def handle(%__MODULE__{monitor: monitor} = state, {:DOWN, monitor, :port, _port, _reason}),
    do: {{:error, vanished(state)}, state}

  def handle(%__MODULE__{}, _message), do: :unknown

  defp decoded(state, {stream, data} = event) when stream in [:stdout, :stderr],
    do: {event, %{state | received: state.received + byte_size(data)}}

  # The reaper kills and removes the cgroup should the helper vanish while the program is in it.
  defp decoded(state, {:started, _pid, cgroup} = event) when cgroup != "" do
    Reaper.entrust(state.reaper, cgroup)
    {event, %{state | spoken: true, cgroup: cgroup}}
  end

  defp decoded(%{cgroup: cgroup} = state, {:exited, _ending} = event) when cgroup != nil do
    Reaper.entrust(state.reaper, nil)
    {event, state}
  end

  defp decoded(state, event), do: {event, %{state | spoken: true}}

  @doc """
  Whether no event comes after this one
  """
  @spec last?(Protocol.event()) :: boolean()
  def last?({:exited, _ending}), do: true
  def last?({:error, %Error{reason: :vanished}}), do: true
  def last?(_event), do: false

  @doc """
  Tell the helper that everything received so far has been handled
  """
  @spec acknowledge(t()) :: t()
  def acknowledge(%__MODULE__{received: bytes, acknowledged: bytes} = state), do: state
  def acknowledge(%__MODULE__{discarding: true} = state), do: state

  def acknowledge(%__MODULE__{} = state) do
    command(state, {:ack, state.received - state.acknowledged})
    %{state | acknowledged: state.received}
  end

  @doc """
  Have the program and all its descendants ended

  What they write until then still comes, then `{:exited, ending}`.
  """
  @spec stop(t()) :: :ok
  def stop(%__MODULE__{} = state), do: command(state, :stop)

  @doc """
  The same, but what they have written and will write is of no interest: it doesn't come, and need not be acknowledged
  """
  @spec abandon(t()) :: t()
  def abandon(%__MODULE__{} = state) do
    command(state, :stop)
    command(state, :discard)
    %{state | discarding: true}
  end

  @doc """
  Close the port

  Whatever has not ended by then is ended as by `stop/1`. No message of the port is left in the mailbox.
  """
  @spec close(t()) :: :ok
  def close(%__MODULE__{port: port, monitor: monitor}) do
    Process.demonitor(monitor, [:flush])

    try do
      Port.close(port)
    rescue
      ArgumentError -> :ok
    end

    flush(port)
  end

  @doc """
  The OS process id of the helper's outer process
  """
  @spec os_pid(t()) :: pos_integer() | nil
  def os_pid(%__MODULE__{keeper: keeper}), do: keeper

  @doc """
  The path of the cgroup that the program is in, relative to the mount; `nil` without one
  """
  @spec cgroup(t()) :: String.t() | nil
  def cgroup(%__MODULE__{cgroup: cgroup}), do: cgroup

  @doc """
  How many bytes the program has written, as far as they have come
  """
  @spec received(t()) :: non_neg_integer()
  def received(%__MODULE__{received: received}), do: received

  # A port that has died has left its monitor's message, which says all that there is to say.
  defp command(state, command) do
    Port.command(state.port, Protocol.encode(command))
    :ok
  rescue
    ArgumentError -> :ok
  end

  defp flush(port) do
    receive do
      {^port, _} -> flush(port)
    after
      0 -> :ok
    end
  end

  # Before its first frame the helper can't have been started: the VM's child of that name leaves with the errno of exec.
  defp left(%{spoken: true} = state, _status), do: vanished(state)

  defp left(_state, status) do
    {reason, why} =
      case status do
        7 ->
          {:e2big,
           "program, arguments and environment are larger than the kernel takes (getconf ARG_MAX, and 128 KB each)"}

        8 ->
          {:enoexec, "it was built for another machine: compile it again (mix deps.compile muontrap --force)"}

        13 ->
          {:eacces, "it may not be executed: look at its mode, and whether its file system is mounted noexec"}

        status ->
          {:vanished, "it left with status #{status} before it said anything"}
      end

    %Error{stage: :setup, reason: reason, message: "cannot execute the helper #{MuonTrap.muontrap_path()}: #{why}"}
  end

  # What the keeper could not do any more is done when the reaper has ended.
  defp vanished(state) do
    Reaper.await_end(state.reaper)

    %Error{
      stage: :relay,
      reason: :vanished,
      message:
        "the helper was killed before it could tell how the program ended; the program and its descendants have been " <>
          "killed, and the last of their output may be missing (dmesg tells whether the kernel's OOM killer struck)"
    }
  end

  defp port_options(options) do
    [
      :binary,
      :exit_status,
      :use_stdio,
      packet: 4,
      args: helper_args(options) ++ ["--", options.cmd | options.args],
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

  defp helper_args(options), do: ["--port" | Enum.flat_map(options, &helper_arg/1)] ++ output_args(options)

  defp helper_arg({:cd, directory}), do: ["--cd", directory]
  defp helper_arg({:arg0, name}), do: ["--arg0", name]
  defp helper_arg({:env, env}), do: Enum.flat_map(env, &empty_variable/1)
  defp helper_arg({:stdio_window, bytes}), do: ["--stdio-window", "#{bytes}"]
  defp helper_arg({:delay_to_sigkill, ms}), do: ["--delay-to-sigkill", "#{ms}"]
  defp helper_arg({:uid, user}), do: ["--uid", "#{user}"]
  defp helper_arg({:gid, group}), do: ["--gid", "#{group}"]
  defp helper_arg({:groups, groups}), do: ["--groups", Enum.map_join(groups, ",", &to_string/1)]
  defp helper_arg({:cgroup_path, path}), do: ["--group", path]
  defp helper_arg({:cgroup_controllers, names}), do: Enum.flat_map(names, &["--controller", &1])
  defp helper_arg({:cgroup, settings}), do: settings |> Settings.render() |> Enum.flat_map(&setting/1)

  # The controllers, too, that the user has named, although the helper would know them by the settings.
  defp helper_arg({:cgroup_sets, sets}) do
    controllers = sets |> Enum.map(fn {controller, _name, _value} -> controller end) |> Enum.uniq()

    Enum.flat_map(controllers, &["--controller", &1]) ++
      Enum.flat_map(sets, fn {_controller, name, value} -> setting({name, value}) end)
  end

  defp helper_arg(_other), do: []

  defp setting({name, value}), do: ["--set", "#{name}=#{value}"]

  defp empty_variable({name, ""}), do: ["--setenv", name <> "="]
  defp empty_variable(_other), do: []

  defp output_args(%{capture_stderr_only: true}), do: ["--stdout", "null"]
  defp output_args(%{stderr_to_stdout: true}), do: ["--stderr", "stdout"]
  defp output_args(_options), do: ["--stderr", "inherit"]
end
