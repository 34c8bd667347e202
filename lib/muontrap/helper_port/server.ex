# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.HelperPort.Server do
  @moduledoc false
  # Opens the port to one helper, and lasts until the helper has told the program's end. It speaks docs/protocol.md with the
  # helper, and keeps what has come until the program's owner asks for it, unless it has connected the port to the owner (see
  # `MuonTrap.HelperPort`). The helper's window bounds how much that can be.
  #
  # It outlives its owner: were the owner linked to the port, its death would close the port, and nobody would know when the
  # program's tree is dead. When the owner dies, the server connects the port to itself, has the program stopped, and ends when
  # the helper has told that all is dead. A daemon that replaces the owner waits for that (see `MuonTrap.Predecessor`).
  #
  # Servers are temporary children of the application's DynamicSupervisor. When the application stops, each ends its program
  # before it goes.
  #
  # The state holds data alone, no function of these modules, so that their code can be loaded anew while programs run.

  use GenServer, restart: :temporary

  alias MuonTrap.{Error, Helper, HelperPort, Predecessor, Protocol, Telemetry}
  alias MuonTrap.HelperPort.{Input, Pool}

  require Logger

  @supervisor MuonTrap.HelperPort.Supervisor
  # With that status the helper's outer process leaves when it has killed all that the inner one has left.
  @relay_was_killed 125
  @keeper_was_killed 128 + 9
  # Milliseconds without a message after which the server gives back the memory that it needed while it was busy.
  @hibernate_after 1_000

  # phase: :idle before the launch, :starting until the program runs, :running, and :ended once the last event is there.
  # owner: its pid; monitor: the reference of the monitor on it.
  # program: command, arguments and starter, of which nothing is needed but to tell of it. launched: when the launch began; since: when
  # the program did. Both in the VM's monotonic time. outcome: how it ended, {:exited, ending}, {:vanished, error} or {:failed, error},
  # if that was heard. told: whether that is an event already.
  # launch: what the helper was sent, until the program runs, for in between the helper may be lost and another one be taken,
  # if that is replaceable; new: how many new ones have been started for it; generation: what the
  # pool said of them.
  # stopping: what the helper has been told to stop for, see MuonTrap.Telemetry; nil if it hasn't been.
  # client: whom the next reply goes to: who asked for the launch while it is starting, then who asked for events.
  # parent: the reference of the monitor on the owner's parent. While the owner waits for the launch it doesn't notice its death.
  # owner_waits: how the owner waits for the launch: :for_ever, or :impatient until it is :told that this takes long. Then the
  # launch's outcome is the first event. waits: whether the launch waits for a lock.
  # keeps: whether the owner asks for more before it has handled what it has got.
  # way: which way the client wants the output to take after the reply. direct: whether the port is connected to the owner.
  # events: those that nobody has asked for yet, the last one first.
  # handle: what the owner knows the program by.
  # input: what waits to be sent to the program. feeder: the process that writes it, and the reference of the monitor
  # on it.
  # signallers: of each signal that has been sent and not been answered, by its id, who has sent it: the :owner, or another, who is
  # to get the answer. signals: how many there have been.
  # handed_over: bytes of output in the owner's hands, which it acknowledges before its next request, or by it.
  # discarding: whether all output is thrown away, because there is nobody any more who would ask for it.
  defstruct phase: :idle,
            owner: nil,
            monitor: nil,
            program: nil,
            launched: nil,
            since: nil,
            outcome: nil,
            told: false,
            port: nil,
            os_pid: nil,
            cgroup: nil,
            launch: nil,
            replaceable: false,
            new: 0,
            generation: nil,
            stopping: nil,
            client: nil,
            parent: nil,
            owner_waits: :for_ever,
            waits: false,
            way: :served,
            keeps: false,
            direct: false,
            handle: nil,
            events: [],
            input: Input.new(false),
            feeder: nil,
            signallers: %{},
            signals: 0,
            handed_over: 0,
            discarding: false

  @doc """
  The supervisor of all servers
  """
  @spec supervisor() :: Supervisor.child_spec()
  def supervisor(), do: DynamicSupervisor.child_spec(name: @supervisor, strategy: :one_for_one)

  @doc """
  Whether there is that supervisor
  """
  @spec supervised?() :: boolean()
  def supervised?(), do: Process.whereis(@supervisor) != nil

  @doc """
  Those that there are; none when the application doesn't run
  """
  @spec all() :: [pid()]
  def all() do
    if supervised?(),
      do:
        for({_id, server, _type, _modules} <- DynamicSupervisor.which_children(@supervisor), is_pid(server), do: server),
      else: []
  end

  @doc """
  Start a server whose owner is the calling process, for a program that it may take so many milliseconds to stop
  """
  @spec start(pos_integer()) :: pid()
  def start(time_to_stop) do
    # A script may have the library in its path without having started it as an application.
    unless supervised?(), do: {:ok, _started} = Application.ensure_all_started(:muontrap)

    child = %{
      id: __MODULE__,
      start: {__MODULE__, :start_link, [self()]},
      restart: :temporary,
      shutdown: time_to_stop
    }

    {:ok, server} = DynamicSupervisor.start_child(@supervisor, child)
    server
  end

  # The program's environment may hold secrets. It comes with a call and not as an argument here, because supervisors log
  # their children's arguments.
  @doc false
  @spec start_link(pid()) :: GenServer.on_start()
  def start_link(owner), do: GenServer.start_link(__MODULE__, owner, hibernate_after: @hibernate_after)

  @impl GenServer
  def init(owner) do
    # So that terminate/2 is called when the supervisor wants the server to end, and the port's end is a message.
    Process.flag(:trap_exit, true)
    {:ok, %__MODULE__{owner: owner, monitor: Process.monitor(owner)}}
  end

  @impl GenServer
  def handle_call({:launch, launch}, from, %{phase: :idle} = state) do
    if launch.place, do: Predecessor.register(launch.place)
    parent = launch.place && Predecessor.parent(launch.place)

    state = %{
      state
      | program: launch.program,
        launched: System.monotonic_time(),
        parent: if(parent, do: Process.monitor(parent)),
        owner_waits: launch.owner_waits,
        input: Input.new(launch.input)
    }

    # A successor of an owner that has died before it was registered here does not wait for us.
    if Process.alive?(state.owner), do: open(launch, from, state), else: {:stop, :normal, state}
  end

  # Nothing is said of what was handed over before: that comes with :handled, when it is.
  def handle_call(:next_unhandled, from, state), do: hand_over(%{state | client: from, way: :served, keeps: true})

  # The request says that what was handed over before has been handled, and that the port has been connected to the server.
  def handle_call({:next, acknowledged, way}, from, state) do
    if state.handed_over > acknowledged, do: command(state, {:ack, state.handed_over - acknowledged})
    hand_over(%{state | client: from, way: way, handed_over: 0, direct: false})
  end

  def handle_call({:write, reference, data}, from, %{phase: :running} = state),
    do: {:noreply, send_input(state, &Input.write(&1, from, data, reference))}

  def handle_call({:write, _reference, _data}, _from, state), do: {:reply, {:error, :closed}, state}
  def handle_call(:feed, {feeder, _tag}, state), do: {:reply, :ok, %{state | feeder: {feeder, Process.monitor(feeder)}}}

  def handle_call({:signal, _name, :cgroup}, _from, %{phase: :running, cgroup: nil} = state),
    do: {:reply, {:error, :no_cgroup}, state}

  def handle_call({:signal, name, to}, from, %{phase: :running} = state),
    do: {:noreply, send_signal(state, name, to, from)}

  def handle_call({:signal, _name, _to}, _from, %{phase: :ended} = state), do: {:reply, {:error, :exited}, state}
  def handle_call({:signal, _name, _to}, _from, state), do: {:reply, {:error, :esrch}, state}

  def handle_call(:describe, _from, state), do: {:reply, describe(state), state}

  defp describe(%{phase: phase}) when phase in [:idle, :ended], do: nil

  defp describe(state) do
    %{
      server: self(),
      command: state.program.command,
      args: state.program.args,
      owner: state.owner,
      helper_pid: state.os_pid,
      attached: state.program.starter == :attach,
      os_pid: state.handle && state.handle.program_pid,
      since: state.since || state.launched,
      cgroup: state.cgroup,
      output_byte_count: if(state.handle, do: :counters.get(state.handle.counter, 1), else: 0),
      state: describe_state(state)
    }
  end

  defp describe_state(%{phase: :starting, waits: true}), do: :waiting
  defp describe_state(%{phase: :starting}), do: :starting
  defp describe_state(%{stopping: nil}), do: :running
  defp describe_state(_state), do: :stopping

  defp open(launch, from, state) do
    if launch.timeout != :infinity, do: Process.send_after(self(), :time_is_up, launch.timeout)

    case open_port(%{state | phase: :starting, client: from, way: launch.way}, launch) do
      {:ok, state} -> {:noreply, state}
      {:error, error} -> not_launched(error, %{state | phase: :starting, client: from})
    end
  end

  # With the command line of a new helper, or for one that has waited, or for a new one that waits.
  defp open_port(state, %{arguments: nil, port_options: port_options}), do: open_new(state, port_options)
  defp open_port(state, launch), do: send_launch(%{state | launch: launch, replaceable: true})

  defp send_launch(%{launch: launch} = state) do
    {helper, generation} = Pool.take(if(launch.place, do: :for_long, else: :for_short))
    state = %{state | generation: generation}

    case helper do
      {port, os_pid} -> send_to_port(%{state | port: port, os_pid: os_pid}, ["--fresh", System.pid()])
      nil -> send_to_new(state)
    end
  end

  # Should the helper be lost before it begins, a new one gets the launch; but a new one is replaced once only.
  defp send_to_new(state) do
    with {:ok, state} <- open_new(state, state.launch.port_options) do
      Pool.started(state.port, state.generation)
      send_to_port(%{state | replaceable: state.new == 0, new: state.new + 1}, [])
    end
  end

  # Of one that has waited only if a program would find in it what it would find in a new one.
  defp send_to_port(state, conditions) do
    Port.command(state.port, Protocol.encode({:launch, conditions ++ state.launch.arguments}))
    {:ok, state}
  rescue
    # The port has closed by itself, and nothing was written.
    ArgumentError -> if state.replaceable, do: send_to_new(%{state | port: nil}), else: {:error, vanished(:unused)}
  end

  # Without the stack trace, whose arguments of erlang:open_port/2 would show the program's environment wherever the error is
  # logged.
  defp open_new(state, port_options) do
    port = Helper.open(port_options)
    # At once, so that the number is there even when the helper has left since.
    {:ok, %{state | port: port, os_pid: Helper.os_pid(port)}}
  rescue
    error -> {:error, error}
  end

  # The helper has left before it began the launch, and nobody has wanted it to stop.
  defp launch_again(state) do
    case state |> close_port() |> send_to_new() do
      {:ok, state} -> {:noreply, state}
      {:error, error} -> not_launched(error, state)
    end
  end

  @impl GenServer
  def handle_cast(:stop, state), do: {:noreply, stop(state, :stopped)}

  # By the server, which has the port until it is given back, and not by the owner, who may not know yet that it was.
  def handle_cast({:signal, name, to}, %{phase: :running} = state), do: {:noreply, send_signal(state, name, to, :owner)}

  def handle_cast({:resize, _rows, _columns} = command, %{phase: :running} = state) do
    command(state, command)
    {:noreply, state}
  end

  def handle_cast({kind, _what, _how}, state) when kind in [:signal, :resize], do: {:noreply, state}
  # By the server, for the owner may not know yet that the port has been given back.
  def handle_cast({:handled, bytes}, %{phase: :running} = state) do
    command(state, {:ack, bytes})
    {:noreply, %{state | handed_over: state.handed_over - bytes}}
  end

  def handle_cast({:handled, _bytes}, state), do: {:noreply, state}

  def handle_cast({:give_up_write, reference}, state),
    do: {:noreply, send_input(state, &Input.give_up(&1, reference))}

  # What the owner has got for the server.
  def handle_cast({:news, news}, %{phase: :running} = state), do: news |> hear(state) |> hand_over()
  def handle_cast({:news, _news}, state), do: {:noreply, state}
  def handle_cast(:end_input, %{phase: :running} = state), do: {:noreply, send_input(state, &Input.finish/1)}
  def handle_cast(:end_input, state), do: {:noreply, state}
  def handle_cast(:abandon, state), do: abandon(state, :stopped)
  # The owner has got the program's end, and has closed the port.
  def handle_cast({:closed, ending}, state), do: {:stop, :normal, state |> close() |> learn({:exited, ending})}
  # It has got one after which the helper can be used again, and the port is connected to the server.
  def handle_cast({:ended, nil}, state), do: {:stop, :normal, give_back(%{state | phase: :ended})}

  def handle_cast({:ended, ending}, state),
    do: {:stop, :normal, %{state | phase: :ended} |> give_back() |> learn({:exited, ending})}

  @impl GenServer
  def handle_info({port, {:data, frame}}, %{port: port} = state), do: handle_frame(frame, state)

  def handle_info({port, {:exit_status, status}}, %{port: port} = state),
    do: handle_end_of_port({:exit_status, status}, state)

  # An owner that was killed before it could unlink itself from the port that it was just given has closed it by that. The
  # helper stops the program as when the VM dies.
  def handle_info({:EXIT, port, reason}, %{port: port, direct: true} = state) when reason != :normal do
    if Process.alive?(state.owner),
      do: handle_end_of_port(reason, state),
      else: {:stop, :normal, close(%{state | stopping: state.stopping || :owner_died})}
  end

  def handle_info({:EXIT, port, reason}, %{port: port} = state), do: handle_end_of_port(reason, state)

  def handle_info({:DOWN, monitor, :process, _pid, _reason}, %{monitor: monitor} = state),
    do: abandon(state, :owner_died)

  # It ends only when it is ended; by somebody else while the program runs.
  def handle_info({:DOWN, monitor, :process, _pid, _reason}, %{feeder: {_feeder, monitor}, phase: :running} = state),
    do: {:noreply, stop(state, :stopped)}

  # An owner that is linked to its parent still exits for that when it has got the outcome.
  def handle_info({:DOWN, monitor, :process, parent, _reason}, %{parent: monitor, phase: :starting} = state) do
    {:noreply, if(Predecessor.exit_signal?(state.owner, parent), do: stop(state, :owner_died), else: state)}
  end

  def handle_info(:time_is_up, %{phase: phase} = state) when phase in [:starting, :running] do
    # Before the stop, so that who gets the end of that knows.
    if state.handle && !state.stopping, do: HelperPort.time_out(state.handle)
    {:noreply, stop(state, :timed_out)}
  end

  # The end of a port that has been closed here, or of the registry that the server is linked to; and what others send.
  def handle_info(_message, state), do: {:noreply, state}

  defp handle_frame(frame, %{phase: :starting} = state) do
    case Protocol.decode(frame) do
      {:started, pid, cgroup} ->
        state = %{
          state
          | phase: :running,
            launch: nil,
            cgroup: if(cgroup != "", do: cgroup),
            since: System.monotonic_time()
        }

        handle = %HelperPort{
          server: self(),
          port: state.port,
          os_pid: state.os_pid,
          program_pid: pid,
          cgroup: state.cgroup,
          counter: :counters.new(2, [:atomics])
        }

        # The time was up when the program had just been started.
        if state.stopping == :timed_out, do: HelperPort.time_out(handle)
        state = %{state | handle: handle}
        next = launched(state)
        Telemetry.started(telemetry(state))
        next

      {:waiting, words} ->
        Logger.warning(words)
        {:noreply, tell_waiting(%{state | waits: true})}

      :unused ->
        lost(state, vanished(:unused))

      # The program never ran. If the launch was cancelled and nobody has wanted that, the helper's outer process was killed.
      {:error, error} ->
        if cancelled?(error), do: lost(state, error), else: not_launched(error, state)
    end
  end

  # A helper that was to be used again has left.
  defp handle_frame(_frame, %{phase: :ended} = state), do: {:noreply, close_port(state)}
  defp handle_frame(<<?U>>, state), do: state |> close_port() |> go_on()
  defp handle_frame(frame, state), do: frame |> note(state) |> proceed()

  # Nobody is left who would tell that it has got the end.
  defp go_on(%{discarding: true} = state), do: {:stop, :normal, close(state)}
  defp go_on(state), do: {:noreply, state}

  # Before it began the launch.
  defp lost(%{stopping: nil, replaceable: true} = state, _error), do: launch_again(state)

  defp lost(state, error), do: not_launched(if(state.stopping == :timed_out, do: :timeout, else: error), state)

  # The owner has died meanwhile. The helper may have told the end before it hears of that, and leaves when it does.
  defp launched(%{discarding: true} = state), do: {:noreply, state}
  defp launched(%{owner_waits: :told} = state), do: state |> add({:started, state.handle}) |> proceed()
  defp launched(state), do: state |> connect_owner() |> reply(&{:ok, state.handle, &1})

  defp not_launched(error, %{owner_waits: :told} = state),
    do: state |> close() |> learn({:failed, error}) |> add({:failed, error}) |> proceed()

  defp not_launched(error, state) do
    GenServer.reply(state.client, {:error, error})
    {:stop, :normal, %{state | client: nil} |> close() |> learn({:failed, error})}
  end

  defp tell_waiting(%{owner_waits: :impatient} = state) do
    GenServer.reply(state.client, {:waiting, self()})
    %{state | owner_waits: :told, client: nil}
  end

  defp tell_waiting(state), do: state

  # Takes in what the helper has told of a program that runs.
  defp note(frame, state) do
    case Protocol.decode(frame) do
      {:exited, %{reusable: true}} = event -> %{state | phase: :ended} |> end_requests() |> learn(event) |> add(event)
      {:exited, _ending} = event -> state |> close() |> learn(event) |> add(event)
      news when elem(news, 0) in [:credit, :input_closed, :signalled] -> hear(news, state)
      event -> add(state, event)
    end
  end

  defp hear({:credit, bytes}, state), do: send_input(state, &Input.credit(&1, bytes))
  defp hear({:input_closed, _taken}, state), do: close_input(state)

  defp hear({:signalled, id, result}, state) do
    {signaller, signallers} = Map.pop!(state.signallers, id)
    answer_signal(%{state | signallers: signallers}, signaller, result)
  end

  defp answer_signal(state, :owner, result), do: add(state, {:signalled, result})

  defp answer_signal(state, from, result) do
    GenServer.reply(from, result)
    state
  end

  defp send_signal(state, name, to, signaller) do
    id = rem(state.signals, 0x1_0000_0000)
    command(state, {:signal, id, name, to})
    %{state | signals: state.signals + 1, signallers: Map.put(state.signallers, id, signaller)}
  end

  defp close_input(state), do: send_input(state, &Input.close/1)

  defp send_input(state, change) do
    {frames, replies, input} = change.(state.input)
    for frame <- frames, do: command(state, frame)
    for {from, reply} <- replies, do: GenServer.reply(from, reply)
    %{state | input: input}
  end

  defp add(state, {stream, data} = event) when stream in [:stdout, :stderr] do
    HelperPort.count(state.handle, byte_size(data))
    keep(state, event)
  end

  defp add(state, event), do: keep(state, event)

  defp keep(%{discarding: true} = state, _event), do: state
  defp keep(state, event), do: %{state | events: [event | state.events]}

  defp proceed(%{discarding: true, phase: :ended} = state), do: {:stop, :normal, close(state)}
  defp proceed(state), do: state |> hand_over() |> tell_unasked()

  # Nobody may ask for the end for long.
  defp tell_unasked({:noreply, %{phase: :ended, client: nil} = state}), do: {:noreply, tell_end(state)}
  defp tell_unasked(next), do: next

  # The launch was stopped before its end.
  defp cancelled?(error), do: error.stage == :spawn and error.reason == :ecanceled

  # Only what hasn't told the program's end comes here, for the port is closed when it has, unless the helper is to be used
  # again.
  defp handle_end_of_port(_reason, %{phase: :ended} = state), do: {:noreply, close_port(state)}

  # The kernel takes no bytes where nobody reads, so the launch has not been read.
  defp handle_end_of_port(:epipe, %{phase: :starting} = state), do: lost(state, vanished(:epipe))

  defp handle_end_of_port(reason, %{phase: :starting} = state), do: not_launched(never_told(reason, state), state)

  # Both processes of the helper may have been killed, and then nobody else is left who could end what is in the cgroup. It
  # is done before the owner is told.
  defp handle_end_of_port(reason, state) do
    if state.cgroup, do: clean(state.cgroup)
    vanished = {:vanished, vanished(reason)}
    state = if told_owner?(reason, state), do: state, else: learn(state, vanished)
    state |> close() |> add(vanished) |> proceed()
  end

  # The owner has died with the program's end in its mailbox, and the helper has left as it was told to.
  defp told_owner?({:exit_status, status}, %{discarding: true}),
    do: status not in [@relay_was_killed, @keeper_was_killed]

  defp told_owner?(_reason, _state), do: false

  defp hand_over(%{client: nil} = state), do: {:noreply, state}
  defp hand_over(%{events: []} = state), do: {:noreply, state}

  defp hand_over(state), do: state |> connect_owner() |> reply(& &1)

  # What HelperPort.next/1 goes on with.
  defp reply(state, wrap) do
    bytes = HelperPort.size(state.events)
    GenServer.reply(state.client, wrap.({Enum.reverse(state.events), {state.handle, bytes, way_on(state)}}))
    state = %{state | client: nil, events: [], handed_over: if(state.direct, do: 0, else: held(state) + bytes)}

    if way_on(state) == :ended_direct or state.phase != :ended,
      do: {:noreply, state},
      else: {:stop, :normal, give_back(state)}
  end

  # Should the end have come while the port was connected to the owner, that is linked to the port, and its death would close
  # it whoever ran a program in it by then. So the owner says when it has unlinked itself, as with an end that it gets itself.
  defp way_on(%{direct: true, phase: :ended, port: port}) when port != nil, do: :ended_direct
  defp way_on(%{direct: true}), do: :direct
  defp way_on(_state), do: :served

  defp held(%{keeps: true} = state), do: state.handed_over
  defp held(_state), do: 0

  # Only now, for until the owner asked for the end it may have acknowledged what came before.
  defp give_back(%{port: nil} = state), do: state

  defp give_back(state) do
    Pool.give(state.port, state.os_pid)
    %{state | port: nil}
  end

  # So that the frames go to the owner. Those that came before are here. Should the owner have died, a message tells it next.
  defp connect_owner(%{way: :direct} = state), do: state |> take_frames() |> connect_running()
  defp connect_owner(state), do: state

  defp connect_running(%{phase: :running} = state) do
    if HelperPort.connect(state.port, state.owner),
      do: take_frames(%{state | direct: true}),
      else: state
  end

  defp connect_running(state), do: state

  defp take_frames(%{port: port, phase: :running} = state) do
    receive do
      {^port, {:data, frame}} -> frame |> note(state) |> take_frames()
    after
      0 -> state
    end
  end

  # The end was among them.
  defp take_frames(state), do: state

  # The frames come here again.
  defp connect_self(%{direct: true} = state), do: %{state | direct: not HelperPort.connect(state.port, self())}
  defp connect_self(state), do: state

  # Nobody will ask for anything any more.
  defp abandon(%{phase: phase, port: port} = state, _cause) when phase in [:idle, :ended] or port == nil,
    do: {:stop, :normal, if(phase == :idle, do: state, else: close(state))}

  defp abandon(state, cause), do: {:noreply, stop_and_discard(state, cause)}

  # After discard the helper doesn't wait for its standard input to end before it leaves, and nothing may be written any more.
  defp stop_and_discard(%{discarding: true} = state, _cause), do: state

  defp stop_and_discard(state, cause) do
    state = state |> connect_self() |> stop(cause)
    # An owner that has ended normally has not ended it by its link. One that lives does so itself.
    with {feeder, _monitor} <- state.feeder, false <- Process.alive?(state.owner), do: Process.exit(feeder, :kill)
    command(state, :discard)
    %{close_input(state) | discarding: true, events: [], handed_over: 0}
  end

  # However the server ends. The program's end is an event here at the latest, when all who have to know of it do.
  @impl GenServer
  def terminate(reason, state), do: reason |> end_program(state) |> tell_end()

  defp end_program(_reason, %{port: nil} = state), do: state
  # By its end with ours the port would end an owner that is still linked to it.
  defp end_program(_reason, %{phase: :ended} = state), do: close_port(state)

  # When the application is stopped, or this process fails: ended by who starts it or by a mistake of ours.
  defp end_program(reason, state) do
    ended = state |> stop_and_discard(if(reason == :shutdown, do: :application_stopped, else: :failed)) |> await_end()
    if state.client, do: GenServer.reply(state.client, stopped(state))
    ended
  end

  defp await_end(%{port: port} = state) do
    receive do
      {^port, {:data, <<?X, _ending::binary>> = frame}} -> state |> close() |> learn(Protocol.decode(frame))
      {^port, {:data, _frame}} -> await_end(state)
      {^port, {:exit_status, _status} = reason} -> lose(reason, state)
      {:EXIT, ^port, reason} -> lose(reason, state)
    end
  end

  defp lose(reason, state) do
    if state.cgroup, do: clean(state.cgroup)
    if told_owner?(reason, state), do: state, else: learn(state, {:vanished, vanished(reason)})
  end

  defp learn(state, outcome), do: %{state | outcome: outcome}

  defp tell_end(%{told: true} = state), do: state
  # A launch that never began.
  defp tell_end(%{phase: :idle} = state), do: state

  defp tell_end(state) do
    emit_end(state.outcome, state)
    %{state | told: true}
  end

  # A search for a program that there isn't.
  defp emit_end({:failed, %Error{stage: :exec}}, %{program: %{found: false}}), do: :ok
  defp emit_end({:failed, reason}, state), do: Telemetry.not_started(telemetry(state), reason)
  defp emit_end(_stopped, %{handle: nil} = state), do: Telemetry.not_started(telemetry(state), stopped())
  defp emit_end({:vanished, error}, state), do: Telemetry.vanished(telemetry(state), error, bytes(state))
  defp emit_end({:exited, ending}, state), do: Telemetry.ended(telemetry(state), ending, state.stopping, bytes(state))
  defp emit_end(nil, state), do: Telemetry.ended(telemetry(state), nil, state.stopping, bytes(state))

  defp bytes(state), do: :counters.get(state.handle.counter, 1)

  # What MuonTrap.Telemetry says of the program.
  defp telemetry(state) do
    %{
      launched: state.launched,
      since: state.since,
      metadata: %{
        server: self(),
        starter: state.program.starter,
        command: state.program.command,
        args: state.program.args,
        owner: state.owner,
        os_pid: state.handle && state.handle.program_pid,
        cgroup: state.cgroup
      }
    }
  end

  defp stopped(%{phase: :starting, owner_waits: waits}) when waits != :told, do: {:error, stopped()}
  defp stopped(_state), do: {[{:vanished, stopped()}], {:shutdown, self()}}

  @doc false
  @spec stopped() :: Error.t()
  def stopped() do
    %Error{
      stage: :relay,
      reason: :vanished,
      message:
        "the application :muontrap was stopped while the program ran or was being started, so that the program and its " <>
          "descendants were ended"
    }
  end

  # What a state of a process that fails is logged with: no environment, and no more of the output than how much it is.
  # Called by OTP from 25 on, while it is a callback of Elixir's GenServer from 1.17 on.
  if Version.match?(System.version(), ">= 1.17.0-dev"), do: @impl(GenServer)
  @doc false
  @spec format_status(map()) :: map()
  def format_status(status) do
    status
    |> replace(:state, fn
      %__MODULE__{} = state ->
        %{
          state
          | events: {:bytes, HelperPort.size(state.events)},
            launch: :redacted,
            program: :redacted,
            input: :redacted
        }

      other ->
        other
    end)
    |> replace(:message, &redact/1)
  end

  defp replace(status, key, change) when is_map_key(status, key), do: Map.update!(status, key, change)
  defp replace(status, _key, _change), do: status

  defp redact({:"$gen_call", from, {:launch, _launch}}), do: {:"$gen_call", from, {:launch, :redacted}}
  defp redact({:launch, _launch}), do: {:launch, :redacted}

  defp redact({:"$gen_call", from, {:write, _reference, data}}),
    do: {:"$gen_call", from, {:write, {:bytes, IO.iodata_length(data)}}}

  defp redact({:write, _reference, data}), do: {:write, {:bytes, IO.iodata_length(data)}}
  defp redact({port, {:data, data}}) when is_port(port), do: {port, {:data, {:bytes, byte_size(data)}}}
  defp redact(other), do: other

  defp close(state), do: end_requests(%{close_port(state) | phase: :ended})

  # Of those who still wait for the program.
  defp end_requests(state) do
    for {_id, signaller} <- state.signallers, signaller != :owner, do: GenServer.reply(signaller, {:error, :exited})
    close_input(%{state | signallers: %{}})
  end

  defp close_port(%{port: nil} = state), do: state

  defp close_port(state) do
    Helper.close(state.port)
    %{state | port: nil}
  end

  # What it was wanted for first is what it ends by.
  defp stop(state, cause) do
    command(state, :stop)
    %{state | stopping: state.stopping || cause}
  end

  defp command(%{port: nil}, _command), do: :ok
  defp command(%{discarding: true}, _command), do: :ok

  # A port that has closed by itself has sent its end, which is handled next.
  defp command(state, command), do: HelperPort.command(state.port, command)

  # The VM's child of that name leaves with the errno of exec. From 125 on it is what a helper leaves with.
  defp never_told({:exit_status, status}, state) when state.launch == nil or status < 125,
    do: Helper.not_executed(status)

  defp never_told(reason, _state), do: vanished(reason)

  defp vanished(reason) do
    dead =
      if reason == {:exit_status, @relay_was_killed},
        do: "the program and its descendants have been killed",
        else: "the program has been killed, and what is in its cgroup, but other descendants may live on"

    %Error{
      stage: :relay,
      reason: :vanished,
      message:
        "the helper was killed before it could tell how the program ended; #{dead}, and the last of their output may be " <>
          "missing (dmesg tells whether the kernel's OOM killer struck)"
    }
  end

  # The helper waits for a process that is being killed, which closes its output before it lets go of the cgroup.
  defp clean(cgroup) do
    case Helper.run(["--clean", "--group", cgroup]) do
      {_said, 0} ->
        :ok

      {said, _status} ->
        Logger.error("a helper was killed, and what it ran in the cgroup #{cgroup} is left: #{String.trim(said)}")
    end
  end
end
