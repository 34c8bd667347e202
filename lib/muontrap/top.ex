# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Top do
  @moduledoc false
  # MuonTrap.top/1: samples a node, shows what MuonTrap.Top.View makes of that, and does what the keys say. It is a process of its
  # own, in whose mailbox there is nothing of its caller's, and it ends with its caller. On the node that is watched nothing of it
  # stays between two samples.

  alias MuonTrap.{HelperPort, Signal}
  alias MuonTrap.Top.{Console, Keys, Sample, View}

  # Milliseconds: how long a sample may take where there is one only, what an answer to a signal may take, and after which an
  # escape character that nothing has followed was the escape key.
  @sample_patience 15_000
  @signal_patience 5_000
  @escape 50
  # Milliseconds without a sample after which that is said.
  @late 5_000

  @options [:node, :sort, :reverse, :interval, :filter, :once]

  # sampling: the request of the sample that is on its way, with the time at which it was sent; figuring: that of a cgroup's figures,
  # with the server of its program. looked_at: the server whose figures were asked for last. keys: the beginning of a key's bytes.
  # caller: the reference of the monitor on who waits for top's end. timer: that of the next look.
  @enforce_keys [:view, :console, :node, :caller]
  defstruct [:view, :console, :node, :caller, :timer, :sampling, :figuring, :looked_at, keys: ""]

  @doc """
  The options, checked

  Raises `ArgumentError` for one that is unknown or wrong.
  """
  @spec options!(keyword()) :: keyword()
  def options!(opts) do
    unless Keyword.keyword?(opts),
      do: raise(ArgumentError, "the options of MuonTrap.top/1 are a keyword list, not: #{inspect(opts)}")

    Enum.each(opts, &check!/1)
    opts
  end

  defp check!({:node, node}) when is_atom(node) and node not in [nil, true, false], do: :ok

  defp check!({:sort, sort}) do
    unless sort in View.names(), do: wrong!(:sort, "one of #{Enum.map_join(View.names(), ", ", &inspect/1)}", sort)
  end

  defp check!({:interval, interval}) do
    %{first: least, last: most} = View.intervals()

    unless is_integer(interval) and interval in View.intervals(),
      do: wrong!(:interval, "#{least} to #{most} milliseconds", interval)
  end

  defp check!({:filter, filter}) when is_binary(filter), do: :ok
  defp check!({key, value}) when key in [:once, :reverse] and is_boolean(value), do: :ok
  defp check!({:node, value}), do: wrong!(:node, "a node's name", value)
  defp check!({:filter, value}), do: wrong!(:filter, "a string", value)
  defp check!({key, value}) when key in [:once, :reverse], do: wrong!(key, "true or false", value)

  defp check!({key, _value}) do
    raise ArgumentError,
          "MuonTrap.top/1 has no option #{inspect(key)}; it has #{Enum.map_join(@options, ", ", &inspect/1)}"
  end

  @spec wrong!(atom(), String.t(), term()) :: no_return()
  defp wrong!(key, expected, value) do
    raise ArgumentError, "the option #{inspect(key)} of MuonTrap.top/1 takes #{expected}, got: #{inspect(value)}"
  end

  @doc """
  Show it until it is ended, on a console of that kind; one table where there is no terminal, or only one is wanted
  """
  @spec run(keyword(), :keys | :lines) :: :ok | {:error, String.t()}
  def run(opts, kind) do
    node = Keyword.get(opts, :node, node())

    with :ok <- connect(node) do
      live? = not Keyword.get(opts, :once, false) and match?({:ok, _columns}, :io.columns())
      caller = self()
      reference = make_ref()
      {top, monitor} = spawn_monitor(fn -> send(caller, {reference, show(live?, node, opts, kind, caller)}) end)

      receive do
        {:DOWN, ^monitor, :process, ^top, :normal} -> receive(do: ({^reference, result} -> result))
        {:DOWN, ^monitor, :process, ^top, reason} -> {:error, "top has failed: #{Exception.format_exit(reason)}"}
      end
    end
  end

  defp view(node, opts) do
    fields = Keyword.take(opts, [:sort, :reverse, :interval, :filter])
    struct!(View, [node: node, ellipsis: ellipsis()] ++ fields)
  end

  # locale(7): the first of these that is set says which characters the terminal has.
  defp ellipsis() do
    locale = Enum.find_value(["LC_ALL", "LC_CTYPE", "LANG"], "", &non_empty(System.get_env(&1)))
    if locale =~ ~r/utf-?8/i, do: "…", else: "+"
  end

  defp non_empty(text), do: if(text not in [nil, ""], do: text)

  defp show(false, node, opts, _kind, _caller) do
    request = ask(node, :take, [])

    with {:ok, sample} <- answer(fn -> :erpc.receive_response(request, @sample_patience) end, node) do
      # As wide as the longest command line.
      %{view(node, opts) | columns: 10_000} |> View.update(sample) |> View.text() |> print()
    end
  end

  defp show(true, node, opts, kind, caller) do
    Process.flag(:trap_exit, true)
    caller = Process.monitor(caller)

    with {:ok, console} <- Console.open(kind) do
      state = %__MODULE__{view: view(node, opts), console: console, node: node, caller: caller, timer: timer(0)}

      try do
        state |> draw() |> loop()
      after
        Console.close(console)
      end
    end
  end

  # A reader that has seen enough, such as head(1), is no failure.
  defp print(lines) do
    IO.write(Enum.map(lines, &[&1, "\n"]))
  rescue
    ErlangError -> :ok
  end

  # ---- What happens ----

  defp loop({:ended, result}), do: result

  defp loop(state) do
    %{caller: caller, timer: timer, console: %{keeper: keeper, reader: reader}} = state

    receive do
      {:timeout, ^timer, :tick} -> state |> sample() |> loop()
      {:keys, bytes} -> state |> press(bytes) |> next() |> loop()
      {:line, line} -> state |> enter(line) |> next() |> loop()
      :input_ended -> :ok
      {:EXIT, ^reader, _reason} -> :ok
      {:said, message} -> state |> say(message) |> loop()
      {^keeper, {:exit, _status}} -> terminal_lost()
      {:DOWN, ^caller, :process, _pid, _reason} -> :ok
      other -> other |> respond(state) |> loop()
    after
      if(state.keys == "", do: :infinity, else: @escape) -> state |> finish_keys() |> loop()
    end
  end

  defp terminal_lost(), do: {:error, "the terminal can't be written to any more"}

  defp next({:ended, _result} = ended), do: ended

  defp next(state) do
    Console.next(state.console)
    state
  end

  # The size may have changed since, and with it what the terminal has made of what was there.
  defp draw(state) do
    {rows, columns} = size = Console.size(state.console)
    view = View.resize(state.view, rows, columns)
    console = if size == {state.view.rows, state.view.columns}, do: state.console, else: Console.forget(state.console)

    case Console.draw(console, View.lines(view)) do
      {:error, :closed} -> {:ended, terminal_lost()}
      console -> %{state | view: view, console: console}
    end
  end

  defp say(state, message), do: draw(%{state | view: View.say(state.view, message)})

  # ---- Samples ----

  # At each tick one is asked for, unless the last one has not come yet.
  defp sample(state) do
    ask_for_sample(%{state | timer: timer(state.view.interval)})
  end

  # Its message carries the reference, so that the one of a timer that was set before is none any more.
  defp timer(ms), do: :erlang.start_timer(ms, self(), :tick)

  defp ask_for_sample(%{sampling: nil} = state), do: %{state | sampling: {ask(state.node, :take, []), now()}}

  defp ask_for_sample(%{sampling: {_request, since}} = state) do
    waited = now() - since

    if waited >= @late,
      do: say(state, "#{state.node} has not answered for #{div(waited, 1_000)} seconds"),
      else: draw(state)
  end

  # The figures of a cgroup are asked for one program, when it is another one, and after each sample.
  defp ask_for_figures(%{figuring: nil} = state) do
    case View.selected(state.view) do
      %{cgroup: cgroup, server: server} when cgroup != nil ->
        %{state | figuring: {ask(state.node, :figures, [cgroup]), server}, looked_at: server}

      _none ->
        state
    end
  end

  defp ask_for_figures(state), do: state

  defp look(state) do
    row = View.selected(state.view)
    if row != nil and row.server != state.looked_at, do: ask_for_figures(state), else: state
  end

  defp ask(node, function, args), do: :erpc.send_request(node, Sample, function, args)

  defp respond(message, state) do
    with :no_response <- response(message, state.sampling, state.node),
         :no_response <- response(message, state.figuring, state.node) do
      # The end of a process that has been linked, and what is nobody's.
      state
    else
      {{_request, since} = sampling, {:ok, sample}} when sampling == state.sampling ->
        view = if now() - since >= @late, do: View.say(state.view, nil), else: state.view
        draw(ask_for_figures(%{state | sampling: nil, view: View.update(view, sample)}))

      {{_request, server}, {:ok, figures}} ->
        %{state | figuring: nil, view: View.put_figures(state.view, server, figures)} |> look() |> draw()

      {_request, {:error, error}} ->
        {:ended, {:error, error}}
    end
  end

  defp response(_message, nil, _node), do: :no_response

  defp response(message, {request, _about} = asked, node) do
    case answer(fn -> :erpc.check_response(message, request) end, node) do
      {:ok, {:response, response}} -> {asked, {:ok, response}}
      {:ok, :no_response} -> :no_response
      {:error, error} -> {asked, {:error, error}}
    end
  end

  defp answer(receive_response, node) do
    {:ok, receive_response.()}
  rescue
    error -> {:error, failure(error, node)}
  catch
    _kind, reason -> {:error, "#{node} could not tell what runs there: #{inspect(reason)}"}
  end

  defp failure(%ErlangError{original: {:erpc, :noconnection}}, node) do
    "the connection to #{node} was lost: the node has ended, or the network between has failed; once it is there again, " <>
      "start top anew"
  end

  defp failure(%ErlangError{original: {:erpc, :timeout}}, node),
    do: "#{node} has not answered for #{div(@sample_patience, 1_000)} seconds: it is overloaded, or the network is"

  defp failure(%ErlangError{original: {:exception, :undef, [{module, function, _args, _place} | _stack]}}, node)
       when module in [Sample, MuonTrap] do
    "#{node} has no #{inspect(module)}.#{function}: it runs without MuonTrap, or with a version that can't be watched yet; " <>
      "it takes MuonTrap there in the version that is here, #{version()}"
  end

  defp failure(error, node), do: "#{node} could not tell what runs there: #{Exception.message(error)}"

  defp version() do
    Application.load(:muontrap)
    Application.spec(:muontrap, :vsn)
  end

  defp now(), do: System.monotonic_time(:millisecond)

  # ---- Keys ----

  defp press(state, bytes) do
    {keys, rest} = Keys.parse(state.keys <> bytes)
    press_all(%{state | keys: rest}, keys)
  end

  defp finish_keys(state), do: press_all(%{state | keys: ""}, Keys.finish(state.keys))

  # The line's end ends what was being typed before, and is no key for what its keys have brought about.
  defp enter(state, line) do
    {keys, _rest} = Keys.parse(line)
    press_all(state, if(View.typing?(state.view), do: keys ++ [:enter], else: keys))
  end

  defp press_all(state, keys), do: keys |> Enum.reduce(state, &press_key/2) |> look_and_draw()

  defp look_and_draw({:ended, _result} = ended), do: ended
  defp look_and_draw(state), do: state |> look() |> draw()

  defp press_key(_key, {:ended, _result} = ended), do: ended

  defp press_key(key, state) do
    {view, action} = View.key(state.view, key)
    act(action, %{state | view: view})
  end

  defp act(nil, state), do: state
  defp act(:quit, _state), do: {:ended, :ok}

  defp act(:interval, state) do
    :erlang.cancel_timer(state.timer)
    sample(state)
  end

  defp act(:refresh, state), do: ask_for_sample(%{state | console: Console.forget(state.console)})

  # By the program's server, which knows whether it still runs. Its pid may be another's by now.
  defp act({:stop, row}, state) do
    HelperPort.stop_foreign(row.server)
    %{state | view: View.say(state.view, "#{row.os_pid || "the program"} has been told to stop")}
  end

  defp act({:signal, row, signal}, state) do
    top = self()

    spawn_link(fn ->
      result = HelperPort.signal_foreign(row.server, signal, :program, @signal_patience)
      send(top, {:said, signalled(result, Signal.name(signal), row.os_pid || "the program")})
    end)

    state
  end

  defp signalled(:ok, name, pid), do: "#{name} has been sent to #{pid}"
  defp signalled({:error, reason}, name, pid), do: "#{name} could not be sent to #{pid}: #{why(reason)}"

  defp why(:exited), do: "it has ended"
  defp why(:esrch), do: "it doesn't run"
  defp why(:timeout), do: "there was no answer within #{div(@signal_patience, 1_000)} seconds"
  defp why(:einval), do: "there is no such signal"
  defp why(:eperm), do: "the helper may not send it (EPERM)"
  defp why(reason), do: inspect(reason)

  # ---- Connecting ----

  defp connect(node) when node == node(), do: :ok

  defp connect(node) do
    case Node.connect(node) do
      true -> :ok
      :ignored -> {:error, "this node has no name, so that it can't reach #{node}: start it with --sname or --name"}
      false -> {:error, "#{node} can't be reached: #{why_unreachable(node)}"}
    end
  end

  # erl_epmd(3): who is registered where the node is.
  defp why_unreachable(node) do
    case node |> Atom.to_string() |> String.split("@") do
      [name, host] -> why_unreachable(name, host)
      _no_host -> "a node's name is NAME@HOST"
    end
  end

  defp why_unreachable(name, host) do
    with {:ok, names} <- :erl_epmd.names(String.to_charlist(host)) do
      names = for {registered, _port} <- names, do: List.to_string(registered)

      cond do
        name in names ->
          "a node of that name is there, and refuses; its cookie is another one (--cookie, or the file ~/.erlang.cookie), or " <>
            "it has a long name where this one has a short one, or the other way round (--name, --sname)"

        names == [] ->
          "no node is registered at #{host}; start it with --sname or --name"

        true ->
          "no such node is registered at #{host}, but #{Enum.join(names, ", ")}"
      end
    else
      _error ->
        "nobody answers at #{host}, port 4369, where epmd would know its nodes: no distributed node runs there, or a firewall " <>
          "is between"
    end
  end
end
