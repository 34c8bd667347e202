# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Verdict do
  @moduledoc false
  # Whether a case has kept the promise. Pure.
  #
  # What is excused stands in `excuses/2` alone, each with the sentence of the documents that it comes from.

  alias MuonTrap.Torture.Tree

  @typedoc """
  What is known of a case afterwards: `seen` by the owner (`MuonTrap.Torture.Owner`), or `:vm_killed` or `:hung`; the ledgers;
  the faults with what came of them; the processes that were alive a while later, and those that were alive in spite of the next
  start below their cgroup's base; and what is left otherwise, in words
  """
  @type known :: %{
          seen: map() | :vm_killed | :hung,
          ledgers: [map()],
          outside: [{tuple(), String.t()}],
          alive: [pos_integer()],
          left: [String.t()]
        }

  @doc "What is excused in this case, as far as it has come to that"
  @spec excuses(map(), known()) :: [atom()]
  def excuses(scene, known) do
    killed = for {{_when, whom, {:signal, 9}}, result} <- known.outside, one <- hit(whom, result), do: one
    did = if is_map(known.seen), do: known.seen.did, else: []

    for {excuse, true} <- [
          # docs/limits.md: "Both helper processes killed by `kill -9` at the same time. The kernel kills the program then, but
          # not what it had started. What is in a cgroup MuonTrap kills at once, and if the VM was killed too, with the next start
          # below the same base."
          both_killed: :both in killed or (:relay in killed and :keeper in killed),
          # docs/architecture.md, "Deaths": "the relay ... The owner gets a `MuonTrap.Error` with the reason `:vanished`", whose
          # message says that "the last of their output may be missing"
          relay_killed: :relay in killed or :both in killed,
          # The same, of the keeper: "the tether hangs up, and the relay stops the program, sweeps, drains and tells *exited*"
          keeper_killed: :keeper in killed or :both in killed,
          # The same: "the server, by `Process.exit/2` ... as when the VM dies. The owner ends with a `MuonTrap.Error`; a caller of
          # `cmd/3` with more than a hundred messages exits"
          server_killed: Enum.any?(did, &match?({:kill_server, _servers}, &1)),
          # The same: "the application, by `Application.stop/1` ... the owner ends with a `MuonTrap.Error`; a caller of `cmd/3` with
          # more than a hundred messages that is busy with output meanwhile exits"
          application_stopped: :stop_application in did,
          # docs/architecture.md, "Code that is loaded anew": "It is not so for the consumer of `MuonTrap.stream!/3`, nor for the
          # process that enumerates an `:input`, which two reloads end while they wait ... A caller that takes output in, or waits
          # for what comes within that time, does so in our code, and would be killed by two reloads"
          reloaded: :reload in did and scene.kind in [:cmd, :stream],
          # The same: "So would who starts a program, a daemon or a `MuonTrap.Program` among them, until it runs; and a daemon while
          # it passes on lines that have come ... Any of these processes, the server among them, is ended by two reloads that find
          # it in the middle of something"
          daemon_reloaded: :reload in did and scene.kind in [:program, :daemon],
          daemon_ended: :reload in did and scene.kind == :daemon,
          server_ended: :reload in did and match?(%{how: {:error, :relay, :vanished, _message}}, known.seen)
        ],
        do: excuse
  end

  # Of both, only the one that is named was still there.
  defp hit(whom, "done"), do: [whom]
  defp hit(:both, "relay"), do: [:relay]
  defp hit(:both, "keeper"), do: [:keeper]
  defp hit(_whom, _result), do: []

  @doc "What promises were broken, in words"
  @spec broken(map(), known()) :: [String.t()]
  # What both helper processes have left holds the output, whose end a port waits for.
  def broken(scene, %{seen: :hung} = known) do
    if scene.kind == :shell and :both_killed in excuses(scene, known), do: left(known), else: ["it hung" | left(known)]
  end

  def broken(scene, %{seen: :vm_killed} = known),
    do: alive_later(known, excuses(scene, known)) ++ launches(scene, known, excuses(scene, known)) ++ left(known)

  def broken(scene, known) do
    excuses = excuses(scene, known)

    Enum.concat([
      ending(scene, known, excuses),
      alive_at_once(known.seen, excuses),
      alive_later(known, excuses),
      output(scene, known, excuses),
      status(scene, known, excuses),
      launches(scene, known, excuses),
      input(scene, known, excuses),
      processes(scene, known, excuses),
      if(known.seen.messages != 0, do: ["#{known.seen.messages} messages were left in the owner's mailbox"], else: []),
      left(known)
    ])
  end

  defp left(known), do: known.left

  # ---- How it ended for the owner ----

  @gone [:relay_killed, :server_killed, :application_stopped]
  @reloaded [:reloaded, :daemon_reloaded]
  # Nobody is left who could tell when all is dead.
  @unwatched [:both_killed, :server_killed, :server_ended, :daemon_ended]

  defp ending(scene, %{seen: %{how: how, did: did}} = known, excuses) do
    fine? =
      case how do
        :ended -> true
        :timeout -> scene.options[:timeout] != nil
        :halted -> scene.manners[:halts_after] != nil
        :no_end -> false
        :closed -> :stop in did
        :stopped -> :stop in did or any?(excuses, [:server_killed, :application_stopped])
        :collector_raised -> scene.manners[:raises_after] != nil
        :killed -> any?(did, [:kill_owner, :last_resort]) or :reloaded in excuses
        # The server that starts a program does so in our code until that runs.
        {:error, :relay, :vanished, _message} -> any?(excuses, @reloaded ++ @gone) or hard_call?(scene)
        {:error, _stage, _reason, _message} -> any?(excuses, @gone) or stopped_early?(how, known) or hard_call?(scene)
        {:exit, ":killed"} when scene.kind in [:program, :daemon] -> any?(excuses, [:daemon_reloaded, :server_killed])
        {:exit, _reason} -> any?(excuses, [:server_killed, :application_stopped]) or :stop in did
        {:raised, _message} -> :reloaded in excuses
      end

    if fine?, do: [], else: ["the owner was told #{inspect(how)}"]
  end

  # The program was told to stop before it had begun.
  defp stopped_early?({:error, :spawn, :ecanceled, _message}, known), do: known.outside != []
  defp stopped_early?(_how, _known), do: false

  defp hard_call?(scene), do: Enum.any?(scene.calls, &MuonTrap.Torture.Faulty.hard?/1)

  # ---- Nothing survives ----

  # Nobody is told of the end by a daemon that was killed, unless another one is started, which waits for that.
  defp alive_at_once(%{alive: alive, did: did}, excuses) do
    if alive in [nil, []] or :kill_daemon in did or any?(excuses, @unwatched),
      do: [],
      else: ["when the owner was told the end, these lived: #{inspect(alive)}"]
  end

  defp alive_later(%{alive: []}, _excuses), do: []

  defp alive_later(known, excuses),
    do: if(:both_killed in excuses, do: [], else: ["these live on: #{inspect(known.alive)}"])

  # ---- Nothing is lost ----

  defp output(_scene, %{seen: %{arrived: nil}}, _excuses), do: []

  defp output(scene, %{seen: %{arrived: arrived}} = known, excuses) do
    complete? = complete?(scene, known, excuses)

    for {name, outcome} <- arrived, problem <- output_of(name, outcome, scene, known.ledgers, complete?), do: problem
  end

  defp output_of(name, {:error, what}, _scene, _ledgers, _complete?), do: ["#{name}: #{what}"]

  defp output_of(name, {:ok, came}, scene, ledgers, complete?) do
    streams = streams(name, scene)
    written = written(ledgers, streams)

    strange =
      for {key, bytes} <- came, not is_map_key(written, key), do: "#{name} has #{bytes} bytes of #{inspect(key)}"

    amounts =
      for {key, {least, most}} <- written,
          got = Map.get(came, key, 0),
          got > most or (complete? and got < least),
          do: "#{name}: of #{inspect(key)} #{got} bytes have come, of #{least} to #{most} written"

    strange ++ amounts
  end

  defp written(ledgers, streams) do
    for ledger <- ledgers,
        {number, process} <- ledger.processes,
        stream <- streams,
        least = process.written[stream],
        most = least + process.writing[stream],
        most > 0,
        into: %{},
        do: {{ledger.incarnation, number, stream}, {least, most}}
  end

  # Which streams of the program go to which output.
  defp streams(:stdout, %{kind: :shell}), do: [1, 2]

  defp streams(:stdout, scene) do
    cond do
      scene.options[:pty] != nil or scene.options[:stderr_to_stdout] == true -> [1, 2]
      scene.options[:capture_stderr_only] == true -> [2]
      true -> [1]
    end
  end

  defp streams(:stderr, scene), do: if(scene.options[:stderr] == :tag, do: [2], else: [])

  # Whether all that was written has to have arrived. The last bytes of one that was cut down are not asked for.
  defp complete?(_scene, %{seen: %{how: how}}, _excuses) when how not in [:ended, :timeout], do: false
  defp complete?(%{manners: %{reads: :nothing}}, _known, _excuses), do: false
  # MuonTrap.Program.stop/2 throws away what has not been read.
  defp complete?(%{kind: :program}, known, excuses), do: not any?(excuses, @gone) and :stop not in known.seen.did
  # From a shell the helper relays nothing but what is written on a terminal of the program's own.
  defp complete?(%{kind: :shell} = scene, _known, excuses),
    do: not any?(excuses, if(scene.options[:pty], do: [:relay_killed, :keeper_killed], else: [:keeper_killed]))

  defp complete?(%{kind: :daemon}, known, excuses),
    do: not any?(excuses, [:daemon_reloaded | @gone]) and :kill_daemon not in known.seen.did

  defp complete?(_scene, _known, excuses), do: not any?(excuses, @gone)

  # ---- The status ----

  defp status(_scene, %{seen: %{status: nil}}, _excuses), do: []
  defp status(%{kind: :daemon, manners: %{restart: :permanent}}, _known, _excuses), do: []

  defp status(scene, %{seen: %{status: status}} = known, excuses) do
    allowed =
      own_status(scene, known, excuses) ++
        signalled(scene, known) ++ stopping_itself(scene) ++ stopped(scene, known, excuses)

    if status in allowed, do: [], else: ["the status was #{status}, not one of #{inspect(Enum.uniq(allowed))}"]
  end

  # One that has stopped itself may be continued: by the end of a fault that has stopped another one, as job control has it, by a
  # signal of its owner's, or by a stop, which it may be deaf to.
  defp own_status(scene, known, excuses) do
    continues? =
      Enum.any?(scene.outside, &match?({_when, _whom, {:stop, _ms}}, &1)) or scene.manners[:signals] not in [nil, []] or
        told_to_stop?(known, excuses)

    if Tree.ends?(scene.tree, not continues?), do: [Tree.status(scene.tree)], else: []
  end

  defp stopping_itself(scene), do: if(Enum.any?(Tree.acts(scene.tree), &stops?/1), do: hung_up(scene), else: [])
  defp stops?(act), do: act == :stop or match?({:nap, _ms}, act)

  defp signalled(scene, known) do
    for {{_when, whom, what}, result} when result in ["done", "died"] <- known.outside,
        status <- signalled(scene, whom, what, result),
        do: status
  end

  defp signalled(_scene, whom, {:signal, number}, _result) when whom in [:program, {:descendant, 0}],
    do: [128 + number, 7]

  defp signalled(scene, _whom, {:stop, _ms}, "died"), do: hung_up(scene)
  defp signalled(_scene, _whom, {:stop, _ms}, _result), do: [129]
  defp signalled(_scene, _whom, _what, _result), do: []

  # A process group that loses the last process by which it is tied to its session, while one in it is stopped, gets SIGHUP from the
  # kernel (POSIX, _exit()). From a shell the helper is in the program's group, and SIGHUP has it stop the program.
  defp hung_up(%{kind: :shell}), do: [129, 137, 143, 7]
  defp hung_up(_scene), do: [129]

  defp stopped(scene, known, excuses) do
    cond do
      hard_call?(scene) ->
        [125, 126, 127, 137, 143, 7, 128 + stop_signal(scene)]

      scene.kind == :shell and any?(excuses, [:relay_killed, :keeper_killed]) ->
        [125, 137, 143, 7]

      told_to_stop?(known, excuses) ->
        [137, 143, 7, 128 + stop_signal(scene)]

      true ->
        []
    end
  end

  defp told_to_stop?(known, excuses) do
    told = for {{_when, whom, {:signal, 15}}, "done"} <- known.outside, whom in [:relay, :keeper], do: whom
    told != [] or known.seen.did != [] or :keeper_killed in excuses
  end

  defp stop_signal(scene), do: %{sigint: 2, sigusr1: 10, sigterm: 15}[scene.options[:stop_signal] || :sigterm]

  # ---- The program runs once, and never beside its predecessor ----

  defp launches(scene, known, excuses) do
    overlaps =
      for %{overlap: pid} when pid != 0 <- known.ledgers,
          not any?(excuses, @unwatched),
          do: "process #{pid} met its successor"

    again? = length(known.ledgers) > 1 and scene.kind != :daemon
    if again?, do: ["the program was started #{length(known.ledgers)} times" | overlaps], else: overlaps
  end

  # ---- What it was given to read ----

  defp input(scene, %{ledgers: ledgers} = known, excuses) do
    bad =
      for %{processes: processes} <- ledgers,
          {number, %{bad_input: true}} <- processes,
          do: "process #{number} has read other bytes than were sent"

    read = for %{processes: processes} <- ledgers, {_number, process} <- processes, do: process.read
    wants = Enum.any?(Tree.acts(scene.tree), &(&1 == :read))

    size =
      case scene.manners[:input] do
        {:bytes, size} -> size
        {:chunks, size, _chunk} -> size
        _none_or_endless -> nil
      end

    whole? =
      wants and size != nil and Tree.ends?(scene.tree) and known.seen.how == :ended and known.seen.did == [] and
        excuses == [] and
        known.outside == [] and all_done?(scene, ledgers)

    if whole? and Enum.sum(read) != size, do: ["#{Enum.sum(read)} bytes were read of #{size}" | bad], else: bad
  end

  # A reader that is not the root may be killed when the root has ended.
  defp all_done?(scene, [%{processes: processes}]),
    do: Enum.all?(Tree.processes(scene.tree), fn {number, _acts} -> match?(%{^number => %{done: true}}, processes) end)

  defp all_done?(_scene, _ledgers), do: false

  # ---- What went wrong in the program ----

  defp processes(scene, known, excuses) do
    if excuses == [] and scene.calls == [] and known.seen.how in [:ended, :timeout, :halted] do
      for %{processes: processes} <- known.ledgers,
          {number, %{error: error}} when error != 0 <- processes,
          do: "process #{number} got the errno #{error}"
    else
      []
    end
  end

  defp any?(list, what), do: Enum.any?(what, &(&1 in list))
end
