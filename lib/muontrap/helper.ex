# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Helper do
  @moduledoc false
  # Where the helper program is, and what it says when it is run for a word of its own and not for a program.

  alias MuonTrap.Error

  @doc """
  Its path as the VM has it, which a string need not be able to express (`file:native_name_encoding/0`)

  That is the one that `config :muontrap, helper_path:` names, else the one in the application's `priv`.
  """
  @spec path() :: charlist()
  def path() do
    case Application.get_env(:muontrap, :helper_path) do
      nil ->
        library() ++ ~c"/priv/muontrap"

      "/" <> _rest = path ->
        String.to_charlist(path)

      other ->
        raise ArgumentError,
              "config :muontrap, helper_path: must be the absolute path of the helper as a string such as " <>
                ~s("/usr/local/bin/muontrap", got: #{inspect(other)})
    end
  end

  # The application's directory, which is not one when it is inside of an archive's file. In an escript the code server
  # knows of no such directory, but only where the code is.
  defp library() do
    with {:error, :bad_name} <- :code.lib_dir(:muontrap) do
      directory = __MODULE__ |> :code.which() |> :filename.dirname()
      if code_in_file?(), do: :filename.dirname(directory), else: directory
    end
  end

  @doc """
  Open a port to it; raises `MuonTrap.Error` when it can't be executed
  """
  @spec open(list()) :: port()
  def open(port_options) do
    Port.open({:spawn_executable, path()}, port_options)
  rescue
    # The program that it is to run has been looked for before.
    error in ErlangError ->
      if error.original in [:enoent, :enotdir, :eacces],
        do: raise(missing(error.original)),
        else: reraise(error, __STACKTRACE__)
  end

  @doc """
  Why the helper was not executed, by the status that the VM's child of its name left with: the errno of exec
  """
  @spec not_executed(non_neg_integer()) :: Error.t()
  def not_executed(status) do
    {reason, why} =
      case status do
        7 ->
          {:e2big,
           "what it is to give to the program, arguments and environment, is larger than the kernel takes, which is 128 KB for " <>
             "one of them, and `getconf ARG_MAX` for all: hand over large data by :input, or by a file"}

        1 ->
          {:eperm,
           "the kernel refuses it, as in a container when it has capabilities of its file (setcap) which this process may " <>
             "not get; or it is a helper of another version (which its --version tells)"}

        2 ->
          {:enoent, "the loader that it names is missing: it was built for another C library. " <> remedy()}

        8 ->
          {:enoexec, "it was built for another machine, or is no program. " <> remedy()}

        13 ->
          {:eacces, "it may not be executed: look at its mode, and whether its file system is mounted noexec"}

        status when status < 125 ->
          {:vanished,
           "it left with status #{status} before it said anything: it is another program, or a helper of another version " <>
             "(which its --version tells). " <> remedy()}

        status ->
          {:vanished, "it left with status #{status} before it said anything"}
      end

    %Error{stage: :setup, reason: reason, message: "cannot execute the helper #{MuonTrap.muontrap_path()}: #{why}"}
  end

  @doc """
  The pid of a port's OS process; `nil` when it has left already
  """
  @spec os_pid(port()) :: pos_integer() | nil
  def os_pid(port) do
    case Port.info(port, :os_pid) do
      {:os_pid, os_pid} when is_integer(os_pid) -> os_pid
      nil -> nil
    end
  end

  defp missing(reason) do
    %Error{
      stage: :setup,
      reason: reason,
      message:
        "cannot execute MuonTrap's helper program #{MuonTrap.muontrap_path()}: #{:file.format_error(reason)}. " <>
          remedy()
    }
  end

  defp remedy() do
    cond do
      Application.get_env(:muontrap, :helper_path) != nil ->
        "It is what config :muontrap, helper_path: names: install it there with muontrap's `make install`, or name another"

      code_in_file?() ->
        "Compile muontrap again (mix deps.compile muontrap --force)"

      true ->
        "The library runs from an escript or an archive, and the kernel can't execute a file that is inside of one: install " <>
          "the helper of the same version on this machine (`make install` in muontrap's directory) and name it with config " <>
          ~s(:muontrap, helper_path: "/usr/local/bin/muontrap", or run the code from a release or by mix run)
    end
  end

  # The code of an escript or an archive is inside of that. Code that measures its coverage has no file at all.
  defp code_in_file?() do
    code = :code.which(__MODULE__)
    not is_list(code) or File.regular?(code)
  end

  @doc """
  Run it with these arguments to its end, and return what it wrote and its exit status
  """
  @spec run([String.t()]) :: {binary(), non_neg_integer()}
  def run(args), do: args |> run_options() |> open() |> finish()

  @doc """
  The same with another program, of which the path is known

  As `System.cmd/3`, but without the message that a process which traps exits gets from that.
  """
  @spec run(Path.t(), [String.t()]) :: {binary(), non_neg_integer()}
  def run(program, args), do: {:spawn_executable, program} |> Port.open(run_options(args)) |> finish()

  defp run_options(args), do: [:binary, :exit_status, :stderr_to_stdout, :hide, args: args]

  defp finish(port) do
    result = collect(port, [])
    unlink(port)
    result
  end

  @doc """
  Unlink the calling process from a port. If it traps exits, no message of the port's end is left or will come.
  """
  @spec unlink(port()) :: :ok
  def unlink(port) do
    Process.unlink(port)

    receive do
      {:EXIT, ^port, _reason} -> :ok
    after
      0 -> :ok
    end
  end

  @doc """
  Close a port that may have closed by itself
  """
  @spec close(port()) :: :ok
  def close(port) do
    Port.close(port)
    :ok
  rescue
    ArgumentError -> :ok
  end

  defp collect(port, output) do
    receive do
      {^port, {:data, data}} -> collect(port, [output, data])
      {^port, {:exit_status, status}} -> {IO.iodata_to_binary(output), status}
    end
  end
end
