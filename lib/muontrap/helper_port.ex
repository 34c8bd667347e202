# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.HelperPort do
  @moduledoc false
  # A program that runs, as its owner sees it. Each has a process of its own, a `MuonTrap.HelperPort.Server`, that owns the
  # port to the helper. The owner asks that process for what has happened, and gets all that has come since it last asked.
  #
  # By asking again, the owner says that it has handled what it got before, and the helper gets the acknowledgement that its
  # window goes by. The owner writes that to the port itself, so that the helper needn't wait until the server's turn comes,
  # and tells the server how much it was; what the owner has not acknowledged by then, the server does. So an owner that
  # failed while it handled something can still ask for the rest.
  #
  # All of the owner's requests are calls of a GenServer: their replies carry a reference that is new with each call. The VM
  # finds such a reply without looking through the messages that were in the mailbox before.

  alias MuonTrap.{Cgroup, CommandLine, Error, Protocol}
  alias MuonTrap.HelperPort.Server

  @enforce_keys [:server, :port, :os_pid, :cgroup]
  defstruct [:server, :port, :os_pid, :cgroup]

  @typedoc """
  The process that owns the port, the port, the OS process id of the helper's outer process (`nil` when it had left before it could be
  asked for), and the path of the program's cgroup relative to the mount (`nil` without one)
  """
  @type t :: %__MODULE__{server: pid(), port: port(), os_pid: pos_integer() | nil, cgroup: String.t() | nil}

  @typedoc """
  What can happen

    * `{:stdout, bytes}` and `{:stderr, bytes}` - output
    * `{:error, error}` - something went wrong, the program is being stopped, and its end will be told
    * `{:exited, ending}` - program and descendants are dead. No event follows
    * `{:timed_out, ending}` - the same, and the program had been stopped because the option `:timeout` said so
    * `{:vanished, error}` - the helper, or the process that owned the port, was killed. No event follows
  """
  @type event ::
          {:stdout | :stderr, binary()}
          | {:error, Error.t()}
          | {:exited | :timed_out, Protocol.ending()}
          | {:vanished, Error.t()}

  @doc """
  Start the program with validated options, and return when it runs, or when it can't be started, or with the option `:timeout`
  when the time is up before either

  The calling process becomes its owner: when that dies, the program is stopped. `place` is what a successor recognises it
  by, see `MuonTrap.Predecessor`.
  """
  @spec start(map(), MuonTrap.Predecessor.place() | nil) :: {:ok, t()} | {:error, Exception.t() | :timeout}
  def start(options, place \\ nil) do
    with {:ok, options} <- Cgroup.choose(options) do
      server = Server.start(Map.get(options, :delay_to_sigkill))
      launch = %{port_options: CommandLine.port_options(options), timeout: Map.get(options, :timeout, :infinity)}
      GenServer.call(server, {:launch, Map.put(launch, :place, place)}, :infinity)
    end
  end

  @doc """
  Everything that happens, as a stream of lists of events. It ends with the program.

  While the calling process waits for an event, no function of MuonTrap's is on its stack. So it goes on when the modules
  are loaded anew and their old code is purged, which kills every process that would return to that code.
  """
  @spec events(t()) :: Enumerable.t()
  def events(%__MODULE__{} = port), do: Stream.unfold({port, 0}, &__MODULE__.next/1)

  @doc """
  Wait for events. What was returned before, with so many bytes of output, has been handled.

  The server replies with the argument of the next call beside them, because that is the form that `Stream.unfold/2` takes:
  the next element, and what the one after it is made of.
  """
  @spec next({t(), non_neg_integer()}) :: {[event(), ...], {t(), non_neg_integer()}}
  def next({%__MODULE__{server: server} = port, bytes}) do
    acknowledge(port, bytes)
    GenServer.call(server, {:next, bytes}, :infinity)
  end

  @doc """
  Ask for events, which come as a message for `check_response/2`. Those that came before, with so many bytes of output, have
  been handled.
  """
  @spec request(t(), non_neg_integer()) :: term()
  def request(%__MODULE__{server: server} = port, bytes) do
    acknowledge(port, bytes)
    :gen_server.send_request(server, {:next, bytes})
  end

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
  defp acknowledge(%__MODULE__{port: port}, bytes) do
    Port.command(port, Protocol.encode({:ack, bytes}))
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

  defp response({:error, {reason, _server}}) do
    {:events,
     [
       {:vanished,
        %Error{
          stage: :relay,
          reason: :vanished,
          message:
            "the process of MuonTrap that owned the program's port has ended (#{inspect(reason)}), so that the program's " <>
              "end was not seen; the helper stops the program and its descendants when the port closes"
        }}
     ]}
  end

  @doc """
  Whether no event comes after this one
  """
  @spec last?(event()) :: boolean()
  def last?({kind, _what}), do: kind in [:exited, :timed_out, :vanished]

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
  def abandon(%__MODULE__{server: server}) do
    monitor = Process.monitor(server)
    GenServer.cast(server, :abandon)

    receive do
      {:DOWN, ^monitor, :process, _server, _reason} -> :ok
    end
  end
end
