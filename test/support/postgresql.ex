# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.PostgreSQL do
  @moduledoc false
  # PostgreSQL 15 of Debian, its clients, and what it leaves behind when it wasn't shut down.
  #
  # It refuses to run as root, so root's tests run it, and its tools, as the package's user.

  import MuonTrap.Test.ServerCase, only: [log_to: 1, program!: 3, run: 3, run!: 3]

  alias MuonTrap.Test.OS

  @bin "/usr/lib/postgresql/15/bin"

  @doc "The path of one of its programs"
  def program!(name), do: program!(name, "postgresql-15", [@bin])

  @doc "The option :uid, where it is needed, and a directory that the user may enter, which the clone's needn't be"
  def user(), do: if(OS.root?(), do: [uid: "postgres", cd: "/"], else: [])

  @doc "A cluster in that directory, whose superuser everybody may connect as that can reach the socket"
  def init!(directory) do
    if OS.root?(), do: run!("chown", ["postgres", directory], [])
    args = ["--no-sync", "--auth=trust", "--username=postgres", "--locale=C.UTF-8", "-D", data(directory)]
    run!(program!("initdb"), args, user())
    directory
  end

  @doc "The same cluster in another directory"
  def copy!(from, to) do
    run!("cp", ["-a", "#{from}/.", to], [])
    to
  end

  def data(directory), do: Path.join(directory, "data")
  def socket(directory), do: Path.join(directory, ".s.PGSQL.5432")

  @doc "The command: a small server on a socket in that directory"
  def command(directory) do
    [
      program!("postgres"),
      "-D",
      data(directory),
      "-k",
      directory,
      "-c",
      "listen_addresses=",
      "-c",
      "shared_buffers=8MB"
    ]
  end

  @doc "The options that its recipe has: SIGINT ends the clients' sessions, SIGTERM would wait for them"
  def options(directory, log),
    do: [stop_signal: :sigint, delay_to_sigkill: 60_000, lock: data(directory)] ++ user() ++ log_to(log)

  @doc "A child specification"
  def child(directory, log, opts) do
    [program | args] = command(directory)
    {MuonTrap.Daemon, [program, args, Keyword.merge(options(directory, log), opts)]}
  end

  @doc "What psql prints of a query, or why it can't"
  def query(directory, sql) do
    {output, status} = run(program!("psql"), ["-X", "-A", "-t" | connection(directory)] ++ ["-c", sql], user())
    {String.trim(output), status}
  end

  def query!(directory, sql) do
    {output, 0} = query(directory, sql)
    output
  end

  @doc "What its clients take to find it"
  def connection(directory), do: ["-h", directory, "-U", "postgres", "-d", "postgres"]

  @doc "Waits until it can be asked"
  def await(directory), do: OS.eventually(fn -> match?({"1", 0}, query(directory, "select 1")) end, 60_000)

  @doc "Four clients that write until the server is gone"
  def load!(directory, env) do
    args = ["-n", "-c", "4", "-T", "600", "-P", "1" | connection(directory)]
    test = self()
    spawn_link(fn -> send(test, {:load_ended, run(program!("pgbench"), args, [env: env] ++ user())}) end)
    before = transactions(directory)
    OS.eventually(fn -> transactions(directory) > before + 20 end, 60_000)
  end

  def load_ended() do
    receive do
      {:load_ended, {output, _status}} -> output
    after
      60_000 -> raise "pgbench has not ended with the server"
    end
  end

  defp transactions(directory), do: directory |> query!("select count(*) from pgbench_history") |> String.to_integer()

  @doc "pg_controldata(1)'s word on how the cluster was left, such as shut down"
  def state(directory) do
    report = run!(program!("pg_controldata"), ["-D", data(directory)], user())
    [_all, state] = Regex.run(~r/^Database cluster state: +(.*)$/m, report)
    state
  end

  @doc """
  What is there of a server that should be gone: its socket, the lock files, and shared memory beside what there was before

  Of System V it has a small segment, with whose key no other server gets into the data directory; all else is in /dev/shm
  (PostgreSQL's documentation, 19.4.1).
  """
  def left(directory, before) do
    files = [socket(directory), socket(directory) <> ".lock", Path.join(data(directory), "postmaster.pid")]
    Enum.filter(files, &File.exists?/1) ++ (shared_memory() -- before)
  end

  @doc "All shared memory of that user: names in /dev/shm, and ids of System V segments"
  def shared_memory() do
    uid = File.stat!("/proc/self").uid
    uid = if OS.root?(), do: String.to_integer(String.trim(run!("id", ["-u", "postgres"], []))), else: uid
    posix = for path <- Path.wildcard("/dev/shm/PostgreSQL.*"), match?({:ok, %{uid: ^uid}}, File.stat(path)), do: path
    [_header | segments] = "/proc/sysvipc/shm" |> File.read!() |> String.split("\n", trim: true)

    # proc(5): key, shmid, perms, size, cpid, lpid, nattch, uid, ...
    posix ++
      for(
        segment <- segments,
        fields = String.split(segment),
        Enum.at(fields, 7) == "#{uid}",
        do: "segment #{Enum.at(fields, 1)}"
      )
  end
end
