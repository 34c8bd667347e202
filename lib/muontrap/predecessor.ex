# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Predecessor do
  @moduledoc false
  # Makes a daemon wait for the one that it replaces, when that was killed, or its supervisor was: then a supervisor starts
  # the next one at once, while the program of the first may still be ending.
  #
  # A daemon replaces another one when it has the same *place* and the other one is *dying*. From its init on until its
  # program runs, a daemon is found by itself, and from the launch to the program's end by the server of its port.
  #
  # The same place is the same start arguments (program, arguments, options) below the same ancestors. A supervisor that was
  # killed and restarted has another pid, but its ancestors and the name that it is registered under are the same. So two
  # ancestors at the same height are the same one if they are the same process, have the same name, or if they have no names
  # and the older one is dying itself. The child's id is not known here. Two children of one supervisor that differ in their
  # ids alone have the same place, therefore, and one that starts waits for the other if that one is dead already.
  #
  # A daemon is dying when it is dead, or when one that it descends from is dead and the links between them say that it will
  # follow. A daemon that goes on, because it was unlinked from the process that started it, is never waited for.
  #
  # The processes that the waiting daemon descends from may be waiting for its start, so that they answer no question, and
  # end nobody before it has returned. So an ancestor of both that is alive counts as one that goes on, whatever is to become of
  # it, and is asked nothing.

  @registry MuonTrap.HelperPort.Registry

  @typedoc "A process, with the name that it was registered under when the daemon started"
  @type ancestor :: {atom(), pid() | nil}

  @type place :: %{
          owner: pid(),
          arguments: non_neg_integer(),
          ancestors: [ancestor()]
        }

  @doc """
  The registry of the servers of daemons' ports
  """
  @spec registry() :: {module(), keyword()}
  def registry(), do: {Registry, keys: :duplicate, name: @registry}

  @doc """
  The place of the calling process, a daemon with these start arguments

  Arguments and options are hashed, because they may be large, and the environment may hold secrets.
  """
  @spec place(String.t(), [String.t()], keyword()) :: place()
  def place(program, args, opts) do
    %{
      owner: self(),
      arguments: :erlang.phash2({program, args, opts}),
      # Set by proc_lib: the process that called start_link, the one that had started that, and so on.
      ancestors: for(ancestor <- Process.get(:"$ancestors", []), do: named(ancestor))
    }
  end

  defp named(pid) when is_pid(pid), do: {nil, pid}
  defp named(name), do: {name, Process.whereis(name)}

  @doc """
  Let successors find the calling process, which is the daemon in that place or the server of its port
  """
  @spec register(place()) :: :ok
  def register(place) do
    # A script may have the library in its path without having started it as an application.
    unless Process.whereis(@registry), do: {:ok, _started} = Application.ensure_all_started(:muontrap)
    {:ok, _registry} = Registry.register(@registry, place.arguments, {place.owner, parent(place), place.ancestors})
    :ok
  end

  @doc """
  Let successors find the calling process no more
  """
  @spec unregister(place()) :: :ok
  def unregister(place), do: Registry.unregister(@registry, place.arguments)

  @doc """
  Wait until the predecessors and all that they ran are dead

  The calling process, a daemon in that place, exits when its own parent has died, although it traps exits. Then it has a
  successor itself, which waits for it.
  """
  @spec await(place()) :: :ok
  def await(place) do
    case predecessors(place) do
      [] ->
        exit_with_parent(place)

      # A daemon that has ended may have left a server.
      processes ->
        Enum.each(processes, &await_end(&1, parent(place)))
        await(place)
    end
  end

  @doc """
  Exit when the parent has died
  """
  @spec exit_with_parent(place()) :: :ok
  def exit_with_parent(place) do
    parent = parent(place)

    receive do
      {:EXIT, ^parent, reason} -> exit(reason)
    after
      0 -> :ok
    end
  end

  @doc """
  The process that has started the daemon of that place
  """
  @spec parent(place()) :: pid() | nil
  def parent(%{ancestors: [{_name, parent} | _above]}), do: parent
  def parent(_place), do: nil

  defp predecessors(place) do
    # Those that may be waiting for us.
    starters = for {_name, pid} <- place.ancestors, alive?(pid), do: pid

    for {process, {owner, _parent, ancestors}} <- candidates(place),
        Process.alive?(process),
        same_ancestors?(ancestors, place.ancestors, starters),
        dying?(owner, ancestors, starters),
        do: process
  end

  # A supervisor may have thousands of children with the same arguments. So most are told apart with little, and without a copy
  # of their ancestors: a daemon that is alive below our own parent isn't dying while that is alive (see dying?/3).
  defp candidates(place) do
    parent = parent(place)

    if alive?(parent) and Enum.all?(siblings(place, parent), &(is_pid(&1) and Process.alive?(&1))),
      do: [],
      else: for({_process, {owner, _, _}} = entry <- lookup(place), owner != place.owner, do: entry)
  end

  # The owners below that parent, and :other for each that has another one.
  defp siblings(place, parent) do
    Registry.select(@registry, [
      {{place.arguments, :_, {:"$1", :"$2", :_}}, [{:"=:=", :"$2", {:const, parent}}], [:"$1"]},
      {{place.arguments, :_, :_}, [], [:other]}
    ])
  end

  defp lookup(place), do: Registry.lookup(@registry, place.arguments)

  defp await_end(process, parent) do
    monitor = Process.monitor(process)

    receive do
      {:DOWN, ^monitor, :process, _process, _reason} -> :ok
      {:EXIT, ^parent, reason} -> exit(reason)
    end
  end

  defp same_ancestors?([], [], _starters), do: true
  defp same_ancestors?([same | theirs], [same | ours], starters), do: same_ancestors?(theirs, ours, starters)

  defp same_ancestors?([{nil, their} | theirs], [{nil, _our} | ours], starters),
    do: same_ancestors?(theirs, ours, starters) and dying?(their, theirs, starters)

  defp same_ancestors?([{name, _their} | theirs], [{name, _our} | ours], starters),
    do: same_ancestors?(theirs, ours, starters)

  defp same_ancestors?(_theirs, _ours, _starters), do: false

  @doc """
  Whether a process is dead, or will be because one of its ancestors is, below the first one that is among the starters

  When a process has exited, each process that was linked to it gets an exit signal. Until then the link is there. A process
  that traps exits has the signal in its mailbox next. Then it has been read, and a supervisor or a GenServer that reads its
  parent's exit signal ends, and answers no request any more. So who has neither the link nor the message, and answers, had
  been unlinked before.
  """
  @spec dying?(pid() | nil, [ancestor()], [pid()]) :: boolean()
  def dying?(process, ancestors, starters)
  def dying?(process, [], _starters), do: not alive?(process)

  def dying?(process, [{_name, parent} | above], starters) do
    cond do
      process in starters -> false
      not alive?(process) -> true
      alive?(parent) -> dying?(parent, above, starters) and linked?(process, parent)
      true -> exit_signal?(process, parent) or not answers?(process)
    end
  end

  # Of processes on other nodes nothing is known; they don't start daemons here.
  defp alive?(pid) when is_pid(pid) and node(pid) == node(), do: Process.alive?(pid)
  defp alive?(_other), do: true

  defp linked?(process, parent) when node(process) == node() do
    case Process.info(process, :links) do
      {:links, links} -> parent in links
      nil -> true
    end
  end

  defp linked?(_remote, _parent), do: false

  @doc """
  Whether a process that traps exits has got its dead parent's exit signal, or is to get it
  """
  @spec exit_signal?(pid(), pid()) :: boolean()
  def exit_signal?(process, parent) do
    # One look at both, because the signal might become a message between two.
    case Process.info(process, [:links, :messages]) do
      nil -> true
      [links: links, messages: messages] -> parent in links or Enum.any?(messages, &match?({:EXIT, ^parent, _why}, &1))
    end
  end

  # Any other process than these need not answer, and if it traps exits, what it makes of them is its own affair.
  defp answers?(process) do
    if initial_module(process) in [MuonTrap.Daemon, :supervisor] do
      try do
        _statistics = :sys.statistics(process, :get, :infinity)
        true
      catch
        :exit, _reason -> false
      end
    else
      alive?(process)
    end
  end

  defp initial_module(process) do
    with {:dictionary, dictionary} <- Process.info(process, :dictionary),
         {:"$initial_call", {module, _function, _arity}} <- List.keyfind(dictionary, :"$initial_call", 0) do
      module
    else
      _unknown -> nil
    end
  end
end
