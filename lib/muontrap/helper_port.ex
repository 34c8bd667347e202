# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.HelperPort do
  @moduledoc false
  # A program that runs, as its owner sees it. Each has a process of its own, a `MuonTrap.HelperPort.Server`, that has opened
  # the port to the helper and sees to the end of all when the owner dies. What the program writes gets to the owner in one of
  # two ways:
  #
  #   * *direct*: the owner is the port's connected process (`Port.connect/2`), and takes the frames out of its mailbox. This
  #     is the fast way, for an owner who waits for nothing else and has few other messages
  #   * *served*: the server is the connected process, and keeps what comes until the owner asks for it
  #
  # The server connects the port to the owner with a reply, and the owner connects it back to the server before it asks. An
  # owner that waits in the direct way has a function of this module on its stack, for which it would be killed when the
  # module's code is loaded anew twice. So when nothing comes for a while it asks the server, and waits in OTP's code.
  #
  # By asking again, or waiting again, the owner says that it has handled what it got before, and the helper gets the
  # acknowledgement that its window goes by. The owner writes that to the port itself. In a request it tells the server how
  # much it was; what the owner has not acknowledged by then, the server does. So an owner that failed while it handled
  # something can still ask for the rest. In the direct way the owner keeps back the acknowledgement of what the helper has not
  # asked for, as long as more comes.

  alias MuonTrap.{Cgroup, CommandLine, Error, Helper, Protocol, Signal, StopSequence}
  alias MuonTrap.HelperPort.{Pool, Server}

  # Milliseconds without output after which an owner waits for the server and not for the port.
  @idle 5
  # The VM looks for a frame from the port behind all messages that were in the mailbox before. With more than so many the owner
  # asks the server by a call, whose reply carries a reference that is new: that is found without looking through them.
  @crowd 100

  @enforce_keys [:server, :port, :os_pid, :program_pid, :cgroup, :counter]
  defstruct [:server, :port, :os_pid, :program_pid, :cgroup, :counter]

  @typedoc """
  The server, the port, the OS process ids of the helper's outer process (`nil` when it had left before it could be asked for) and
  of the program, the path of the program's cgroup relative to the mount (`nil` without one), and two counters: of the bytes of
  output that have come, to which both the owner and the server add what they take in, and of how often the time was up
  """
  @type t :: %__MODULE__{
          server: pid(),
          port: port(),
          os_pid: pos_integer() | nil,
          program_pid: pos_integer(),
          cgroup: String.t() | nil,
          counter: :counters.counters_ref()
        }

  @typedoc """
  What can happen

    * `{:started, port}` or `{:failed, error}` - the first event when `start/2` has returned that the launch waits. None follows
      the second one
    * `{:stdout, bytes}` and `{:stderr, bytes}` - output
    * `{:signalled, result}` - the answer to `signal/3`, in their order; of others' signals nothing is told
    * `{:error, error}` - something went wrong, the program is being stopped, and its end will be told
    * `{:exited, ending}` - program and descendants are dead. No event follows
    * `{:vanished, error}` - the helper, or the server, was killed. No event follows
  """
  @type event ::
          {:started, t()}
          | {:failed, Exception.t()}
          | {:stdout | :stderr, binary()}
          | {:signalled, :ok | {:error, atom()}}
          | {:error, Error.t()}
          | {:exited, Protocol.ending()}
          | {:vanished, Error.t()}

  @typedoc """
  Which of the two ways output takes next; `:owing` is the direct one, and the helper has not asked for an acknowledgement yet;
  `:ended_direct` is the direct one after the end, with a helper that can be used again
  """
  @type way :: :direct | :owing | :served | :ended_direct

  @typedoc """
  What the owner goes on with

    * `{port, bytes, way}` - it has handled what came before, with so many bytes of output, and waits
    * `{events, next}` - these events have come, and then it goes on with what follows
    * `{reason, server}` - the server has ended
  """
  @type next :: {t(), non_neg_integer(), way()} | {[event()], next()} | {term(), pid()}

  @doc """
  Start the program with validated options, and return when it runs, or when it can't be started, or with the option `:timeout`
  when the time is up before either

  The calling process becomes its owner: when that dies, the program is stopped. `place` is what a successor recognises it
  by, see `MuonTrap.Predecessor`; an owner with one has other things to wait for, and is served. What is returned beside the
  port is for `events/1`.

  Who is `:impatient` doesn't wait for a launch that waits for long. `await_start/1` asks for the outcome then.
  """
  @spec start(map(), MuonTrap.Predecessor.place() | nil, :for_ever | :impatient) ::
          {:ok, t(), next()} | {:waiting, pid()} | {:error, Exception.t() | :timeout}
  def start(options, place \\ nil, waits \\ :for_ever) do
    with {:ok, options} <- Cgroup.choose(options) do
      timeout = Map.get(options, :timeout, :infinity)
      way = if place || options[:served], do: :served, else: way()

      arguments = if Pool.used?(), do: CommandLine.launch(options)

      launch = %{
        program: program(options),
        arguments: arguments,
        port_options: if(arguments, do: CommandLine.waiting_port_options(), else: CommandLine.port_options(options)),
        timeout: timeout,
        place: place,
        way: way,
        owner_waits: waits,
        input: is_map_key(options, :input)
      }

      options |> StopSequence.time_to_stop() |> launch(launch)
    end
  end

  # What is told of it. A name that is left to the helper to be looked for (`MuonTrap.Options.complete_for_helper/2`) and isn't
  # found is no program.
  defp program(options),
    do:
      options |> Map.take([:command, :args, :starter]) |> Map.put(:found, match?("/" <> _, Map.get(options, :cmd, "/")))

  # The reason of such an exit names the call, with all of the launch, whose environment may hold secrets.
  defp launch(time_to_stop, launch) do
    time_to_stop |> Server.start() |> GenServer.call({:launch, launch}, :infinity)
  catch
    :exit, {reason, _call} -> {:error, ended(reason)}
  end

  defp way() do
    {:message_queue_len, messages} = Process.info(self(), :message_queue_len)
    if messages > @crowd, do: :served, else: :direct
  end

  @doc """
  Ask a server for the outcome of a launch that waits, which comes as the first event of a response for `check_response/2`
  """
  @spec await_start(pid()) :: term()
  def await_start(server), do: :gen_server.send_request(server, {:next, 0, :served})

  @doc """
  Everything that happens, as a stream of lists of events, and of atoms in between that mean nothing. It ends with the program.

  While the calling process waits for long, no function of MuonTrap's is on its stack. So it goes on when the modules are
  loaded anew and their old code is purged, which kills every process that would return to that code. Therefore what the
  server replies, and what OTP makes of it, has the form that `Stream.unfold/2` takes: the next element, and what the one
  after it is made of.
  """
  @spec events(next()) :: Enumerable.t()
  def events(next), do: Stream.unfold(next, &__MODULE__.next/1)

  @doc false
  @spec next(next()) :: {[event()] | :reply | :error, next()}
  def next({%__MODULE__{} = port, bytes, :direct}) do
    acknowledge(port, bytes)
    next_direct(port, 0, way())
  end

  def next({%__MODULE__{} = port, bytes, :owing}), do: next_direct(port, bytes, way())

  def next({%__MODULE__{server: server} = port, bytes, :served}) do
    acknowledge(port, bytes)
    next_served(server, bytes, way())
  end

  def next({reason, server}) when is_pid(server), do: {[{:vanished, ended(reason)}], {reason, server}}

  # Port.connect/2 has linked the owner to the port, which must not close when the owner dies.
  def next({events, {program, _bytes, :ended_direct}}) do
    Helper.unlink(program.port)
    give_back(program, nil)
    {events, {program, 0, :served}}
  end

  def next({events, next}) do
    with {program, _bytes, way} when way != :served <- next, do: Helper.unlink(program.port)
    {events, next}
  end

  @doc """
  The same for an owner that does something else in between: it stays served, and nothing comes into its mailbox unasked
  """
  # :timeout never comes, but OTP's function for any time has it among what it returns.
  @spec next_served(next()) :: {[event()] | :reply | :error, next()} | :timeout
  def next_served({%__MODULE__{server: server} = port, bytes, :served}) do
    acknowledge(port, bytes)
    server |> :gen_server.send_request({:next, bytes, :served}) |> :gen_server.receive_response(:infinity)
  end

  def next_served(next), do: next(next)

  # owed: bytes that have been handled and not acknowledged.
  defp next_direct(program, owed, :served), do: next_in_between(program, owed)

  defp next_direct(%{port: port} = program, owed, :direct) do
    receive do
      {^port, {:data, frame}} -> take_frames(frame, program, owed, [], :owing)
      {^port, {:exit_status, _status}} -> next({program, 0, :served})
    after
      @idle -> next_in_between(program, owed)
    end
  end

  # What has come before the port was connected to the server is in the owner's mailbox.
  defp next_in_between(%{port: port} = program, owed) do
    connect(port, program.server)

    receive do
      {^port, {:data, frame}} -> take_frames(frame, program, owed, [], :served)
      {^port, {:exit_status, _status}} -> next({program, 0, :served})
    after
      0 -> next({program, owed, :served})
    end
  end

  # All that has come by now.
  defp take_frames(frame, program, owed, events, way) do
    way = if way == :owing and Protocol.asks?(frame), do: :direct, else: way
    take_event(Protocol.decode(frame), program, owed, events, way)
  end

  defp take_event({:exited, %{reusable: true} = ending} = event, program, _owed, events, _way) do
    count(program, size(events))
    give_back(program, ending)
    {Enum.reverse([event | events]), {program, 0, :served}}
  end

  defp take_event({:exited, ending} = event, program, _owed, events, _way) do
    count(program, size(events))
    # First, so that the server doesn't take the port's end for that of a helper that was killed.
    GenServer.cast(program.server, {:closed, ending})
    Helper.close(program.port)
    flush(program.port)
    {Enum.reverse([event | events]), {program, 0, :served}}
  end

  # It is the server who sends input, and who knows whose signal has been answered.
  defp take_event(news, program, owed, events, way) when elem(news, 0) in [:credit, :input_closed, :signalled] do
    GenServer.cast(program.server, {:news, news})
    take_more(program, owed, events, way)
  end

  defp take_event(event, program, owed, events, way), do: take_more(program, owed, [event | events], way)

  # To the server, which gives it to the pool: should this process be killed in between, it is the one who knows.
  # The ending is what the server hasn't heard by itself.
  defp give_back(program, ending) do
    connect(program.port, program.server)
    flush(program.port)
    GenServer.cast(program.server, {:ended, ending})
  end

  defp take_more(%{port: port} = program, owed, events, way) do
    receive do
      {^port, {:data, frame}} -> take_frames(frame, program, owed, events, way)
      {^port, {:exit_status, _status}} -> batch(events, program, owed, :served)
    after
      0 -> batch(events, program, owed, way)
    end
  end

  defp batch(events, program, owed, way) do
    bytes = size(events)
    count(program, bytes)
    {Enum.reverse(events), {program, owed + bytes, way}}
  end

  # Tail calls, that is how none of our functions is on the stack. An owner with many messages exits when the server has ended.
  defp next_served(server, bytes, :served), do: GenServer.call(server, {:next, bytes, :served}, :infinity)

  defp next_served(server, bytes, :direct),
    do: server |> :gen_server.send_request({:next, bytes, :direct}) |> :gen_server.receive_response(:infinity)

  defp flush(port) do
    receive do
      {^port, _what} -> flush(port)
    after
      0 -> :ok
    end
  end

  @doc """
  Make a process the one that the port sends to, and tell whether that could be: not when either has ended

  What the port had sent before is in the mailbox of whom it was connected to by then.
  """
  @spec connect(port(), pid()) :: boolean()
  def connect(port, process) do
    Port.connect(port, process)
  rescue
    ArgumentError -> false
  end

  @doc """
  Ask for events, which come as a message for `check_response/2`. Those that came before, with so many bytes of output, have
  been handled.
  """
  @spec request(t(), non_neg_integer()) :: term()
  def request(%__MODULE__{server: server} = port, bytes) do
    acknowledge(port, bytes)
    :gen_server.send_request(server, {:next, bytes, :served})
  end

  @doc """
  The same when what came before may not have been handled yet. `handled/2` tells when it has been.
  """
  @spec request_unhandled(t()) :: term()
  def request_unhandled(%__MODULE__{server: server}), do: :gen_server.send_request(server, :next_unhandled)

  @doc """
  So many bytes more have been handled
  """
  @spec handled(t(), non_neg_integer()) :: :ok
  def handled(%__MODULE__{server: server}, bytes), do: GenServer.cast(server, {:handled, bytes})

  @doc """
  So many bytes more of output have come
  """
  @spec count(t(), non_neg_integer()) :: :ok
  def count(%__MODULE__{counter: counter}, bytes), do: :counters.add(counter, 1, bytes)

  @doc """
  The option `:timeout` has the program stopped
  """
  @spec time_out(t()) :: :ok
  def time_out(%__MODULE__{counter: counter}), do: :counters.add(counter, 2, 1)

  @doc """
  Whether it had, when the program's end has come; an owner in the direct way can't ask the server any more
  """
  @spec timed_out?(t()) :: boolean()
  def timed_out?(%__MODULE__{counter: counter}), do: :counters.get(counter, 2) > 0

  @doc """
  How many bytes of output there are in these events
  """
  @spec size([event()]) :: non_neg_integer()
  def size(events) do
    Enum.reduce(events, 0, fn
      {stream, data}, bytes when stream in [:stdout, :stderr] -> bytes + byte_size(data)
      _other, bytes -> bytes
    end)
  end

  defp acknowledge(_port, 0), do: :ok

  # A port that has closed needs no acknowledgement; the server tells why it has.
  defp acknowledge(%__MODULE__{port: port}, bytes), do: command(port, {:ack, bytes})

  @doc """
  Send the helper a command, unless the port has closed
  """
  @spec command(port(), Protocol.command()) :: :ok
  def command(port, command) do
    Port.command(port, Protocol.encode(command))
    :ok
  rescue
    ArgumentError -> :ok
  end

  @doc """
  The events in a message, if it is the response to the request
  """
  @spec check_response(term(), term()) :: {:events, [event(), ...]} | :no_reply
  def check_response(message, request), do: message |> :gen_server.check_response(request) |> response()

  @doc """
  Wait for the response to a request, or, without one, for the next events
  """
  @spec receive_response(t(), term() | nil) :: [event(), ...]
  def receive_response(port, nil), do: receive_response(port, request(port, 0))

  def receive_response(_port, request) do
    {:events, events} = request |> :gen_server.receive_response(:infinity) |> response()
    events
  end

  defp response({:reply, {events, _next}}), do: {:events, events}
  defp response(:no_reply), do: :no_reply

  defp response({:error, {reason, _server}}), do: {:events, [{:vanished, ended(reason)}]}

  # The only one who ends a server with that reason is its supervisor.
  defp ended(:shutdown), do: Server.stopped()

  defp ended(reason) do
    if reason == :noproc and not Server.supervised?() do
      Server.stopped()
    else
      %Error{
        stage: :relay,
        reason: :vanished,
        message:
          "the process of MuonTrap that owned the program's port has ended (#{inspect(reason)}), so that the program's " <>
            "end was not seen; the helper stops the program and its descendants when the port closes"
      }
    end
  end

  @doc """
  Whether no event comes after this one
  """
  @spec last?(event()) :: boolean()
  def last?({kind, _what}), do: kind in [:exited, :vanished, :failed]

  @doc """
  Send a signal. The answer is an event; none comes after the program's end.
  """
  @spec signal(t(), Signal.t(), Protocol.receiver()) :: :ok
  def signal(%__MODULE__{server: server}, signal, to), do: GenServer.cast(server, {:signal, Signal.name(signal), to})

  @doc """
  Send a signal to somebody else's program, whose owner learns nothing of it, and return the answer

  The server may be on another node.
  """
  @spec signal_foreign(pid(), Signal.t(), Protocol.receiver(), timeout()) :: :ok | {:error, :exited | :timeout | atom()}
  def signal_foreign(server, signal, to, timeout \\ :infinity) do
    GenServer.call(server, {:signal, Signal.name(signal), to}, timeout)
  catch
    :exit, {:timeout, _call} -> {:error, :timeout}
    :exit, _ended -> {:error, :exited}
  end

  @doc """
  Have somebody else's program and all its descendants ended. Its owner gets its end as ever.
  """
  @spec stop_foreign(pid()) :: :ok
  def stop_foreign(server), do: GenServer.cast(server, :stop)

  @doc """
  Set the size of the program's terminal
  """
  @spec resize(t(), pos_integer(), pos_integer()) :: :ok
  def resize(%__MODULE__{server: server}, rows, columns), do: GenServer.cast(server, {:resize, rows, columns})

  @doc """
  Write to the program's standard input, and return when all has been handed over. It can't be when nobody reads it any more,
  or its end has been sent. When the time is up, nothing more of it is written.
  """
  @spec write(t(), iodata(), timeout()) :: :ok | {:error, :closed | :timeout}
  def write(%__MODULE__{server: server}, data, timeout \\ :infinity) do
    reference = make_ref()

    try do
      GenServer.call(server, {:write, reference, data}, timeout)
    catch
      :exit, {:timeout, _call} ->
        GenServer.cast(server, {:give_up_write, reference})
        {:error, :timeout}

      :exit, _ended ->
        {:error, :closed}
    end
  end

  @doc """
  Send the end of the program's standard input, after all that has been written before
  """
  @spec end_input(t()) :: :ok
  def end_input(%__MODULE__{server: server}), do: GenServer.cast(server, :end_input)

  @doc """
  Have the program ended should the calling process, which is to write to it, fail
  """
  @spec feed(t()) :: :ok
  def feed(%__MODULE__{server: server}) do
    GenServer.call(server, :feed, :infinity)
  catch
    :exit, _ended -> :ok
  end

  @doc """
  Have the program ended, because what it was to read has failed
  """
  @spec input_failed(t()) :: :ok
  def input_failed(%__MODULE__{server: server}), do: GenServer.cast(server, :stop)

  @doc """
  Have the program and all its descendants ended

  What they write until then is still to be asked for.
  """
  @spec stop(t()) :: :ok
  def stop(%__MODULE__{server: server}), do: GenServer.cast(server, :stop)

  @doc """
  Have the program and all its descendants ended, and wait for that. What they have written and will write is thrown away.
  """
  @spec abandon(t()) :: :ok
  def abandon(%__MODULE__{server: server, port: port}) do
    # It isn't connected to us any more if the end is among the events that we got, and may run another's program by now.
    if Port.info(port, :connected) == {:connected, self()}, do: connect(port, server)
    flush(port)
    abandon_server(server)
  end

  @doc """
  The same for a launch that waits
  """
  @spec abandon_server(pid()) :: :ok
  def abandon_server(server) do
    monitor = Process.monitor(server)
    GenServer.cast(server, :abandon)

    receive do
      {:DOWN, ^monitor, :process, _server, _reason} -> :ok
    end
  end
end
