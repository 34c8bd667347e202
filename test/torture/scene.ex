# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Scene do
  @moduledoc false
  # A case of the torture run: who runs which tree of processes, and what goes wrong meanwhile. Pure and plain data, made from a
  # seed and from what the machine has, so that the same seed is the same case.

  import MuonTrap.Torture.Dice

  alias MuonTrap.Torture.{Faulty, Tree}

  # tree: see Tree. owner: its kind, options of MuonTrap's, and manners, which Owner understands. outside: what saboteur.c does:
  # {when, whom, what}. inside: what is done in the VM: {from, microseconds, what}, counted from the owner's start (:launch)
  # or the root's (:start). calls: what the helper's system calls are made to do, see Faulty. busy: how many processors are kept
  # busy. last_resort: milliseconds after which the owner is killed, if not over by then; nil where it has to end by itself.
  @enforce_keys [:seed, :tree, :kind]
  defstruct [
    :seed,
    :tree,
    :kind,
    options: [],
    manners: %{},
    outside: [],
    inside: [],
    calls: [],
    busy: 0,
    last_resort: nil
  ]

  @type t :: %__MODULE__{}

  @kinds [{6, :cmd}, {5, :stream}, {5, :program}, {5, :daemon}, {3, :shell}]
  @signals [:sigwinch, :sigcont, :sigurg]

  @doc """
  The case of a seed

  The machine: `root: boolean, cgroup: boolean, controllers: boolean, calls: boolean`.
  """
  @spec random(integer(), map()) :: t()
  def random(seed, machine) do
    seed(seed)
    kind = pick(@kinds)
    pty = kind != :daemon and chance?(12)
    inputs = not pty and (kind in [:cmd, :stream, :program] or chance?(50))

    may = %{
      root: machine.root and chance?(30),
      cgroup: machine.cgroup,
      one_writer: pty,
      read: inputs,
      writes: true,
      ends: chance?(50)
    }

    tree = Tree.random(may)
    scene = %__MODULE__{seed: seed, tree: tree, kind: kind}
    options = if kind == :shell, do: shell_options(machine, pty), else: options(kind, tree, machine, pty)
    scene = %{scene | options: options, manners: manners(kind, tree, pty)}

    scene
    |> with_outside(machine)
    |> with_inside()
    |> with_calls(machine)
    |> Map.put(:busy, pick([{7, 0}, {1, 1}, {2, 2}]))
    |> with_last_resort()
  end

  @doc "Whether it is over without anything from outside"
  @spec ends?(t()) :: boolean()
  def ends?(scene) do
    (Tree.ends?(scene.tree) and reads_end?(scene)) or scene.options[:timeout] != nil or
      Enum.any?(scene.inside, &ends_by?(scene, &1))
  end

  # A program that nobody reads may never end, nor one that reads what has no end.
  defp reads_end?(%{manners: manners} = scene) do
    manners[:reads] != :nothing and (manners[:input] != :endless or :read not in Tree.acts(scene.tree))
  end

  defp ends_by?(scene, {_from, _us, what}) when what in [:stop_application, :kill_server],
    do: scene.manners[:restart] in [nil, :temporary]

  defp ends_by?(_scene, {_from, _us, what}), do: what in [:kill_owner, :stop]

  @doc "Whether it has the VM killed"
  @spec kills_vm?(t()) :: boolean()
  def kills_vm?(scene), do: Enum.any?(scene.outside, &match?({_when, :vm, {:signal, 9}}, &1))

  # Which are MuonTrap's own.
  defp options(kind, tree, machine, pty) do
    bytes = total(tree)

    Enum.concat([
      if(pty, do: [pty: [echo: false, opost: false, icanon: false, isig: false]], else: stderr(kind)),
      some(25,
        stdio_window: one_of(if(bytes < 30_000, do: [1, 10, 100], else: []) ++ [4_096, 10_240, 100_000, 1_000_000])
      ),
      some(60, delay_to_sigkill: one_of([0, 1, 20, 100, 600])),
      some(10, stop_signal: one_of([:sigint, :sigusr1])),
      cgroup(machine),
      if(machine.root and not changes_user?(tree), do: some(10, uid: 65_534, gid: 65_534), else: []),
      if(kind == :cmd, do: some(30, timeout: one_of([1, 5, 20, 100, 500])), else: [])
    ])
  end

  defp changes_user?(tree), do: Enum.any?(Tree.acts(tree), &match?({:user, _uid}, &1))

  defp cgroup(%{controllers: true}) do
    settings = [
      %{pids_max: 3_000},
      %{memory_max: 500_000_000},
      %{cpu_max: {20_000, 100_000}},
      %{cpu_weight: 10, pids_max: 3_000}
    ]

    some(60, [cgroup_base: true] ++ some(60, cgroup: one_of(settings)))
  end

  defp cgroup(%{cgroup: true}), do: some(35, cgroup_base: true)
  defp cgroup(_machine), do: []

  defp stderr(kind) when kind in [:program, :daemon],
    do: one_of([[stderr: :tag], [stderr: :null], [stderr_to_stdout: true]])

  defp stderr(_kind),
    do: one_of([[stderr: :tag], [stderr: :null], [stderr_to_stdout: true], [capture_stderr_only: true], [stderr: :tag]])

  defp shell_options(machine, pty) do
    Enum.concat([
      some(60, delay_to_sigkill: one_of([0, 1, 20, 100, 600])),
      if(machine.cgroup, do: some(35, cgroup_base: true), else: []),
      if(pty, do: [pty: true], else: [])
    ])
  end

  defp some(percent, list), do: if(chance?(percent), do: list, else: [])

  defp manners(:cmd, tree, pty) do
    %{
      input: input(pty),
      slow: slow(),
      raises_after: pick([{8, nil}, {1, any_size(100_000)}]),
      messages: pick([{4, 0}, {1, 150}]),
      collects: collects(tree)
    }
  end

  defp manners(:stream, _tree, pty) do
    %{
      input: input(pty),
      slow: slow(),
      raises_after: pick([{8, nil}, {1, any_size(100_000)}]),
      halts_after: pick([{3, nil}, {1, any_size(100_000)}])
    }
  end

  defp manners(:program, _tree, pty) do
    %{
      input: input(pty) || {:bytes, 0},
      slow: slow(),
      reads: one_of([:read, true, :once, 1, 7, :nothing]),
      signals:
        pick([{3, []}, {1, for(_ <- 1..3, do: {any_size(20_000), one_of(@signals), one_of([:program, :group, :tree])})}])
    }
  end

  defp manners(:daemon, tree, _pty) do
    %{
      slow: slow(),
      restart:
        if(Tree.ends?(tree), do: one_of([:temporary, :permanent, :transient]), else: one_of([:temporary, :permanent]))
    }
  end

  defp manners(:shell, _tree, _pty), do: %{slow: slow(), wrapped: chance?(40)}

  defp input(true), do: nil

  defp input(false) do
    pick([
      {3, nil},
      {2, {:bytes, any_size(1_000_000)}},
      {2, {:chunks, any_size(1_000_000), one_of([1_000, 65_536])}},
      {1, :endless}
    ])
  end

  defp slow(), do: pick([{4, 0}, {1, 1}, {1, 5}])
  defp collects(tree), do: if(Tree.ends?(tree), do: one_of([:binary, :list, :own]), else: :own)

  # ---- What goes wrong ----

  defp with_outside(scene, machine) do
    count = pick([{5, 0}, {4, 1}, {2, 2}, {1, 4}])
    vm = if chance?(6), do: [{moment(scene), :vm, one_of([{:signal, 9}, {:signal, 9}, {:stop, 100}])}], else: []
    faults = for _ <- List.duplicate(nil, count), do: outside(scene, machine)
    %{scene | outside: Enum.reject(faults, &is_nil/1) ++ vm}
  end

  defp outside(scene, machine) do
    whom = pick([{3, :program}, {3, :relay}, {3, :keeper}, {1, :both}, {3, :descendant}, {4, :cgroup}])
    outside(whom, scene, machine)
  end

  defp outside(:cgroup, scene, _machine) do
    if scene.options[:cgroup_base],
      do:
        {moment(scene), :cgroup,
         one_of([{:freeze, one_of([1, 50, 800])}, {:remove, one_of([1, 50, 500])}, :join, :make])}
  end

  defp outside(:descendant, scene, _machine) do
    {number, _acts} = one_of(Tree.processes(scene.tree))
    {moment(scene), {:descendant, number}, harm()}
  end

  defp outside(:both, scene, _machine), do: {moment(scene), :both, {:signal, 9}}
  defp outside(whom, scene, _machine), do: {moment(scene), whom, harm()}

  defp harm(), do: pick([{4, {:signal, 9}}, {3, {:stop, one_of([0, 1, 30, 700])}}, {1, {:signal, 15}}])

  defp moment(scene) do
    {number, acts} = one_of(Tree.processes(scene.tree))

    pick([
      {1, {:start, any_size(100_000)}},
      {1, {:act, number, :rand.uniform(max(acts, 1)), one_of([0, 0, 50, any_size(10_000)])}}
    ])
  end

  defp with_inside(scene) do
    count = pick([{4, 0}, {3, 1}, {1, 2}])
    %{scene | inside: for(_ <- List.duplicate(nil, count), do: inside(scene))}
  end

  defp inside(scene) do
    what =
      pick([
        {4, :kill_owner},
        {2, if(scene.kind in [:program, :daemon, :shell], do: :stop, else: :kill_owner)},
        {1, if(scene.kind == :daemon, do: :kill_daemon, else: :kill_owner)},
        {1, if(scene.kind == :shell, do: :stop, else: :kill_server)},
        {2, :reload},
        {1, :set_environment},
        {1, if(scene.kind == :shell, do: :stop, else: :stop_application)}
      ])

    {one_of([:launch, :start]), any_size(200_000), what}
  end

  defp with_calls(scene, machine),
    do: if(machine.calls and chance?(20), do: %{scene | calls: Faulty.random()}, else: scene)

  defp with_last_resort(scene) do
    endless =
      Enum.any?(Tree.acts(scene.tree), &match?({:write, _stream, bytes, _piece, _pause} when bytes > 1_000_000_000, &1))

    %{scene | last_resort: if(not ends?(scene), do: if(endless, do: 500, else: 1_500))}
  end

  defp total(tree) do
    tree
    |> Tree.acts()
    |> Enum.map(fn
      {:write, _stream, bytes, _piece, _pause} -> bytes
      _act -> 0
    end)
    |> Enum.sum()
  end

  # ---- Smaller ones ----

  @doc "Cases that have less in them, those that leave out most first"
  @spec smaller(t()) :: [t()]
  def smaller(scene) do
    Enum.concat([
      if(scene.busy > 0, do: [%{scene | busy: 0}], else: []),
      for(less <- without_one(scene.outside), do: %{scene | outside: less}),
      for(less <- without_one(scene.inside), do: %{scene | inside: less}),
      for(less <- without_one(scene.calls), do: %{scene | calls: less}),
      for(
        less <- without_one(scene.options),
        stderr_of(less) == stderr_of(scene.options),
        do: %{scene | options: less}
      ),
      for(less <- smaller_manners(scene.manners), do: %{scene | manners: less}),
      for(tree <- Tree.smaller(scene.tree), do: %{scene | tree: tree})
    ])
    |> Enum.map(&with_last_resort/1)
    |> Enum.filter(&sound?/1)
  end

  # A case has to be one that could be made: an owner that is never told an end is ended by the last resort.
  defp sound?(scene) do
    numbers = for {number, _acts} <- Tree.processes(scene.tree), do: number
    Enum.all?(scene.outside, &(names(&1) -- numbers == [])) and (scene.options[:pty] == nil or one_writer?(scene.tree))
  end

  defp names({moment, whom, _what}) do
    for {_kind, number} <- [List.wrap(moment) |> List.first() |> named(), named(whom)], do: number
  end

  defp named({:act, number, _acts, _us}), do: {:number, number}
  defp named({:descendant, number}), do: {:number, number}
  defp named(_other), do: :none

  defp one_writer?({_id, acts}) do
    below = for {how, {_number, _acts} = child} <- acts, is_atom(how), act <- Tree.acts(child), do: act
    not Enum.any?(below, &match?({:write, _stream, _bytes, _piece, _pause}, &1))
  end

  # What is written there is to be kept apart from what the VM's own goes to.
  defp stderr_of(options), do: Keyword.take(options, [:stderr, :stderr_to_stdout, :capture_stderr_only, :pty])

  defp without_one([]), do: []
  defp without_one(list), do: for(index <- 0..(length(list) - 1), do: List.delete_at(list, index))

  @plain %{
    input: nil,
    slow: 0,
    raises_after: nil,
    halts_after: nil,
    messages: 0,
    reads: :read,
    signals: [],
    wrapped: false
  }
  defp smaller_manners(manners) do
    for {key, value} <- manners,
        is_map_key(@plain, key),
        plain = if(key == :input and is_map_key(manners, :reads), do: {:bytes, 0}, else: @plain[key]),
        plain != value,
        do: Map.put(manners, key, plain)
  end
end
