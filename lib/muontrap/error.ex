# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Error do
  @moduledoc """
  What only the helper can know went wrong

  `MuonTrap.cmd/3` and `MuonTrap.stream!/3` raise it, and `MuonTrap.Daemon` and `MuonTrap.Program` fail to start with it, or
  stop. A program that is missing or may not be executed is not among it: that is an `ErlangError` with `:enoent` or `:eacces`,
  as of `System.cmd/3`; nor is a wrong option, an `ArgumentError`.

  Fields:

    * `:stage` - what was being done: `:options`, `:setup`, `:cgroup`, `:spawn`, `:cd`, `:groups`, `:gid`, `:uid`,
      `:exec`, `:protocol`, `:relay`, `:sweep`, `:lock`, `:pty`, `:terminal`, `:stdin`, `:stdout`, `:stderr`, `:rlimit`,
      `:nice`, `:cpus`, `:oom_score_adj` or `:no_new_privs`
    * `:reason` - the errno as an atom such as `:eperm`, or `:failed` where no system call failed. `:vanished` when the
      helper's processes were killed
    * `:message` - a sentence that says what was tried, on what, why it failed and what to do about it

  ## Example

      iex> try do
      ...>   MuonTrap.cmd("true", [], cd: "/no/such/directory")
      ...> rescue
      ...>   error in MuonTrap.Error -> {error.stage, error.reason, error.message}
      ...> end
      {:cd, :enoent, "cannot change to the directory '/no/such/directory': No such file or directory"}
  """

  defexception [:stage, :reason, :message]

  @type t :: %__MODULE__{stage: atom(), reason: atom() | non_neg_integer(), message: String.t()}
end
