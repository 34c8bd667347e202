# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Starters do
  @moduledoc false
  # All that start programs, to try the same with each. Those who use it trap exits.

  import ExUnit.Assertions

  alias MuonTrap.{Daemon, Program}
  alias MuonTrap.Test.{OS, Programs}

  @all [:cmd, :stream, :program, :daemon]
  @where %{
    cmd: "MuonTrap.cmd/3",
    stream: "MuonTrap.stream!/3",
    program: "MuonTrap.Program.start_link/3",
    daemon: "MuonTrap.Daemon.start_link/3"
  }

  @doc "All of them"
  def all(), do: @all

  @doc "What each is called in messages"
  def where(by), do: Map.fetch!(@where, by)

  @doc "What a program writes by one of them, or by the helper in a shell (:shell), whose options are its arguments"
  def output(by, command, args, opts)

  def output(:cmd, command, args, opts) do
    {output, 0} = MuonTrap.cmd(command, args, opts)
    output
  end

  def output(:shell, command, args, opts) do
    {output, 0} = System.cmd(MuonTrap.muontrap_path(), opts ++ ["--", command | args], stderr_to_stdout: true)
    output
  end

  def output(:stream, command, args, opts), do: command |> MuonTrap.stream!(args, opts) |> Enum.join()

  def output(:program, command, args, opts) do
    {:ok, program} = Program.start_link(command, args, opts)
    output = read(program, "")
    assert Program.stop(program) == {:ok, 0}
    output
  end

  def output(:daemon, command, args, opts) do
    test = self()
    {:ok, daemon} = Daemon.start_link(command, args, [logger_fun: &send(test, {self(), &1})] ++ opts)
    assert_receive {:EXIT, ^daemon, :normal}, 60_000
    Enum.map_join(lines(daemon), &(&1 <> "\n"))
  end

  @doc "The same of a program that is stopped when it has written a line, and is dead when this returns"
  def stopped(:cmd, command, args, opts) do
    {output, :timeout} = Programs.cmd_until_ready(command, args, 500, opts, &(&1 != ""))
    output
  end

  def stopped(:stream, command, args, opts) do
    [output] = command |> MuonTrap.stream!(args, opts) |> Enum.take(1)
    output
  end

  def stopped(:program, command, args, opts) do
    {:ok, program} = Program.start_link(command, args, opts)
    {:stdout, output} = Program.read(program, 60_000)
    {:ok, _status} = Program.stop(program)
    output
  end

  def stopped(:daemon, command, args, opts) do
    test = self()
    {:ok, daemon} = Daemon.start_link(command, args, [logger_fun: &send(test, {self(), &1})] ++ opts)
    assert_receive {^daemon, line}, 60_000
    :ok = GenServer.stop(daemon, :normal, 60_000)
    line <> "\n"
  end

  def stopped(:shell, command, args, opts) do
    port = Port.open({:spawn_executable, MuonTrap.muontrap_path()}, [:binary, args: opts ++ ["--", command | args]])
    {:os_pid, helper} = Port.info(port, :os_pid)
    assert_receive {^port, {:data, output}}, 60_000
    Port.close(port)
    OS.eventually(fn -> not OS.alive?(helper) end)
    output
  end

  defp read(program, so_far) do
    case Program.read(program, 60_000) do
      {_stream, data} when is_binary(data) -> read(program, so_far <> data)
      :eof -> so_far
    end
  end

  defp lines(daemon) do
    receive do
      {^daemon, line} -> [line | lines(daemon)]
    after
      0 -> []
    end
  end

  @doc "The messages of the ArgumentErrors by which each, or only some of them, refuse these options"
  def refused(opts, only \\ @all) do
    for by <- only, into: %{}, do: {by, error(by, opts).message}
  end

  defp error(:cmd, opts), do: assert_raise(ArgumentError, fn -> MuonTrap.cmd("cat", [], opts) end)
  defp error(:stream, opts), do: assert_raise(ArgumentError, fn -> MuonTrap.stream!("cat", [], opts) end)
  defp error(:program, opts), do: start_error(Program, opts)
  defp error(:daemon, opts), do: start_error(Daemon, opts)

  defp start_error(module, opts) do
    assert {:error, {%ArgumentError{} = error, _stack}} = module.start_link("cat", [], opts)
    error
  end

  @doc "The MuonTrap.Error by which each says that it can't start a program so"
  def failed(command, args, opts) do
    assert {:error, %MuonTrap.Error{} = by_program} = Program.start_link(command, args, opts)
    assert {:error, %MuonTrap.Error{} = by_daemon} = Daemon.start_link(command, args, opts)

    %{
      cmd: assert_raise(MuonTrap.Error, fn -> MuonTrap.cmd(command, args, opts) end),
      stream: assert_raise(MuonTrap.Error, fn -> command |> MuonTrap.stream!(args, opts) |> Enum.to_list() end),
      program: by_program,
      daemon: by_daemon
    }
  end
end
