# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Servers.RecipesTest do
  # docs/servers.md: each child specification runs as it is printed there, but for the directory, and what the page shows of the
  # log is what is logged. Not async, because of the log.
  use MuonTrap.Test.ServerCase, async: false

  import ExUnit.CaptureLog

  alias MuonTrap.Test.PostgreSQL

  @page Path.expand("../../docs/servers.md", __DIR__)
  @external_resource @page
  # What the page has for the directory of the application.
  @place "/srv/my_app"

  setup_all do
    for {program, package} <- [
          {"redis-server", "redis-server"},
          {"redis-cli", "redis-tools"},
          {"nginx", "nginx"},
          {"curl", "curl"},
          {"ffmpeg", "ffmpeg"},
          {"java", "default-jre-headless"}
        ],
        do: program!(program, package)

    PostgreSQL.program!("postgres")
    :ok
  end

  setup %{directory: directory} do
    for name <- ["run", "data", "temp", "html"], do: File.mkdir!(Path.join(directory, name))
    :ok
  end

  defp section(title) do
    [_before, rest] = @page |> File.read!() |> String.split("\n## #{title}\n")
    rest |> String.split("\n## ") |> hd()
  end

  # The blocks of that language, other than those that the page says are not run.
  defp blocks(title, language, directory) do
    ~r/(<!-- not run -->\n)?```#{language}\n(.*?)```/s
    |> Regex.scan(section(title), capture: :all_but_first)
    |> Enum.flat_map(fn
      ["", code] -> [String.replace(code, @place, directory)]
      [_not_run, _code] -> []
    end)
  end

  # The child specification, of root's tests with its user, and of others' without. The environment is the mark's.
  defp child(title, context) do
    [code] = blocks(title, "elixir", context.directory)
    {{Daemon, [program, args, opts]}, _bindings} = Code.eval_string(code, [], file: @page)
    opts = if OS.root?(), do: opts, else: Keyword.delete(opts, :uid)
    {Daemon, [program, args, [env: context.env] ++ opts]}
  end

  defp own!(path, user), do: if(OS.root?(), do: run!("chown", ["-R", user, path]))

  # Starts the recipe's child, has the function work with its daemon, stops it, and compares the log with the page.
  defp cook(title, context, work) do
    log =
      capture_log([colors: [enabled: false]], fn ->
        {:ok, supervisor} = Supervisor.start_link([child(title, context)], strategy: :one_for_one)
        work.(daemon(supervisor))
        Supervisor.stop(supervisor)
      end)

    [shown] = blocks(title, "text", context.directory)
    assert_logged(log, String.split(shown, "\n", trim: true))
    refute log =~ "see :delay_to_sigkill"
    log
  end

  # In this order, with others between them. What the page leaves out is "…".
  defp assert_logged(log, shown) do
    pattern = Enum.map_join(shown, ".*", fn line -> line |> Regex.escape() |> String.replace("…", "[^\\n]*") end)
    assert Regex.match?(Regex.compile!(pattern, "su"), log), "not in the log as the page has it:\n#{pattern}\n#{log}"
  end

  test "PostgreSQL", %{directory: directory} = context do
    File.rmdir!(Path.join(directory, "data"))
    PostgreSQL.init!(directory)
    run = Path.join(directory, "run")
    own!(run, "postgres")

    cook("PostgreSQL", context, fn _daemon ->
      PostgreSQL.await(run)
      # A pool's connection, which stays.
      args = ["-X" | PostgreSQL.connection(run)] ++ ["-c", "select pg_sleep(1000)"]
      spawn_link(fn -> run(PostgreSQL.program!("psql"), args, [env: context.env] ++ PostgreSQL.user()) end)
      sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
      OS.eventually(fn -> PostgreSQL.query(run, sleeping) == {"1", 0} end)
    end)

    assert PostgreSQL.state(directory) == "shut down"
  end

  test "Redis", %{directory: directory} = context do
    cook("Redis", context, fn _daemon -> set!(Path.join(directory, "run/redis.sock")) end)
    assert File.exists?(Path.join(directory, "data/dump.rdb"))
  end

  defp set!(socket),
    do: OS.eventually(fn -> run("redis-cli", ["-s", socket, "set", "key", "value"]) == {"OK\n", 0} end, 60_000)

  test "nginx", %{directory: directory} = context do
    [configuration] = blocks("nginx", "nginx", directory)
    File.write!(Path.join(directory, "nginx.conf"), configuration)
    File.write!(Path.join(directory, "html/index.html"), "hello")
    own!(directory, "www-data")
    args = ["--silent", "--unix-socket", Path.join(directory, "run/http.sock"), "http://localhost/"]
    cook("nginx", context, fn _daemon -> OS.eventually(fn -> run("curl", args) == {"hello", 0} end, 60_000) end)
  end

  test "ffmpeg with progress", %{directory: directory} = context do
    recording = Path.join(directory, "recording.mp4")

    cook("ffmpeg with progress", context, fn daemon ->
      # Some blocks of progress.
      OS.eventually(fn -> Daemon.statistics(daemon).output_byte_count > 2_000 end, 60_000)
    end)

    # It can be played to its end.
    assert run!("ffmpeg", ["-v", "error", "-nostdin", "-i", recording, "-f", "null", "-"]) == ""
  end

  test "a JVM", %{directory: directory} = context do
    source = Path.join(directory, "Server.java")

    File.write!(source, """
    public class Server {
        public static void main(String[] args) throws Exception {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("shutting down")));
            System.out.println("listening");
            Thread.sleep(1000000);
        }
    }
    """)

    # The compiler and the archiver are in Debian's run-time package, as modules without commands.
    run!("java", ["--module", "jdk.compiler/com.sun.tools.javac.Main", source])
    create = ["--create", "--file", "server.jar", "--main-class", "Server", "Server.class"]
    run!("java", ["--module", "jdk.jartool/sun.tools.jar.Main" | create], cd: directory)

    cook("A JVM", context, fn daemon ->
      OS.eventually(fn -> Daemon.statistics(daemon).output_byte_count >= byte_size("listening\n") end, 60_000)
      assert Daemon.signal(daemon, :sigquit) == :ok
      # The dump ends with a summary of the heap.
      OS.eventually(fn -> Daemon.statistics(daemon).output_byte_count > 3_000 end, 60_000)
    end)
  end

  test "a shell script, with exec", %{directory: directory} = context do
    [script, _with_trap] = blocks("A shell script", "sh", directory)
    install(script, directory)

    cook("A shell script", context, fn daemon ->
      set!(Path.join(directory, "data/redis.sock"))
      # The shell has become the server.
      assert File.read!("/proc/#{Daemon.program_pid(daemon)}/comm") == "redis-server\n"
    end)

    assert File.exists?(Path.join(directory, "data/dump.rdb"))
  end

  test "a shell script, with a trap", %{directory: directory} = context do
    [_with_exec, script] = blocks("A shell script", "sh", directory)
    install(script, directory)

    log =
      capture_log([colors: [enabled: false]], fn ->
        {:ok, supervisor} = Supervisor.start_link([child("A shell script", context)], strategy: :one_for_one)
        # The trap is set before the first sleep.
        OS.eventually(fn -> length(processes(context.mark)) == 2 end)
        Supervisor.stop(supervisor)
      end)

    assert log =~ "[info] worker: finishing"
    refute log =~ "see :delay_to_sigkill"
  end

  defp install(script, directory) do
    path = Path.join(directory, "worker.sh")
    File.write!(path, script)
    File.chmod!(path, 0o755)
  end
end
