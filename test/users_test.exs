# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.UsersTest do
  # A VM that isn't root's runs programs as other users, by a helper with capabilities of its file. The VM is one of its own,
  # with users and an /etc/muontrap.conf that nobody else sees.
  use ExUnit.Case, async: true

  alias MuonTrap.{Daemon, Error}
  alias MuonTrap.Test.{OS, Starters, UserVM}

  @moduletag :root
  @moduletag :linux
  @moduletag :new_privileges

  @rules """
  by user app
  allow user worker
  allow group extra
  """

  setup do
    mark = OS.mark()
    vm = UserVM.start!(@rules)

    on_exit(fn ->
      OS.kill(vm.pid, "KILL")
      for pid <- OS.alive(mark), do: OS.kill(pid, "KILL")
      UserVM.remove!(vm)
    end)

    %{vm: vm, mark: mark, env: OS.marked(mark)}
  end

  defp attempt(vm, command, args, opts), do: UserVM.call(vm, UserVM, :attempt, [command, args, opts])

  @id ["-c", "echo $(id -u) $(id -g) $(id -G) $PPID"]
  defp id(vm, opts) do
    case attempt(vm, "sh", @id, opts) do
      {output, 0} ->
        {relay, who} = output |> String.split() |> List.pop_at(-1)
        {Enum.map(who, &String.to_integer/1), relay}

      error ->
        error
    end
  end

  for by <- [:shell | Starters.all()] do
    test "#{by} runs a program as a user that is allowed", %{vm: vm} do
      opts = if unquote(by) == :shell, do: ["--uid", "worker"], else: [uid: "worker"]
      args = [unquote(by), "id", ["-un"], opts]
      assert UserVM.call(vm, UserVM, :trapping, [Starters, :output, args]) == "worker\n"
    end
  end

  test "one that isn't is refused by all of them", %{vm: vm} do
    errors = UserVM.call(vm, UserVM, :trapping, [Starters, :failed, ["id", ["-un"], [uid: "other"]]])
    assert map_size(errors) == 4

    for {_by, error} <- errors do
      assert %Error{stage: :uid, reason: :eperm, message: message} = error
      assert message =~ "--uid other is refused: /etc/muontrap.conf doesn't allow user other to user app"
    end
  end

  test "a helper that has run a program as somebody runs the next one as who is asked for then", %{vm: vm} do
    for seed <- 1..3 do
      :rand.seed(:exsss, seed)

      relays =
        for _ <- 1..30 do
          case :rand.uniform(5) do
            1 ->
              assert {[54_331, 54_331, 54_331, 54_340], relay} = id(vm, uid: "worker")
              relay

            2 ->
              assert {[54_330, 54_330, 54_330, 54_342], relay} = id(vm, [])
              relay

            3 ->
              assert {[54_330, 54_341, 54_341, 54_342], relay} = id(vm, gid: "extra", groups: ["extra", "helpers"])
              relay

            4 ->
              assert {:error, :uid, _message} = id(vm, uid: "other")
              nil

            5 ->
              assert {:error, :groups, _message} = id(vm, groups: ["tools"])
              nil
          end
        end

      relays = Enum.reject(relays, &is_nil/1)
      assert length(Enum.uniq(relays)) < length(relays), "no helper has been used again"
    end
  end

  test "a program can open its standard descriptors by name", %{vm: vm} do
    script = "cat /dev/stdin >/dev/stdout; echo err >/dev/stderr"
    opts = [uid: "worker", input: "in\n", stderr_to_stdout: true]
    assert attempt(vm, "sh", ["-c", script], opts) == {"in\nerr\n", 0}
    assert attempt(vm, "sh", ["-c", "tty; echo on >/dev/tty"], uid: "worker", pty: true) |> elem(1) == 0
  end

  test "other rules count from the next program on, also in a helper that waits", %{vm: vm} do
    assert {[54_331 | _groups], _relay} = id(vm, uid: "worker")
    UserVM.rules!(vm, "by user app allow user other")
    assert {:error, :uid, _message} = id(vm, uid: "worker")
    assert {[54_332 | _groups], _relay} = id(vm, uid: "other")
    UserVM.rules!(vm, "by user app allow user other allow everything")
    assert {:error, :uid, message} = id(vm, uid: "other")
    assert message =~ "/etc/muontrap.conf:1: what follows 'allow' is 'everything'"
  end

  @nobodys [
    "root",
    "0",
    "00",
    "-1",
    "4294967295",
    "4294967296",
    "",
    " 0",
    "root\n",
    "nobody",
    "rooted",
    "prime",
    "../root"
  ]

  test "hostile users and groups get nowhere", %{vm: vm} do
    users = for user <- [0, -1, 4_294_967_295, :root, 1.0, ~c"root", "a\0b" | @nobodys], do: [uid: user]
    groups = for group <- [0, "tty", "tools", "" | @nobodys], do: [gid: group]
    lists = for group <- [0, "tty", "root,extra", "extra,0", "" | @nobodys], do: [groups: ["extra", group]]
    with_uid = for opts <- groups -- [[gid: "tools"]], do: [uid: "worker"] ++ opts
    through = for option <- [cd: "/root", stdout: {:file, "/etc/new"}, nice: -5], do: [option, uid: "worker"]

    for opts <- users ++ groups ++ lists ++ with_uid ++ through do
      assert {:error, _stage, message} = attempt(vm, "id", [], opts), inspect(opts)
      assert message != ""
    end

    assert {[54_331 | _groups], _relay} = id(vm, uid: "worker")
  end

  # Deaf, in sessions of their own, and each of another kind of orphan.
  @tree """
  trap '' TERM
  setsid sh -c 'trap "" TERM; sleep 100 & sleep 100' &
  (setsid sh -c 'trap "" TERM; sleep 100' &)
  sleep 100 &
  echo ready
  sleep 100
  """

  test "a daemon of another user is stopped with all that descends from it", %{vm: vm, mark: mark, env: env} do
    opts = [uid: "worker", env: env, delay_to_sigkill: 200]
    {daemon, "ready"} = UserVM.call(vm, UserVM, :start_daemon, ["sh", ["-c", @tree], opts])
    OS.eventually(fn -> length(programs(mark)) >= 6 end)
    :ok = UserVM.call(vm, GenServer, :stop, [daemon])
    assert programs(mark) == []
  end

  test "nothing of another user's survives the VM, nor one of the helper's processes", %{mark: mark} do
    for victim <- [:vm, :keeper, :relay] do
      vm = UserVM.start!(@rules)
      on_exit(fn -> UserVM.remove!(vm) end)
      env = OS.marked(mark)
      {daemon, "ready"} = UserVM.call(vm, UserVM, :start_daemon, ["sh", ["-c", @tree], [uid: "worker", env: env]])
      OS.eventually(fn -> length(programs(mark)) >= 6 end)
      keeper = UserVM.call(vm, Daemon, :os_pid, [daemon])
      [relay] = OS.children(keeper)
      if victim == :vm, do: Process.unlink(vm.peer)
      true = OS.kill(%{vm: vm.pid, keeper: keeper, relay: relay}[victim], "KILL")
      OS.eventually(fn -> programs(mark) == [] end)
    end
  end

  # The helper's own may have the mark for a moment.
  defp programs(mark), do: for(pid <- OS.alive(mark), match?({:ok, %{uid: 54_331}}, File.stat("/proc/#{pid}")), do: pid)

  test "signals reach the program and all that descends from it", %{vm: vm, mark: mark, env: env} do
    script = """
    exec 2>/dev/null
    trap 'echo program' USR1
    setsid sh -c 'trap "echo child" USR1; echo ready; while :; do sleep 0.05; done' &
    while :; do sleep 0.05; done
    """

    {daemon, "ready"} = UserVM.call(vm, UserVM, :start_daemon, ["sh", ["-c", script], [uid: "worker", env: env]])

    for {receiver, words} <- [program: "program\n", group: "program\n", tree: "program\nchild\n"] do
      before = UserVM.call(vm, Daemon, :statistics, [daemon]).output_byte_count
      assert :ok = UserVM.call(vm, Daemon, :signal, [daemon, :sigusr1, receiver])
      enough = before + byte_size(words)
      OS.eventually(fn -> UserVM.call(vm, Daemon, :statistics, [daemon]).output_byte_count >= enough end)
    end

    :ok = UserVM.call(vm, GenServer, :stop, [daemon])
    assert programs(mark) == []
  end

  test "what the program gets has no capability, and the helper has those of its file in reserve", context do
    %{vm: vm, env: env} = context
    script = ["-c", "grep Cap[IPEA] /proc/self/status | cut -f 2 | sort -u; exec sleep 100"]
    {daemon, line} = UserVM.call(vm, UserVM, :start_daemon, ["sh", script, [uid: "worker", env: env]])
    assert line == "0000000000000000"
    keeper = UserVM.call(vm, Daemon, :os_pid, [daemon])

    for pid <- [keeper | OS.children(keeper)] do
      status = File.read!("/proc/#{pid}/status")
      assert status =~ "CapPrm:\t00000000000000e0"
      assert status =~ "CapEff:\t0000000000000000"
    end

    :ok = UserVM.call(vm, GenServer, :stop, [daemon])
  end

  test "check/1 says whom programs may be run as", %{vm: vm} do
    assert {_fine, points} = UserVM.call(vm, MuonTrap, :check, [])

    assert %{ok?: true, remedy: []} =
             Enum.find(points, &(&1.text =~ "as /etc/muontrap.conf allows: worker, group extra"))
  end
end
