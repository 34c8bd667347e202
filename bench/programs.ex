# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Programs do
  @moduledoc false
  # The programs that are run, and the ways in which that is done.

  # Counts bytes and keeps none.
  defmodule Sink do
    @moduledoc false
    defstruct bytes: 0

    defimpl Collectable do
      def into(sink), do: {sink, &collect/2}

      defp collect(sink, {:cont, data}), do: %{sink | bytes: sink.bytes + byte_size(data)}
      defp collect(sink, _end), do: sink
    end
  end

  # One of those in bench/programs, where make has built it.
  def own(name), do: Path.expand("build/bench/programs/#{name}")

  def find(name),
    do: System.find_executable(name) || raise("the benchmark runs #{name}, which is not in PATH: install it")

  # Runs the program and throws away what it writes, which has to be so many bytes.
  def sink(:muontrap, program, args, bytes, options) do
    {%{bytes: ^bytes}, 0} = MuonTrap.cmd(program, args, [into: struct(Sink)] ++ options)
  end

  def sink(:system_cmd, program, args, bytes, []) do
    {%{bytes: ^bytes}, 0} = System.cmd(program, args, into: struct(Sink))
  end

  def sink(:port, program, args, bytes, []) do
    {^bytes, 0} = program |> find() |> open(args) |> receive_bytes(0)
  end

  def open(path, args, options \\ []),
    do: Port.open({:spawn_executable, path}, [:binary, :exit_status, :hide, args: args] ++ options)

  defp receive_bytes(port, bytes) do
    receive do
      {^port, {:data, data}} -> receive_bytes(port, bytes + byte_size(data))
      {^port, {:exit_status, status}} -> {bytes, status}
    end
  end

  # The numbers that one of our own programs writes, a line each.
  def numbers(name, args) do
    {output, 0} = System.cmd(own(name), Enum.map(args, &to_string/1))
    output |> String.split() |> Enum.map(&String.to_integer/1)
  end
end
