# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.UserVM do
  @moduledoc false
  # A VM of the ordinary user app, in an /etc of its own (test/support/own-etc), with a helper that has capabilities of
  # its file. It takes root to make one.

  @app ["--reuid", "54330", "--regid", "54330", "--groups", "54330,54342"]

  @doc """
  Start it, with these rules in its /etc/muontrap.conf
  """
  def start!(rules, env \\ []) do
    place = place!()
    File.write!(Path.join(place, "rules"), rules)
    File.cp_r!(Application.app_dir(:muontrap, "ebin"), Path.join(place, "ebin"))
    {_output, 0} = System.cmd("chmod", ["-R", "a+rX", place])
    paths = for path <- [Path.join(place, "ebin") | libraries()], arg <- [~c"-pa", String.to_charlist(path)], do: arg
    start = ~s(umask 022; cp "$0" /etc/muontrap.conf; cd /; exec setpriv #{Enum.join(@app, " ")} "$@")
    erl = System.find_executable("erl") |> Path.expand()

    {:ok, peer, _node} =
      :peer.start_link(%{
        connection: :standard_io,
        exec:
          {String.to_charlist(Path.expand("test/support/own-etc")),
           Enum.map(["sh", "-c", start, Path.join(place, "rules"), erl], &String.to_charlist/1)},
        args: paths,
        env: for({name, value} <- [{"HOME", "/"} | env], do: {to_charlist(name), to_charlist(value)}),
        wait_boot: 60_000 * MuonTrap.Test.OS.patience()
      })

    vm = %{peer: peer, place: place, pid: peer |> :peer.call(System, :pid, []) |> String.to_integer()}
    :ok = :peer.call(peer, __MODULE__, :prepare, [Path.join(place, "muontrap")], 60_000)
    vm
  end

  @doc "Call a function there"
  def call(vm, module, function, args), do: :peer.call(vm.peer, module, function, args, 120_000)

  @doc "Write other rules"
  def rules!(vm, rules) do
    File.write!(Path.join(vm.place, "rules"), rules)
    inside = ["--mount", "--target", "#{vm.pid}", "cp", Path.join(vm.place, "rules"), "/etc/muontrap.conf"]
    {"", 0} = System.cmd("nsenter", inside, stderr_to_stdout: true)
    vm
  end

  @doc "Remove what it was made of, when it has ended or is to"
  def remove!(vm), do: File.rm_rf!(vm.place)

  # A directory in which files have capabilities, with the helper in it; or a failure in words.
  defp place!() do
    script = ~s(. test/cli/users.bash && make_helper "$0" setuid,setgid,kill && echo "$helper_directory")

    case System.cmd("bash", ["-c", script, MuonTrap.muontrap_path()], stderr_to_stdout: true) do
      {place, 0} -> String.trim(place)
      {words, _status} -> raise "no helper with capabilities can be made: #{words}"
    end
  end

  # Elixir's own, wherever it is installed, so that the VM has it as this one has.
  defp libraries() do
    for app <- [:elixir, :logger, :ex_unit], do: app |> Application.app_dir("ebin") |> Path.expand()
  end

  # What follows is called in that VM.

  @doc false
  def prepare(helper) do
    Application.put_env(:logger, :backends, [], persistent: true)
    Application.put_env(:logger, :default_handler, false, persistent: true)
    Application.put_env(:muontrap, :helper_path, helper)
    {:ok, _started} = Application.ensure_all_started(:muontrap)
    :ok
  end

  @doc false
  def trapping(module, function, args) do
    Process.flag(:trap_exit, true)
    apply(module, function, args)
  end

  @doc "What comes of `MuonTrap.cmd/3`, or the error's stage or module, and its message"
  def attempt(command, args, opts) do
    MuonTrap.cmd(command, args, opts)
  rescue
    error in MuonTrap.Error -> {:error, error.stage, error.message}
    error -> {:error, error.__struct__, Exception.message(error)}
  end

  @doc "A daemon that outlives the call, and has written its first line when this returns"
  def start_daemon(command, args, opts) do
    caller = self()

    spawn(fn ->
      Process.flag(:trap_exit, true)
      keeper = self()
      {:ok, daemon} = MuonTrap.Daemon.start_link(command, args, [logger_fun: &send(keeper, {:line, &1})] ++ opts)
      receive do: ({:line, line} -> send(caller, {:started, daemon, line}))
      receive do: ({:EXIT, ^daemon, _reason} -> :ok)
    end)

    receive do: ({:started, daemon, line} -> {daemon, line})
  end
end
