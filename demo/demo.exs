# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

# What MuonTrap is for, on real programs. Each step says what it does, does it, and checks what came of it; the first that
# isn't so ends the demonstration with exit status 1.

defmodule Demo do
  @moduledoc false

  def run() do
    large_output()
    pipeline()
    dialogue()
    supervised_daemon()
    killed_vm()
    IO.puts("\nAll of it was so.")
  end

  defp large_output() do
    step("MuonTrap.cmd/3 collects all of a large output, whatever its size")

    for bytes <- [65_000, 1_000_000, 50_000_000] do
      {output, status} = MuonTrap.cmd("head", ["-c", "#{bytes}", "/dev/zero"])

      check(
        byte_size(output) == bytes and status == 0,
        "head -c #{bytes} /dev/zero: #{byte_size(output)} bytes, status #{status}"
      )
    end
  end

  defp pipeline() do
    step("MuonTrap.stream!/3 makes pipelines, which end as soon as nobody reads any more")

    sorted = MuonTrap.stream!("sort", ["-rn"], input: MuonTrap.stream!("seq", ["1000000"]))
    first = MuonTrap.stream!("head", ["-n", "1"], input: sorted) |> Enum.join()
    check(first == "1000000\n", "seq 1000000 | sort -rn | head -n 1: #{inspect(first)}")
  end

  defp dialogue() do
    step("MuonTrap.Program talks to an interpreter on a terminal of its own")

    {:ok, shell} = MuonTrap.Program.start_link("sh", ["-i"], pty: [echo: false], env: [{"PS1", "$ "}])
    read_until(shell, "$ ")
    MuonTrap.Program.write(shell, "echo $((6 * 7)); tty\n")
    reply = read_until(shell, "$ ")
    check(reply =~ "42" and reply =~ "/dev/", "echo $((6 * 7)); tty: #{inspect(reply)}")
    # Ctrl-D
    :ok = MuonTrap.Program.close_stdin(shell)
    check(MuonTrap.Program.await(shell) == {:ok, 0}, "the end of its input has ended it, with status 0")
    MuonTrap.Program.stop(shell)
  end

  defp read_until(program, words, so_far \\ "") do
    {:stdout, data} = MuonTrap.Program.read(program, 60_000)
    so_far = so_far <> data
    if String.contains?(so_far, words), do: so_far, else: read_until(program, words, so_far)
  end

  defp supervised_daemon() do
    step("A supervised MuonTrap.Daemon whose program dies is restarted, and nothing of the old one is left")

    # The shell has a child of its own, which is what usually survives.
    script = "sleep 1000 & echo serving as $$; wait"
    me = self()
    options = [logger_fun: &send(me, {:line, &1})]

    {:ok, supervisor} =
      Supervisor.start_link([{MuonTrap.Daemon, ["sh", ["-c", script], options]}], strategy: :one_for_one)

    first = line()
    [shell] = Regex.run(~r/\d+/, first)
    before = [String.to_integer(shell) | children(String.to_integer(shell))]
    IO.puts("    #{first}, with #{length(before) - 1} child")
    {_output, 0} = System.cmd("kill", ["-KILL", shell])
    IO.puts("    kill -KILL #{shell}")
    second = line()
    IO.puts("    #{second}")
    check(Enum.filter(before, &alive?/1) == [], "the first and its child are gone: #{Enum.join(before, ", ")}")

    [again] = Regex.run(~r/\d+/, second)
    after_restart = [String.to_integer(again) | children(String.to_integer(again))]
    Supervisor.stop(supervisor)

    check(
      Enum.filter(after_restart, &alive?/1) == [],
      "the supervisor was stopped, and the second and its child are gone"
    )
  end

  defp killed_vm() do
    step("When the VM is killed by kill -9, even a daemonised grandchild is gone")

    # Forked twice, in a session of its own, deaf to SIGTERM and SIGHUP.
    daemon = """
    use POSIX;
    $| = 1;
    if (fork == 0) {
      POSIX::setsid();
      exit if fork;
      $SIG{TERM} = $SIG{HUP} = 'IGNORE';
      print "$$\\n";
      sleep 1000;
    }
    sleep 1000;
    """

    code = """
    MuonTrap.cmd("perl", ["-e", #{inspect(daemon)}], into: IO.stream(:stdio, :line))
    """

    vm =
      Port.open({:spawn_executable, System.find_executable("elixir")}, [
        :binary,
        :exit_status,
        args: ["-pa", Application.app_dir(:muontrap, "ebin"), "-e", code]
      ])

    {:os_pid, vm_pid} = Port.info(vm, :os_pid)

    grandchild =
      receive do
        {^vm, {:data, text}} -> text |> String.trim() |> String.to_integer()
      after
        60_000 -> fail("the other VM has not started its program within a minute")
      end

    check(
      alive?(grandchild),
      "another VM, process #{vm_pid}, runs a program whose daemonised grandchild is #{grandchild}"
    )

    {_output, 0} = System.cmd("kill", ["-KILL", "#{vm_pid}"])
    IO.puts("    kill -KILL #{vm_pid}")
    check(gone?(grandchild, 300), "the grandchild is gone")
  end

  defp step(text), do: IO.puts("\n* #{text}")

  defp check(true, text), do: IO.puts("    ok: #{text}")
  defp check(false, text), do: fail(text)

  defp fail(text) do
    IO.puts("    NOT SO: #{text}")
    System.halt(1)
  end

  defp line() do
    receive do
      {:line, line} -> line
    after
      30_000 -> fail("the daemon's program has not said anything for half a minute")
    end
  end

  defp children(pid) do
    case File.read("/proc/#{pid}/task/#{pid}/children") do
      {:ok, text} -> text |> String.split() |> Enum.map(&String.to_integer/1)
      {:error, _gone} -> []
    end
  end

  # proc(5): the state comes behind the command's name in parentheses. A zombie is dead.
  defp alive?(pid) do
    case File.read("/proc/#{pid}/stat") do
      {:ok, stat} -> not (stat =~ ~r/\) [ZX]/)
      {:error, _gone} -> false
    end
  end

  # Nobody can wait for a process that is not its child, so it is looked at, ten times a second.
  defp gone?(pid, tries) do
    cond do
      not alive?(pid) ->
        true

      tries == 0 ->
        false

      true ->
        Process.sleep(100)
        gone?(pid, tries - 1)
    end
  end
end

Demo.run()
