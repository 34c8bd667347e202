# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Program do
  @moduledoc """
  A running program to talk to: to write to, to read from, to signal and to wait for

      {:ok, bc} = MuonTrap.Program.start_link("bc")
      :ok = MuonTrap.Program.write(bc, "6 * 7\\n")
      {:stdout, "42\\n"} = MuonTrap.Program.read(bc)
      :ok = MuonTrap.Program.close_stdin(bc)
      {:ok, 0} = MuonTrap.Program.await(bc)

  `MuonTrap.attach/2` makes one of a process that somebody else has started.

  It is a GenServer. Its *owner*, the process that has started it if not said otherwise, is who the program runs for: when that
  ends, the program and everything that descends from it are ended. After the program's end the GenServer stays, so that what is
  left can be read and asked for, until `stop/2` or the owner's end; under a supervisor, or with `when_done: :stop`, it ends with the
  program.

  What the program writes is held back until it is read. When as much is unread as the window allows (see `:stdio_window` of
  `MuonTrap.cmd/3`), the program waits in its next write. So a program whose output nobody reads may never end, and `await/2`
  waits for it.

  ## Options

  Those of `MuonTrap.cmd/3` that say how the program is run: all but `:input`, `:into`, `:lines`, `:timeout`, `:use_stdio` and `:hide`;
  and

    * `:stderr` - as there, but by default `:tag`, to read it apart from stdout
    * `:stdin` - as there. Without it, it is what `write/3` writes
    * `:pty` - as there. Then `close_stdin/1` types the end of the input (Ctrl-D), where the terminal is in canonical mode
    * `:active` - as of `set_active/2`. Defaults to `false`
    * `:owner` - the process that the program runs for. Defaults to the calling process. It may be on another node, and then it
      counts as ended, too, when the two nodes lose each other (see docs/cluster.md)
    * `:when_done` - `:stay` or `:stop`, see above. Then it exits with `:normal` after status 0, else with
      `{:exit_status, status}`, or with `{:signal, name}` such as `{:signal, :sigkill}`, or `{:signal, number}` for a signal that
      has no name
    * `:name` - registers the GenServer
  """

  use GenServer

  alias MuonTrap.{HelperPort, Options, Signal, StopSequence}

  # What a process can wait for at most.
  @timeout_most 0xFFFFFFFF
  # How long another node has to say whether an owner there lives, in milliseconds.
  @patience 5_000

  # port: nil once the program has ended. request: the one for more events. items: what has come and has not been read.
  # readers: who waits for it, with the reference of its timer. signallers: who waits for an answer, the first one first.
  # ended: nil while the program runs, then {:ok, status} or {:error, exception}. eof: :none, :known once nothing follows the
  # items, :told when the owner has got the messages of the end.
  @enforce_keys [:owner, :monitor, :port, :when_done]
  defstruct [
    :owner,
    :monitor,
    :port,
    :when_done,
    :request,
    :program_pid,
    :ended,
    :reason,
    pty: false,
    by_messages: false,
    active: false,
    items: :queue.new(),
    readers: :queue.new(),
    awaiting: [],
    signallers: :queue.new(),
    eof: :none,
    error: nil,
    stopping: false
  ]

  @typedoc "What `read/2` gives"
  @type item :: {:stdout, binary()} | {:stderr, binary()} | :eof

  @doc """
  Start the program

  Returns `{:error, reason}` when it can't be started: a `MuonTrap.Error`, or `{exception, stacktrace}` as of `MuonTrap.cmd/3`
  for options and a program that make no sense; `:ignore` when another process is the owner and has died before, or is on a node
  that can't be reached. As with every GenServer, a caller that doesn't trap exits gets the exit signal with that reason.

      iex> {:ok, program} = MuonTrap.Program.start_link("sort", ["-n"])
      iex> MuonTrap.Program.write(program, "10\\n9\\n")
      :ok
      iex> MuonTrap.Program.close_stdin(program)
      :ok
      iex> MuonTrap.Program.read(program)
      {:stdout, "9\\n10\\n"}
      iex> {MuonTrap.Program.read(program), MuonTrap.Program.await(program)}
      {:eof, {:ok, 0}}
      iex> MuonTrap.Program.stop(program)
      {:ok, 0}
  """
  @spec start_link(String.t(), [String.t()], keyword()) :: GenServer.on_start()
  def start_link(command, args \\ [], opts \\ []) do
    {name, opts} = :program |> Options.keyword!(opts) |> Keyword.pop(:name)
    owner = Keyword.get(opts, :owner, self())
    start(owner, {command, args, Keyword.put(opts, :owner, owner)}, if(name, do: [name: name], else: []))
  end

  defp start(owner, argument, opts) when owner == self(), do: GenServer.start_link(__MODULE__, argument, opts)

  # A GenServer ends with its parent, also when that ends normally. With another owner it ends only as by a link.
  defp start(_owner, argument, opts), do: GenServer.start(__MODULE__, {:linked, self(), argument}, opts)

  @doc false
  @spec attach(pos_integer(), keyword()) :: {:ok, pid()} | {:error, Exception.t()} | :ignore
  def attach(os_pid, opts) do
    {name, opts} = Keyword.pop(opts, :name)
    options = Options.validate_attach(os_pid, Keyword.put_new(opts, :owner, self()))

    # Without a link, until it has begun, that would end the caller when it can't be done.
    GenServer.start(__MODULE__, {:linked, self(), {:attach, options}}, if(name, do: [name: name], else: []))
  end

  @doc """
  A child of a supervisor, which ends with the program

      children = [{MuonTrap.Program, ["my_server", ["--foreground"], [name: MyServer]]}]

  Its `:id` is the `:name`, if there is one. Without `:owner` the supervisor is the owner, to which no messages are to be sent.
  With `:active` what was written comes to the owner before it ends; else what has not been read by then is thrown away.
  """
  @spec child_spec([term()]) :: Supervisor.child_spec()
  def child_spec(child) do
    [command, args, opts] = Options.child!(child, "MuonTrap.Program")
    Options.keyword!(:program, opts)

    if Keyword.get(opts, :active, false) != false and not Keyword.has_key?(opts, :owner) do
      raise ArgumentError,
            "the option :active of MuonTrap.Program needs :owner under a supervisor, or the messages would come to the supervisor"
    end

    %{
      id: Keyword.get(opts, :name, __MODULE__),
      start: {__MODULE__, :start_link, [command, args, Keyword.put_new(opts, :when_done, :stop)]},
      shutdown: StopSequence.time_to_stop(opts)
    }
  end

  @doc """
  Write to the program's standard input, and return when all has been handed over

  `{:error, :closed}` when it can't be: the program has ended, nobody reads its standard input any more, or its end has been
  sent. `{:error, :timeout}` when it has not been in so many milliseconds; what has been handed over by then stays so, and the
  rest is not written.
  """
  @spec write(GenServer.server(), iodata(), timeout()) :: :ok | {:error, :closed | :timeout}
  def write(program, data, timeout \\ :infinity) do
    unless MuonTrap.Feeder.iodata?(data),
      do: raise(ArgumentError, "MuonTrap.Program.write/3 takes iodata: a binary, or a list of bytes and binaries")

    check_timeout!(:write, 3, timeout)
    with {:ok, port} <- GenServer.call(program, :input, :infinity), do: HelperPort.write(port, data, timeout)
  end

  @doc """
  Send the end of the program's standard input, after all that has been written before
  """
  @spec close_stdin(GenServer.server()) :: :ok
  def close_stdin(program), do: GenServer.call(program, :close_stdin, :infinity)

  @doc """
  Read what the program writes next

  `:eof`, again and again, when nothing more will come. After `{:error, :timeout}` nothing is lost.
  """
  @spec read(GenServer.server(), timeout()) :: item() | {:error, :timeout}
  def read(program, timeout \\ :infinity) do
    check_timeout!(:read, 2, timeout)
    GenServer.call(program, {:read, timeout}, :infinity)
  end

  @doc """
  Have what the program writes come as messages to the owner, as `:inet.setopts/2` has it of `:active` for a socket

    * `false` - none; it is to be read. As by default
    * `:once` - one, and then it is `false` again
    * `n`, a number - so many, and then it is `false` again, and `{program, :passive}` is sent. It is added to what is left
    * `true` - all, as they come. Nothing holds the program up then, and the owner's mailbox grows when it is slower

  The messages are `{program, {:stdout, binary}}` and `{program, {:stderr, binary}}`, then `{program, :eof}`, which counts as one
  of `n`, and last `{program, {:exit, status}}`, or `{program, {:exit, {:error, exception}}}` as of `await/2`.
  """
  @spec set_active(GenServer.server(), boolean() | :once | pos_integer()) :: :ok
  def set_active(program, active) do
    unless active?(active) do
      raise ArgumentError,
            "MuonTrap.Program.set_active/2 takes true, false, :once or a positive number, got: #{inspect(active)}"
    end

    GenServer.call(program, {:set_active, active}, :infinity)
  end

  @doc """
  Send a signal, by name such as `:sighup` or by number, to the program, its process group, its tree or its cgroup

  See `MuonTrap.Daemon.signal/3` for what is returned; `{:error, :exited}` when the program has ended.
  """
  @spec signal(GenServer.server(), Signal.t(), MuonTrap.Protocol.receiver()) :: :ok | {:error, atom()}
  def signal(program, signal, to \\ :program) do
    Signal.check!(signal, to)
    GenServer.call(program, {:signal, signal, to}, :infinity)
  end

  @doc """
  Set the size of the program's terminal, which tells the program by SIGWINCH

  `{:error, :no_pty}` without the option `:pty`, and `{:error, :exited}` when the program has ended. Both are numbers from 1
  to 65,535.

      iex> script = ~S[read go; printf %s "$(stty size)"]
      iex> {:ok, program} = MuonTrap.Program.start_link("sh", ["-c", script], pty: [echo: false])
      iex> MuonTrap.Program.resize(program, 50, 132)
      :ok
      iex> MuonTrap.Program.write(program, "go\\n")
      :ok
      iex> MuonTrap.Program.read(program)
      {:stdout, "50 132"}
  """
  @spec resize(GenServer.server(), 1..65_535, 1..65_535) :: :ok | {:error, :no_pty | :exited}
  def resize(program, rows, columns) do
    unless MuonTrap.Pty.dimension?(rows) and MuonTrap.Pty.dimension?(columns) do
      raise ArgumentError,
            "MuonTrap.Program.resize/3 takes rows and columns from 1 to 65535, got: #{inspect(rows)} and #{inspect(columns)}"
    end

    GenServer.call(program, {:resize, rows, columns}, :infinity)
  end

  @doc """
  Wait for the program's end, and return its exit status; 128 plus the signal's number when a signal ended it, and `:unknown`
  for a process of `MuonTrap.attach/2`

  It can be called after the end as well, also with a timeout of 0. A program that waits for its output to be read doesn't end.
  """
  @spec await(GenServer.server(), timeout()) :: {:ok, non_neg_integer() | :unknown} | {:error, :timeout | Exception.t()}
  def await(program, timeout \\ :infinity) do
    check_timeout!(:await, 2, timeout)
    GenServer.call(program, {:await, timeout}, :infinity)
  end

  @doc """
  End the program and everything that descends from it, throw away what has not been read, and end the GenServer

  Returns the exit status when everything is dead. On `{:error, :timeout}` the stop goes on.
  """
  @spec stop(GenServer.server(), timeout()) :: {:ok, non_neg_integer() | :unknown} | {:error, :timeout | Exception.t()}
  def stop(program, timeout \\ :infinity) do
    check_timeout!(:stop, 2, timeout)

    try do
      GenServer.call(program, :stop, timeout)
    catch
      :exit, {:timeout, _call} -> {:error, :timeout}
    end
  end

  @doc """
  The program's own pid
  """
  @spec os_pid(GenServer.server()) :: pos_integer() | {:error, :exited}
  def os_pid(program), do: GenServer.call(program, :os_pid, :infinity)

  defp check_timeout!(function, arity, timeout) do
    unless timeout == :infinity or (is_integer(timeout) and timeout in 0..@timeout_most) do
      raise ArgumentError,
            "MuonTrap.Program.#{function}/#{arity} takes a timeout of 0 to #{@timeout_most} milliseconds or :infinity, " <>
              "got: #{inspect(timeout)}"
    end
  end

  defp active?(active), do: active in [true, false, :once] or (is_integer(active) and active > 0)

  # By this process, for the caller would fail if it had ended by then.
  @impl GenServer
  def init({:linked, caller, argument}) do
    with {:ok, state} <- init(argument) do
      Process.link(caller)
      {:ok, state}
    end
  end

  def init({:attach, options}), do: launch(options)

  def init({command, args, opts}),
    do: :program |> Options.validate(command, args, opts) |> with_stderr() |> with_input() |> launch()

  defp launch(options), do: if(alive?(options.owner), do: open(options), else: :ignore)

  defp alive?(owner) when node(owner) == node(), do: Process.alive?(owner)

  defp alive?(owner) do
    :erpc.call(node(owner), :erlang, :is_process_alive, [owner], @patience)
  catch
    # The monitor will tell.
    :error, {:erpc, :timeout} -> true
    :error, {:erpc, _unreachable} -> false
  end

  defp open(options) do
    case options |> Map.put(:served, true) |> HelperPort.start() do
      {:ok, port, next} ->
        # So that terminate/2 is called when the supervisor wants it to end. Not before: a start that waits for a lock ends with
        # who waits for it.
        Process.flag(:trap_exit, true)

        state = %__MODULE__{
          owner: options.owner,
          monitor: Process.monitor(options.owner),
          port: port,
          program_pid: port.program_pid,
          pty: Map.get(options, :pty, false) != false,
          when_done: Map.get(options, :when_done, :stay),
          active: Map.get(options, :active, false),
          by_messages: Map.get(options, :active, false) != false
        }

        {:ok, begin(state, next)}

      {:error, error} ->
        {:stop, error}
    end
  end

  # Where nothing else is said, it is to be read.
  defp with_stderr(options) do
    if Enum.any?([:stderr_to_stdout, :capture_stderr_only, :pty], &options[&1]),
      do: options,
      else: Map.put_new(options, :stderr, :tag)
  end

  defp with_input(%{stdin: _stdin} = options), do: options
  defp with_input(options), do: Map.put(options, :input, :written)

  # What has come with the start.
  defp begin(state, {[], _next}), do: ask(state)
  defp begin(state, {events, _next}), do: state |> take_in(events) |> ask()

  defp ask(%{ended: nil, request: nil} = state), do: %{state | request: HelperPort.request_unhandled(state.port)}
  defp ask(state), do: state

  @impl GenServer
  # Who writes calls the port's server by itself, and so notices should that end before it has answered.
  def handle_call(:input, _from, %{ended: nil} = state), do: {:reply, {:ok, state.port}, state}
  def handle_call(:input, _from, state), do: {:reply, {:error, :closed}, state}

  def handle_call(:close_stdin, _from, state) do
    if state.ended == nil, do: HelperPort.end_input(state.port)
    {:reply, :ok, state}
  end

  def handle_call({:read, timeout}, {pid, _tag} = from, state) do
    # A reader on another node can't be asked whether it lives, and may not be told any more what was read for it.
    reference = if node(pid) == node(), do: make_ref(), else: Process.monitor(pid)
    timer = timer({:read_timeout, reference}, timeout)
    {:noreply, deliver(%{state | readers: :queue.in({from, reference, timer}, state.readers)})}
  end

  def handle_call({:set_active, active}, from, state) do
    active = if is_integer(active) and is_integer(state.active), do: active + state.active, else: active
    state = deliver(%{state | active: active, by_messages: state.by_messages or active != false})
    GenServer.reply(from, :ok)
    end_if_done(state)
  end

  def handle_call({:signal, _signal, _to}, _from, %{ended: ended} = state) when ended != nil,
    do: {:reply, {:error, :exited}, state}

  def handle_call({:signal, _signal, :cgroup}, _from, %{port: %{cgroup: nil}} = state),
    do: {:reply, {:error, :no_cgroup}, state}

  def handle_call({:signal, signal, to}, from, state) do
    HelperPort.signal(state.port, signal, to)
    {:noreply, %{state | signallers: :queue.in(from, state.signallers)}}
  end

  def handle_call({:resize, _rows, _columns}, _from, %{pty: false} = state), do: {:reply, {:error, :no_pty}, state}

  def handle_call({:resize, _rows, _columns}, _from, %{ended: ended} = state) when ended != nil,
    do: {:reply, {:error, :exited}, state}

  def handle_call({:resize, rows, columns}, _from, state),
    do: {:reply, HelperPort.resize(state.port, rows, columns), state}

  def handle_call({:await, timeout}, from, %{ended: nil} = state) do
    timer({:await_timeout, from}, timeout)
    {:noreply, %{state | awaiting: [from | state.awaiting]}}
  end

  def handle_call({:await, _timeout}, _from, state), do: {:reply, state.ended, state}
  def handle_call(:stop, _from, %{ended: ended} = state) when ended != nil, do: {:stop, :normal, ended, state}

  def handle_call(:stop, from, state) do
    HelperPort.stop(state.port)
    {:noreply, discard(%{state | awaiting: [from | state.awaiting], stopping: true})}
  end

  def handle_call(:os_pid, _from, state),
    do: {:reply, if(state.ended, do: {:error, :exited}, else: state.program_pid), state}

  defp timer(_message, :infinity), do: nil
  defp timer(message, timeout), do: Process.send_after(self(), message, timeout)

  @impl GenServer
  def handle_info({:DOWN, monitor, :process, _owner, _reason}, %{monitor: monitor} = state), do: {:stop, :normal, state}

  def handle_info({:read_timeout, reference}, state) do
    {late, state} = take_reader(state, reference)
    for reader <- late, do: answer(reader, {:error, :timeout})
    {:noreply, state}
  end

  def handle_info({:DOWN, reference, :process, pid, _reason}, state) when node(pid) != node() do
    {lost, state} = take_reader(state, reference)
    for {_from, _reference, timer} <- lost, do: cancel(timer)
    {:noreply, state}
  end

  def handle_info({:await_timeout, from}, state) do
    if from in state.awaiting, do: GenServer.reply(from, {:error, :timeout})
    {:noreply, %{state | awaiting: List.delete(state.awaiting, from)}}
  end

  def handle_info(message, %{request: request} = state) when request != nil do
    case HelperPort.check_response(message, request) do
      {:events, events} -> %{state | request: nil} |> take_in(events) |> ask() |> end_if_done()
      :no_reply -> handle_other(message, state)
    end
  end

  def handle_info(message, state), do: handle_other(message, state)

  # As if exits weren't trapped.
  defp handle_other({:EXIT, _pid, :normal}, state), do: {:noreply, state}
  defp handle_other({:EXIT, _pid, reason}, state), do: {:stop, reason, state}
  defp handle_other(_message, state), do: {:noreply, state}

  defp take_reader(state, reference) do
    {reader, readers} = state.readers |> :queue.to_list() |> Enum.split_with(&(elem(&1, 1) == reference))
    {reader, %{state | readers: :queue.from_list(readers)}}
  end

  defp end_if_done(%{ended: ended, stopping: true} = state) when ended != nil, do: {:stop, :normal, state}

  # Who gets messages gets all of them first. What is left to be read is thrown away with a process that ends with the program.
  defp end_if_done(%{ended: ended, when_done: :stop} = state) when ended != nil do
    if state.eof == :told or not state.by_messages, do: {:stop, state.reason, state}, else: {:noreply, state}
  end

  defp end_if_done(state), do: {:noreply, state}

  defp take_in(state, events), do: events |> Enum.reduce(state, &take_event/2) |> deliver()

  defp take_event({stream, data}, %{items: :discarded} = state) when stream in [:stdout, :stderr] do
    HelperPort.handled(state.port, byte_size(data))
    state
  end

  defp take_event({stream, _data} = item, state) when stream in [:stdout, :stderr],
    do: %{state | items: :queue.in(item, state.items)}

  defp take_event({:signalled, result}, state) do
    {{:value, from}, signallers} = :queue.out(state.signallers)
    GenServer.reply(from, result)
    %{state | signallers: signallers}
  end

  # The helper stops the program because of it, and tells its end.
  defp take_event({:error, error}, state), do: %{state | error: error}
  defp take_event({:vanished, error}, state), do: ended(state, {:error, error}, error)

  defp take_event({:exited, _ending}, %{error: error} = state) when error != nil,
    do: ended(state, {:error, error}, error)

  defp take_event({:exited, ending}, state), do: ended(state, {:ok, ending.status}, reason(ending))

  defp reason(%{status: status}) when status in [0, :unknown], do: :normal
  defp reason(%{signal: nil, status: status}), do: {:exit_status, status}
  defp reason(%{signal: signal, signal_name: name}), do: {:signal, name || signal}

  defp ended(state, result, reason) do
    for from <- state.awaiting, do: GenServer.reply(from, result)
    for from <- :queue.to_list(state.signallers), do: GenServer.reply(from, {:error, :exited})
    %{state | ended: result, reason: reason, awaiting: [], signallers: :queue.new(), eof: :known}
  end

  defp discard(%{items: :discarded} = state), do: state

  defp discard(state) do
    HelperPort.handled(state.port, HelperPort.size(:queue.to_list(state.items)))
    deliver(%{state | items: :discarded})
  end

  # What there is to whom it is wanted by: who reads comes before messages.
  defp deliver(%{items: :discarded} = state) do
    for reader <- :queue.to_list(state.readers), do: answer(reader, :eof)
    %{state | readers: :queue.new()}
  end

  defp deliver(state) do
    state = drop_dead_readers(state)

    case {:queue.out(state.readers), :queue.out(state.items)} do
      {{{:value, reader}, readers}, {{:value, item}, items}} ->
        answer(reader, item)
        deliver(handled(%{state | readers: readers, items: items}, item))

      {{{:value, reader}, readers}, {:empty, _items}} when state.eof != :none ->
        answer(reader, :eof)
        deliver(%{state | readers: readers})

      {{:empty, _readers}, {{:value, item}, items}} when state.active != false ->
        send(state.owner, {self(), item})
        %{state | items: items} |> handled(item) |> count() |> deliver()

      {{:empty, _readers}, {:empty, _items}} when state.active != false and state.eof == :known ->
        send(state.owner, {self(), :eof})
        send(state.owner, {self(), {:exit, with({:ok, status} <- state.ended, do: status)}})
        count(%{state | eof: :told})

      _nothing ->
        state
    end
  end

  # What was given to a reader that has died meanwhile would be lost.
  defp drop_dead_readers(state) do
    case :queue.peek(state.readers) do
      {:value, {{pid, _tag}, _reference, _timer}} when node(pid) == node() ->
        if Process.alive?(pid), do: state, else: drop_dead_readers(%{state | readers: :queue.drop(state.readers)})

      _nobody_or_elsewhere ->
        state
    end
  end

  defp answer({{pid, _tag} = from, reference, timer}, item) do
    cancel(timer)
    if node(pid) != node(), do: Process.demonitor(reference, [:flush])
    GenServer.reply(from, item)
  end

  defp cancel(nil), do: :ok
  defp cancel(timer), do: Process.cancel_timer(timer)

  defp handled(state, {_stream, data}) do
    if state.ended == nil, do: HelperPort.handled(state.port, byte_size(data))
    state
  end

  defp count(%{active: :once} = state), do: %{state | active: false}

  defp count(%{active: 1} = state) do
    send(state.owner, {self(), :passive})
    %{state | active: false}
  end

  defp count(%{active: n} = state) when is_integer(n), do: %{state | active: n - 1}
  defp count(state), do: state

  @impl GenServer
  def terminate(_reason, %{ended: nil} = state), do: HelperPort.abandon_server(state.port.server)
  def terminate(_reason, _state), do: :ok

  # No output, which may be secret, in a log.
  if Version.match?(System.version(), ">= 1.17.0-dev"), do: @impl(GenServer)
  @doc false
  @spec format_status(map()) :: map()
  def format_status(status) do
    Map.new(status, fn
      {:state, %__MODULE__{} = state} ->
        {:state, %{state | items: :redacted, request: nil}}

      {:log, _log} ->
        {:log, []}

      {:message, {_request, {events, _next}}} when is_list(events) ->
        {:message, {:events, HelperPort.size(events)}}

      other ->
        other
    end)
  end
end
