# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Owner do
  @moduledoc false
  # Runs a case's tree in this VM, by the owner and with the manners that the case has, and tells what it has seen.

  alias MuonTrap.{Daemon, Program}
  alias MuonTrap.Test.OS
  alias MuonTrap.Torture.{Collector, Faulty, Ledger, Tree}

  @servers MuonTrap.HelperPort.Supervisor

  @doc """
  What came of the case

  `how` it ended for the owner; `status`, if it was told; `arrived`, what came of each output; `alive`, the processes that lived
  when the owner was told that all were dead, nil when nobody has told it so; `messages` that were left; and `did`, what was done
  in the VM meanwhile.
  """
  @spec run(map(), map()) :: map()
  def run(scene, context) do
    me = self()
    meddle(scene, context)
    {owner, monitor} = spawn_monitor(fn -> send(me, {:result, self(), live(scene, context, me)}) end)
    clock = spawn(fn -> keep_time(scene, context, me) end)
    result = attend(%{owner: owner, monitor: monitor, handle: nil, result: nil, did: []})
    Process.exit(clock, :kill)
    stop_meddling(scene)
    result
  end

  # With another helper_path, and another environment, the helpers that idle are not used.
  defp meddle(%{calls: []}, _context), do: :ok

  defp meddle(scene, context) do
    System.put_env("TORTURE_HELPER", MuonTrap.muontrap_path())
    System.put_env("TORTURE_CALLS", Faulty.plan(scene.calls))
    Application.put_env(:muontrap, :helper_path, context.faulty)
  end

  defp stop_meddling(%{calls: []}), do: :ok

  defp stop_meddling(_scene) do
    Application.delete_env(:muontrap, :helper_path)
    System.delete_env("TORTURE_CALLS")
  end

  # ---- What is done in the VM meanwhile ----

  defp keep_time(scene, context, me) do
    at_launch = for {:launch, us, what} <- scene.inside, do: {us, what}
    at_start = for {:start, us, what} <- scene.inside, do: {us, what}
    last = if scene.last_resort, do: [{scene.last_resort * context.slowness * 1_000, :last_resort}], else: []
    begun = System.monotonic_time(:microsecond)
    {early, monitor} = spawn_monitor(fn -> strike(at_launch ++ last, begun, me) end)
    Process.link(early)
    OS.eventually(fn -> Ledger.started?(context.ledger) end, 300_000)
    strike(at_start, System.monotonic_time(:microsecond), me)
    receive do: ({:DOWN, ^monitor, :process, ^early, _reason} -> :ok)
  end

  defp strike(events, begun, me) when is_list(events) do
    for {us, what} <- Enum.sort(events) do
      wait_until(begun + us)
      send(me, {:strike, what})
    end
  end

  defp wait_until(time) do
    left = time - System.monotonic_time(:microsecond)

    cond do
      left > 2_000 ->
        Process.sleep(div(left, 1_000) - 1)
        wait_until(time)

      left > 0 ->
        wait_until(time)

      true ->
        :ok
    end
  end

  defp attend(%{owner: owner, monitor: monitor} = state) do
    receive do
      {:handle, handle} -> attend(%{state | handle: handle})
      {:result, ^owner, result} -> attend(%{state | result: result})
      {:strike, what} -> what |> strike(state) |> attend()
      {:DOWN, ^monitor, :process, ^owner, reason} -> finish(state, reason)
    end
  end

  defp finish(%{result: nil} = state, reason), do: Map.put(seen(:killed), :did, [{:down, inspect(reason)} | state.did])
  defp finish(state, _reason), do: Map.put(state.result, :did, state.did)

  # Too late: it is over.
  defp strike(_what, %{result: result} = state) when result != nil, do: state

  defp strike(what, state) when what in [:kill_owner, :last_resort] do
    Process.exit(state.owner, :kill)
    did(state, what)
  end

  defp strike(:kill_server, state) do
    case for {_id, server, _type, _modules} <- children(@servers), is_pid(server), do: server do
      [] -> again(:kill_server, state)
      servers -> did(state, {:kill_server, for(server <- servers, do: Process.exit(server, :kill))})
    end
  end

  defp strike(:kill_daemon, %{handle: {:daemon, supervisor}} = state) do
    for {_id, daemon, _type, _modules} <- children(supervisor), is_pid(daemon), do: Process.exit(daemon, :kill)
    did(state, :kill_daemon)
  end

  defp strike(:stop, %{handle: {:program, program}} = state) do
    spawn(fn -> Program.stop(program) end)
    did(state, :stop)
  end

  defp strike(:stop, %{handle: {:daemon, supervisor}} = state) do
    spawn(fn -> Supervisor.stop(supervisor, :shutdown) end)
    did(state, :stop)
  end

  defp strike(:stop, %{handle: :shell} = state) do
    send(state.owner, :close)
    did(state, :stop)
  end

  defp strike(what, state) when what in [:stop, :kill_daemon], do: again(what, state)

  # A launch that comes after it starts the application again.
  defp strike(:stop_application, state) do
    if children(@servers) == [], do: again(:stop_application, state), else: stop_application(state)
  end

  defp strike(:set_environment, state) do
    System.put_env("TORTURE_CHANGES", "#{System.unique_integer()}")
    did(state, :set_environment)
  end

  # As two upgrades in a row.
  defp strike(:reload, state) do
    {:ok, modules} = :application.get_key(:muontrap, :modules)
    ours = for module <- modules, not tests?(module), :code.is_loaded(module) != false, do: module

    for _twice <- 1..2, module <- ours do
      :code.purge(module)
      {:module, ^module} = :code.load_file(module)
    end

    did(state, :reload)
  end

  defp stop_application(state) do
    {pid, monitor} = spawn_monitor(fn -> Application.stop(:muontrap) end)
    receive do: ({:DOWN, ^monitor, :process, ^pid, _reason} -> :ok)
    did(state, :stop_application)
  end

  # Too early: there is nothing yet that it could be done to. It will be when there is.
  defp again(what, state) do
    Process.send_after(self(), {:strike, what}, 5)
    state
  end

  defp tests?(module), do: String.starts_with?(inspect(module), ["MuonTrap.Torture", "MuonTrap.Test"])
  defp did(state, what), do: %{state | did: [what | state.did]}

  defp children(supervisor) do
    Supervisor.which_children(supervisor)
  catch
    :exit, _gone -> []
  end

  # ---- The owners ----

  defp live(scene, context, me) do
    Process.flag(:trap_exit, scene.kind in [:program, :daemon])
    live(scene.kind, scene, context, me)
  end

  defp live(:cmd, scene, context, _me) do
    before = scene.manners.messages
    for _message <- list(before), do: send(self(), :not_yours)

    {how, status, output} =
      try do
        MuonTrap.cmd(context.tree, arguments(scene, context), options(scene, context) ++ [into: into(scene)])
      else
        {output, :timeout} -> {:timeout, nil, output}
        {output, status} -> {:ended, status, output}
      rescue
        error -> {failed(error), nil, nil}
      catch
        :exit, reason -> {{:exit, inspect(reason)}, nil, nil}
      end

    alive = OS.alive(context.mark)
    {:message_queue_len, messages} = Process.info(self(), :message_queue_len)
    seen(how, status, output(output), alive, messages - before)
  end

  defp live(:stream, scene, context, _me) do
    Process.put(:collector, %Collector{slow: scene.manners.slow, raises_after: scene.manners.raises_after})

    {how, status} =
      try do
        context.tree
        |> MuonTrap.stream!(arguments(scene, context), options(scene, context) ++ [exit: :return])
        |> Enum.reduce_while({:no_end, nil}, &consume(&1, &2, scene.manners.halts_after))
      rescue
        error -> {failed(error), nil}
      end

    alive = OS.alive(context.mark)
    {:message_queue_len, messages} = Process.info(self(), :message_queue_len)
    seen(how, status, output(Process.get(:collector)), alive, messages)
  end

  defp live(:program, scene, context, me) do
    reads = scene.manners.reads
    active = if reads in [:read, :nothing], do: [], else: [active: reads]

    case Program.start_link(context.tree, arguments(scene, context), options(scene, context) ++ active) do
      {:ok, program} ->
        send(me, {:handle, {:program, program}})
        talk(program, scene.manners)
        {how, status} = listen_to(program, reads)
        seen(how, status, output(Process.get(:collector)), if(how == :ended, do: OS.alive(context.mark)))

      {:error, reason} ->
        not_started(reason, context)
    end
  end

  defp live(:daemon, scene, context, me) do
    owner = self()

    opts =
      options(scene, context) ++
        [
          logger_fun: {__MODULE__, :line, [owner, scene.manners.slow]},
          exit_status_to_reason: fn status ->
            send(owner, {:status, status})
            if status == 0, do: :normal, else: :error_exit_status
          end
        ]

    child = %{Daemon.child_spec([context.tree, arguments(scene, context), opts]) | restart: scene.manners.restart}

    case Supervisor.start_link([child], strategy: :one_for_one, max_restarts: 3, max_seconds: 60) do
      {:ok, supervisor} ->
        send(me, {:handle, {:daemon, supervisor}})
        lines = watch(supervisor)
        seen(:ended, last_status(nil), {:lines, lines}, OS.alive(context.mark))

      {:error, {:shutdown, {:failed_to_start_child, _id, reason}}} ->
        not_started(reason, context)

      {:error, reason} ->
        not_started(reason, context)
    end
  end

  defp live(:shell, scene, context, me) do
    helper = MuonTrap.muontrap_path()
    stderr = if scene.options[:pty], do: [], else: ["--stderr", "stdout"]
    # A standard input that has ended before the helper looks at it is a lifeline only when that is asked for.
    words =
      shell_words(scene.options, context) ++
        ["--stdin", "lifeline"] ++ stderr ++ ["--", context.tree | arguments(scene, context)]

    # What the helper and the shell say of themselves is not the program's output.
    script = if scene.manners.wrapped, do: ~S(exec 2>/dev/null; "$@"; exit $?), else: ~S(exec "$@" 2>/dev/null)

    env = for {name, value} <- environment(context), do: {String.to_charlist(name), String.to_charlist(value)}

    port =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :binary,
        :exit_status,
        args: ["-c", script, "sh", helper | words],
        env: env
      ])

    send(me, {:handle, :shell})
    Process.put(:collector, %Collector{slow: scene.manners.slow})
    {how, status} = hear(port)
    seen(how, status, output(Process.get(:collector)), if(how == :ended, do: OS.alive(context.mark)))
  end

  defp not_started(%_exception{} = error, context), do: seen(failed(error), nil, nil, OS.alive(context.mark))
  defp not_started({%_exception{} = error, _trace}, context), do: seen(failed(error), nil, nil, OS.alive(context.mark))
  defp not_started(reason, _context), do: seen({:exit, inspect(reason)})

  # ---- cmd and stream ----

  defp into(%{manners: manners} = scene) do
    cond do
      manners.slow > 0 or manners.raises_after != nil or manners.collects == :own or scene.options[:stderr] == :tag ->
        %Collector{slow: manners.slow, raises_after: manners.raises_after}

      manners.collects == :list ->
        []

      true ->
        ""
    end
  end

  defp consume({:exit, status}, _none, _halts_after), do: {:cont, {:ended, status}}

  defp consume(element, none, halts_after) do
    collector = Collector.add(Process.get(:collector), element)
    Process.put(:collector, collector)
    if halts_after != nil and collector.bytes >= halts_after, do: {:halt, {:halted, nil}}, else: {:cont, none}
  end

  # ---- Program ----

  defp talk(program, manners) do
    spawn_link(fn -> type(program, manners.input) end)
    begun = System.monotonic_time(:microsecond)
    spawn_link(fn -> signal(program, manners.signals, begun) end)
    Process.put(:collector, %Collector{slow: manners.slow})
  end

  defp listen_to(program, reads) do
    listen(reads, program)
  catch
    :exit, _stopped -> {:stopped, nil}
  end

  defp listen(:read, program) do
    case Program.read(program) do
      :eof ->
        ending(program)

      item ->
        collect(item)
        listen(:read, program)
    end
  end

  defp listen(:nothing, program), do: ending(program)

  defp listen(active, program) do
    receive do
      {^program, {:exit, {:error, error}}} ->
        {failed(error), nil}

      {^program, {:exit, status}} ->
        {:ended, status}

      {^program, :passive} ->
        Program.set_active(program, active)
        listen(active, program)

      {^program, what} ->
        if what != :eof, do: collect(what)
        if active == :once, do: Program.set_active(program, :once)
        listen(active, program)

      {:EXIT, ^program, reason} ->
        exit(reason)
    end
  end

  defp ending(program) do
    case Program.await(program) do
      {:ok, status} -> {:ended, status}
      {:error, error} -> {failed(error), nil}
    end
  end

  defp type(program, input) do
    Enum.find(input(input), &(Program.write(program, &1) != :ok))
    Program.close_stdin(program)
  catch
    :exit, _stopped -> :ok
  end

  defp signal(program, signals, begun) do
    for {us, signal, to} <- Enum.sort(signals) do
      wait_until(begun + us)
      Program.signal(program, signal, to)
    end
  catch
    :exit, _stopped -> :ok
  end

  # ---- Daemon ----

  @doc false
  def line(line, owner, slow) do
    lines = Process.get(:lines, 0)
    Process.put(:lines, lines + 1)
    if slow > 0 and lines < 300, do: Process.sleep(slow)
    if rem(lines, 1_000) == 999, do: wait_for_room(owner)
    send(owner, {:line, line})
  end

  defp wait_for_room(owner) do
    with {:message_queue_len, messages} when messages > 10_000 <- Process.info(owner, :message_queue_len) do
      Process.sleep(1)
      wait_for_room(owner)
    end
  end

  # Until the supervisor has ended, or its child will not be started again. Who takes the lines must not wait for the supervisor,
  # which may be waiting for the daemon, and that for the lines.
  defp watch(supervisor) do
    owner = self()
    spawn_link(fn -> await_no_child(supervisor, owner) end)
    take_lines(supervisor, [])
  end

  defp await_no_child(supervisor, owner) do
    case children(supervisor) do
      [{_id, daemon, _type, _modules}] when daemon != :undefined ->
        Process.sleep(10)
        await_no_child(supervisor, owner)

      _none ->
        stop(supervisor)
        send(owner, {:over, supervisor})
    end
  end

  defp take_lines(supervisor, lines) do
    receive do
      {:line, line} -> take_lines(supervisor, [line | lines])
      {:over, ^supervisor} -> last_lines(lines)
    end
  end

  defp stop(supervisor) do
    Supervisor.stop(supervisor)
  catch
    :exit, _ended -> :ok
  end

  defp last_lines(lines) do
    receive do
      {:line, line} -> last_lines([line | lines])
    after
      0 -> Enum.reverse(lines)
    end
  end

  defp last_status(status) do
    receive do
      {:status, later} -> last_status(later)
    after
      0 -> status
    end
  end

  # ---- The helper in a shell ----

  defp shell_words(options, context) do
    Enum.flat_map(options, fn
      {:delay_to_sigkill, ms} -> ["--delay-to-sigkill", "#{ms}"]
      {:cgroup_base, true} -> ["--group", "#{context.cgroup_base}/shell"]
      {:pty, _modes} -> ["--pty", "--pty-mode", "OPOST=0", "--pty-mode", "ECHO=0"]
    end)
  end

  defp hear(port) do
    receive do
      {^port, {:data, data}} ->
        collect(data)
        hear(port)

      {^port, {:exit_status, status}} ->
        {:ended, status}

      :close ->
        MuonTrap.Helper.close(port)
        {:closed, nil}
    end
  end

  # ---- What they have in common ----

  defp arguments(scene, context), do: [context.ledger, Tree.spec(scene.tree)]
  defp environment(context), do: OS.marked(context.mark) ++ [{"TORTURE_CGROUP2", context.cgroup2}]

  defp options(scene, context) do
    options =
      Enum.map(scene.options, fn
        {:cgroup_base, true} -> {:cgroup_base, context.cgroup_base}
        option -> option
      end)

    options ++ input_option(scene) ++ [env: environment(context)]
  end

  defp input_option(%{kind: kind, manners: %{input: input}}) when kind in [:cmd, :stream] and input != nil,
    do: [input: whole(input)]

  defp input_option(_scene), do: []

  defp whole({:bytes, size}), do: Ledger.input(size)
  defp whole(input), do: input(input)

  defp input(nil), do: []
  defp input({:bytes, 0}), do: []
  defp input({:bytes, size}), do: [Ledger.input(size)]
  defp input(:endless), do: Stream.cycle([Ledger.input(131_071)])

  defp input({:chunks, size, chunk}) do
    Stream.unfold(Ledger.input(size), fn
      "" -> nil
      <<piece::binary-size(chunk), rest::binary>> -> {piece, rest}
      piece -> {piece, ""}
    end)
  end

  defp collect(item), do: Process.put(:collector, Collector.add(Process.get(:collector), item))

  defp output(nil), do: nil
  defp output({:lines, lines}), do: {:lines, lines}
  defp output(binary) when is_binary(binary), do: output([binary])
  defp output(list) when is_list(list), do: list |> Enum.reduce(%Collector{}, &Collector.add(&2, &1)) |> output()
  defp output(%Collector{} = collector), do: Collector.outputs(collector)

  defp failed(%MuonTrap.Error{} = error), do: {:error, error.stage, error.reason, error.message}
  defp failed(%{message: "collector"}), do: :collector_raised
  defp failed(error), do: {:raised, Exception.message(error)}

  defp list(0), do: []
  defp list(number), do: 1..number

  defp seen(how, status \\ nil, output \\ nil, alive \\ nil, messages \\ 0) do
    arrived =
      case output do
        nil -> nil
        {:lines, lines} -> Ledger.arrived_lines(lines)
        output -> Map.new(output, fn {name, bytes} -> {name, Ledger.arrived(bytes)} end)
      end

    %{how: how, status: status, arrived: arrived, alive: alive, messages: messages, did: []}
  end
end
