# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.ServerCase do
  @moduledoc false
  # Tests with servers of Debian's packages: their programs, a directory, what they log, and VMs that can be killed.
  #
  # Each test has a directory with a short name, because a socket's path may have 107 bytes (unix(7)). Servers write what they do
  # over their environment (setproctitle(3)), and a mark in it with that. So they are found by their helpers, which have it too.

  use ExUnit.CaseTemplate

  alias MuonTrap.Test.{OS, ServerVM}

  using do
    quote do
      import MuonTrap.Test.ServerCase

      alias MuonTrap.Daemon
      alias MuonTrap.Test.{OS, ServerVM}

      @moduletag :servers
    end
  end

  setup do
    Process.flag(:trap_exit, true)
    mark = OS.mark()
    directory = new_directory()

    on_exit(fn ->
      end_all(mark)
      File.rm_rf!(directory)
    end)

    %{mark: mark, env: OS.marked(mark), directory: directory, log: Path.join(directory, "log")}
  end

  # Of a test that has passed nothing is left. Of another, servers have some time to end without leaving shared memory.
  defp end_all(mark) do
    for pid <- keepers(mark), do: OS.kill(pid, "TERM")
    OS.eventually(fn -> OS.helpers(mark) == [] end, 10_000)
  rescue
    _still_there in ExUnit.AssertionError ->
      # A keeper whose relay is killed kills all else.
      for pid <- OS.helpers(mark) -- keepers(mark), do: OS.kill(pid, "KILL")
      OS.eventually(fn -> OS.helpers(mark) == [] end)
  end

  defp keepers(mark) do
    helpers = OS.helpers(mark)
    Enum.reject(helpers, &(OS.parent(&1) in helpers))
  end

  @doc "A directory that other users may enter, and that is theirs to remove who have made it"
  def new_directory() do
    directory = Path.join(System.tmp_dir!(), "mt#{System.pid()}-#{System.unique_integer([:positive])}")
    File.mkdir!(directory)
    File.chmod!(directory, 0o755)
    directory
  end

  @doc "The path of a program, which stands in PATH, in an administrator's part of it, or in one of those directories"
  def program!(name, package, directories \\ []) do
    path = System.get_env("PATH", "") |> String.split(":")

    Enum.find_value(directories ++ path ++ ["/usr/local/sbin", "/usr/sbin", "/sbin"], fn directory ->
      file = Path.join(directory, name)
      if File.regular?(file), do: file
    end) ||
      raise """
      #{name} is missing, which this suite tests with. It is in Debian's package #{package}. This installs it, and what else is missing:
          tools/deps servers
      and by hand, this does:
          apt-get install --no-install-recommends #{package}
      """
  end

  @doc "Options that append each line to that file, in whatever VM the daemon is"
  def log_to(file), do: [stderr_to_stdout: true, logger_fun: {ServerVM, :append, [file]}]

  @doc "The lines in a log, none before there is one"
  def lines(file) do
    case File.read(file) do
      {:ok, text} -> String.split(text, "\n", trim: true)
      {:error, :enoent} -> []
    end
  end

  @doc "Waits until so many lines of the log have the text in them"
  def await_line(file, text, count \\ 1) do
    OS.eventually(fn -> count_lines(file, text) >= count end, 60_000)
  rescue
    error in ExUnit.AssertionError ->
      reraise %{error | message: "no #{inspect(text)} within a minute in:\n" <> Enum.join(lines(file), "\n")},
              __STACKTRACE__
  end

  def count_lines(file, text), do: Enum.count(lines(file), &(&1 =~ text))

  @doc "What runs with that mark: all that descends from its helpers"
  def processes(mark) do
    helpers = OS.helpers(mark)
    (helpers |> OS.descendants() |> Enum.uniq()) -- helpers
  end

  @doc "Run a client, which may fail"
  def run(program, args, opts \\ []), do: MuonTrap.cmd(program, args, [stderr_to_stdout: true] ++ opts)

  @doc "Run a client that must not fail, and return what it prints"
  def run!(program, args, opts \\ []) do
    case run(program, args, opts) do
      {output, 0} -> output
      {output, status} -> raise "#{program} #{Enum.join(args, " ")} left with status #{status}:\n#{output}"
    end
  end

  @doc "A supervisor of these children, and the daemon of the first"
  def supervise!(children) do
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one, max_restarts: 0)
    supervisor
  end

  @doc "The daemon of a supervisor's only child, nil while it is being restarted"
  def daemon(supervisor) do
    case Supervisor.which_children(supervisor) do
      [{_id, daemon, _type, _modules}] when is_pid(daemon) -> daemon
      _between -> nil
    end
  end
end
