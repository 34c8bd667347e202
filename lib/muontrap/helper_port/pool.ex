# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.HelperPort.Pool do
  @moduledoc false
  # Helpers that wait ready. A helper that has told an uneventful end is as good as new, and starts the next program in a
  # fraction of the time that a new one takes. The pool holds a few that idle, hands them over, and takes them back. While one
  # is in use nothing goes through the pool.
  #
  #     config :muontrap, idle_helpers: 2, idle_timeout: 5_000
  #
  # A program must not find anything else in a helper that waited than in a new one. What only the VM knows is compared here
  # before one is handed over: its environment. When that has changed since, all helpers that there are belong to the past,
  # those in use included, and none is used again. All else the helper compares itself, when it gets a launch with --fresh, and
  # leaves if it isn't as a new one would be. None is used for another program that was started more than a minute ago.
  #
  # The environment may hold secrets, which must not be seen where the state is shown or logged. So it is kept in a private
  # table. The state holds data alone, so that the code can be loaded anew.

  use GenServer

  alias MuonTrap.{CommandLine, Helper, HelperPort}

  @name __MODULE__
  @idle_timeout 5_000
  @age_most 60_000
  # Milliseconds that a launch waits for the pool, and before whose end the pool hands nothing over any more.
  @patience 5_000
  @margin 500

  # surroundings: the table of what a helper takes over from the VM, as of surroundings/0; generation: a reference for that.
  # known: the helpers that were started in these surroundings, and when: %{port => milliseconds}.
  # idle: those that wait, {port, os_pid, since}, the one that has come last first.
  # ambiguous: whether the VM can't tell different environments apart.
  defstruct surroundings: nil, generation: nil, ambiguous: false, known: %{}, idle: [], timer: nil

  @doc """
  How many helpers may idle, as configured; raises for what is no number
  """
  @spec most() :: non_neg_integer()
  def most() do
    case Application.get_env(:muontrap, :idle_helpers) do
      nil ->
        System.schedulers_online()

      most when is_integer(most) and most >= 0 ->
        most

      other ->
        raise ArgumentError,
              "config :muontrap, idle_helpers: must be the number of helpers that may wait ready, or 0, got: #{inspect(other)}"
    end
  end

  @doc """
  Whether helpers wait at all; raises for a configuration that makes no sense
  """
  @spec used?() :: boolean()
  def used?() do
    case Application.get_env(:muontrap, :idle_timeout) do
      timeout when timeout == nil or (is_integer(timeout) and timeout > 0) ->
        most() > 0

      other ->
        raise ArgumentError,
              "config :muontrap, idle_timeout: must be the milliseconds that a helper waits for the next program, got: " <>
                inspect(other)
    end
  end

  # Who starts a program is told that the configuration is wrong. The pool goes on for those that run.
  defp room(state) do
    most() - length(state.idle)
  rescue
    ArgumentError -> 0
  end

  defp timeout() do
    case Application.get_env(:muontrap, :idle_timeout) do
      timeout when is_integer(timeout) and timeout > 0 -> timeout
      _none -> @idle_timeout
    end
  end

  @doc false
  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_arg), do: GenServer.start_link(__MODULE__, [], name: @name)

  @doc """
  Take a helper that waits. Its port is then connected and linked to the calling process.

  Beside that, or `nil` without any, it returns what `started/2` wants to know when the caller has started one; `nil` when there
  is no pool.

  Who takes it for a daemon will have it for long, and others may be started after this one. So new ones are started in their
  place meanwhile.
  """
  @spec take(:for_short | :for_long) :: {{port(), pos_integer() | nil} | nil, reference() | nil}
  def take(how_long) do
    GenServer.call(@name, {:take, how_long, now() + @patience - @margin}, @patience)
  catch
    :exit, _reason -> {nil, nil}
  end

  @doc """
  Tell that this helper has just been started
  """
  @spec started(port(), reference() | nil) :: :ok
  def started(_port, nil), do: :ok
  def started(port, generation), do: GenServer.cast(@name, {:started, port, generation})

  @doc """
  Give a helper back that has told an end after which it can be used again, or close it where it can't be taken

  The calling process is the one that the port is connected to, and will write nothing more to it.
  """
  @spec give(port(), pos_integer() | nil) :: :ok
  def give(port, os_pid) do
    pool = Process.whereis(@name)

    if pool != nil and HelperPort.connect(port, pool) do
      # Unlinked last: should this process be killed in between, the port is closed.
      GenServer.cast(pool, {:give, port, os_pid})
      Helper.unlink(port)
    else
      Helper.close(port)
    end
  end

  @doc """
  How many helpers wait
  """
  @spec idle() :: non_neg_integer()
  def idle(), do: GenServer.call(@name, :idle)

  @impl GenServer
  def init([]) do
    # The end of a port is a message then.
    Process.flag(:trap_exit, true)
    {:ok, %__MODULE__{surroundings: :ets.new(__MODULE__, [:private]), ambiguous: ambiguous?()}}
  end

  @impl GenServer
  def handle_call({:take, how_long, until}, {caller, _tag}, state) do
    state = look_around(state)
    # Who has given up must not get one, because it wouldn't know.
    {reply, state} = if now() < until, do: hand_over(state, caller), else: {{nil, nil}, state}
    if how_long == :for_long, do: {:reply, reply, state, {:continue, :replace}}, else: {:reply, reply, state}
  end

  def handle_call(:idle, _from, state), do: {:reply, length(state.idle), state}

  defp hand_over(%{idle: []} = state, _caller), do: {{nil, state.generation}, state}

  defp hand_over(%{idle: [{port, os_pid, _since} | idle]} = state, caller) do
    state = %{state | idle: idle}

    if young?(state, port) and HelperPort.connect(port, caller) and silent?(port) do
      {{{port, os_pid}, state.generation}, state}
    else
      state |> drop(port) |> hand_over(caller)
    end
  end

  # An idle helper has nothing to tell but its end. What it told before the port was connected to another process is here.
  defp silent?(port) do
    Process.unlink(port)

    receive do
      {^port, _what} -> false
      {:EXIT, ^port, _reason} -> false
    after
      0 -> true
    end
  end

  @impl GenServer
  def handle_continue(:replace, state) do
    if room(state) > 0 and not state.ambiguous do
      port = Helper.open(CommandLine.waiting_port_options())
      os_pid = Helper.os_pid(port)
      now_around = look_around(state)
      state = if now_around.generation == state.generation, do: know(state, port), else: now_around
      {:noreply, if(is_map_key(state.known, port), do: hold(state, port, os_pid), else: drop(state, port))}
    else
      {:noreply, state}
    end
  rescue
    # Who needs one will be told what is in the way.
    _error -> {:noreply, state}
  end

  @impl GenServer
  def handle_cast({:started, port, generation}, state) do
    state = look_around(state)

    {:noreply, if(state.generation == generation and not state.ambiguous, do: know(state, port), else: state)}
  end

  def handle_cast({:give, port, os_pid}, state) do
    {:noreply, if(welcome?(state, port), do: hold(state, port, os_pid), else: drop(state, port))}
  end

  def handle_cast(_other, state), do: {:noreply, state}

  defp know(state, port) do
    Port.monitor(port)
    %{state | known: Map.put(state.known, port, now())}
  rescue
    # It has closed already.
    ArgumentError -> state
  end

  defp hold(state, port, os_pid), do: wake_later(%{state | idle: [{port, os_pid, now()} | state.idle]})

  defp welcome?(state, port), do: young?(state, port) and room(state) > 0

  defp young?(state, port) do
    case state.known do
      %{^port => started} -> now() - started < @age_most
      _unknown -> false
    end
  end

  @impl GenServer
  def handle_info(:wake, state) do
    long_ago = now() - timeout()
    {idle, expired} = Enum.split_while(state.idle, fn {_port, _os_pid, since} -> since > long_ago end)

    state =
      Enum.reduce(expired, %{state | idle: idle, timer: nil}, fn {port, _os_pid, _since}, state -> drop(state, port) end)

    {:noreply, wake_later(state)}
  end

  # Whatever an idle helper says, it doesn't wait any more. One that was just handed over is not among them.
  def handle_info({port, {_what, _data}}, state) when is_port(port), do: {:noreply, forget(state, port)}
  def handle_info({:EXIT, port, _reason}, state) when is_port(port), do: {:noreply, forget(state, port)}
  def handle_info({:DOWN, _monitor, :port, port, _reason}, state), do: {:noreply, forget(state, port)}

  def handle_info(_message, state), do: {:noreply, state}

  # When the one that has waited for longest has waited for long enough.
  defp wake_later(%{idle: []} = state), do: state

  defp wake_later(state) do
    {_port, _os_pid, since} = List.last(state.idle)
    due = since + timeout()

    case state.timer do
      {_timer, earlier} when earlier <= due ->
        state

      timer ->
        with {timer, _later} <- timer, do: Process.cancel_timer(timer)
        %{state | timer: {Process.send_after(self(), :wake, max(due - now(), 0) + 1), due}}
    end
  end

  defp forget(state, port) do
    case List.keytake(state.idle, port, 0) do
      {_helper, idle} -> drop(%{state | idle: idle}, port)
      nil -> %{state | known: Map.delete(state.known, port)}
    end
  end

  defp drop(state, port) do
    Helper.close(port)
    %{state | known: Map.delete(state.known, port)}
  end

  # ---- What a new helper would take over from the VM ----

  defp look_around(state) do
    surroundings = surroundings()

    if :ets.member(state.surroundings, surroundings) do
      state
    else
      :ets.delete_all_objects(state.surroundings)
      :ets.insert(state.surroundings, {surroundings})
      forget_all(state)
    end
  end

  defp forget_all(state) do
    for {port, _os_pid, _since} <- state.idle, do: Helper.close(port)
    %{state | idle: [], known: %{}, generation: make_ref()}
  end

  # The library's version is among the options: its code may be replaced while helpers wait that know the old one.
  defp surroundings(),
    do: {:os.env(), Application.get_env(:muontrap, :helper_path), CommandLine.waiting_port_options()}

  # Bytes of a variable that are no text are shown as if they were characters (os:env/0), so that two different
  # environments may look the same. The VM itself can only set what is text.
  defp ambiguous?() do
    case File.read("/proc/self/environ") do
      {:ok, environment} -> :file.native_name_encoding() == :utf8 and not String.valid?(environment)
      {:error, _reason} -> true
    end
  end

  defp now(), do: System.monotonic_time(:millisecond)
end
