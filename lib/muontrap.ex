# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap do
  @moduledoc """
  Keep programs launched from Erlang and Elixir contained and well-behaved

  A program that is started through a plain port is expected to leave when its stdin closes. Most don't, and so they, and
  what they started, outlive the Elixir process that wanted them. MuonTrap starts programs through a small helper that
  kills everything that descends from the program when the program ends, when the Elixir process that started it does, and
  when the VM does, even by `kill -9`.

    * `cmd/3` runs a program and collects its output, like `System.cmd/3`
    * `MuonTrap.Daemon` puts a long-running program into a supervision tree

  From Erlang:

      'Elixir.MuonTrap':cmd(<<"echo">>, [<<"hello">>]).
  """

  @doc """
  Run a program and return its output and exit status

  It works as `System.cmd/3` does: `command` is looked for in `PATH` unless it is an absolute path, no shell is involved,
  the program's standard input is empty, and the calling process waits for the end. Beyond that, when this function comes
  back, by returning or by raising, or when the calling process is killed, neither the program nor anything that descends
  from it is left running, and everything that they wrote has been collected.

  ## Options

    * `:into` - collects the output into that collectable, as the second argument of `Enum.into/2`. Defaults to `""`
    * `:cd` - the directory to run the program in
    * `:env` - an enumerable of `{name, value}` strings to set in the program's environment; a `nil` value unsets
    * `:arg0` - what the program sees as its own name instead of its path
    * `:stderr_to_stdout` - `true` to collect what the program writes to stderr together with its stdout. Without it, and
      without `:capture_stderr_only`, stderr goes to where the VM's own goes
    * `:capture_stderr_only` - `true` to collect stderr and throw stdout away
    * `:parallelism` - `true` lets the VM schedule port tasks for more throughput (see `Port.open/2`)
    * `:timeout` - milliseconds after which the program is stopped; then `{output, :timeout}` is returned, with the output
      up to its end. Defaults to `:infinity`
    * `:stdio_window` - how many bytes of output may be on the way to Elixir without having been handled. By default that
      is 10 KB, and more for a reader that is fast
    * `:delay_to_sigkill` - milliseconds that the program has to end by itself after SIGTERM, when it is stopped, before
      it is sent SIGKILL. Defaults to 500. Its descendants get SIGKILL once the program has ended
    * `:uid` - user to run the program as, by name or number. Its groups become that user's, if not said otherwise
    * `:gid` - group to run the program as, by name or number
    * `:groups` - list of supplementary groups, by name or number

  `:uid`, `:gid` and `:groups` take root (or the capabilities CAP_SETUID and CAP_SETGID), and never root's own id 0.

  ## Return values

    * `{collected, exit_status}` - the status is 0 to 255, 128 plus the signal's number when a signal ended the program
    * `{collected, :timeout}` - see `:timeout`

  ## Errors

    * `ArgumentError` - an argument or option of the wrong type, an unknown option, or a null byte in a string
    * `ErlangError` with `original: :enoent` - there is no such program; `:eacces` - it may not be executed; another
      errno such as `:eloop` - its path can't be followed
    * `MuonTrap.Error` - what only the helper can find out: a bad `:cd`, a user that may not be changed to, a file that
      the kernel can't execute, or that the helper itself was killed

  ## Examples

      iex> MuonTrap.cmd("echo", ["hello"])
      {"hello\\n", 0}

      iex> MuonTrap.cmd("sh", ["-c", "echo $GREETING; exit 3"], env: [{"GREETING", "hello"}])
      {"hello\\n", 3}

      iex> MuonTrap.cmd("sh", ["-c", "echo one; echo two >&2"], stderr_to_stdout: true, into: [])
      ...> |> then(fn {output, status} -> {IO.iodata_to_binary(output), status} end)
      {"one\\ntwo\\n", 0}

      iex> MuonTrap.cmd("sh", ["-c", "echo begun; sleep 60"], timeout: 200)
      {"begun\\n", :timeout}

      iex> MuonTrap.cmd("no-such-program", [])
      ** (ErlangError) Erlang error: :enoent
  """
  @spec cmd(String.t(), [String.t()], keyword()) :: {Collectable.t(), non_neg_integer() | :timeout}
  def cmd(command, args, opts \\ []) do
    :cmd
    |> MuonTrap.Options.validate(command, args, opts)
    |> MuonTrap.Command.run()
  end

  @doc """
  Return the absolute path of the helper program

  It can be used from a shell as well: `muontrap --help` and its man page muontrap(1), which lies beside it, say how.

      iex> File.exists?(MuonTrap.muontrap_path())
      true
  """
  @spec muontrap_path() :: Path.t()
  def muontrap_path(), do: IO.chardata_to_string(MuonTrap.Helper.path())
end
