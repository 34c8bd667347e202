# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Servers.NginxTest do
  # nginx, which finishes the requests that it has begun when it gets SIGQUIT, and reads its configuration again when it gets
  # SIGHUP.
  use MuonTrap.Test.ServerCase, async: true

  import ExUnit.CaptureLog

  # Bytes of a file, and how many of them a client gets in a second, so that a request takes a while.
  @size 300_000
  @rate 100_000

  setup_all do
    %{nginx: program!("nginx", "nginx"), curl: program!("curl", "curl")}
  end

  setup %{directory: directory} do
    if OS.root?(), do: run!("chown", ["www-data", directory])
    File.mkdir!(Path.join(directory, "html"))
    File.write!(Path.join(directory, "html/page"), "page")
    File.write!(Path.join(directory, "html/long"), String.duplicate("x", @size))
    configure(directory, "first")
    :ok
  end

  defp socket(directory), do: Path.join(directory, "http.sock")

  # All that it writes is in that directory, so that any user can run it.
  defp configure(directory, greeting, more \\ "") do
    temporary = for kind <- ~w(client_body proxy fastcgi uwsgi scgi), do: "#{kind}_temp_path temp_#{kind};\n"

    File.write!(Path.join(directory, "nginx.conf"), """
    #{more}
    error_log stderr notice;
    pid nginx.pid;
    worker_processes 2;
    events { }
    http {
      access_log off;
      #{temporary}
      server {
        listen unix:#{socket(directory)};
        root html;
        location = /greeting { return 200 "#{greeting}"; }
        location = /long { limit_rate #{@rate}; }
        location = /endless { alias html/long; limit_rate 1000; }
      }
    }
    """)
  end

  defp args(directory, more \\ ["-g", "daemon off;"]),
    do: ["-e", "stderr", "-p", directory, "-c", "nginx.conf"] ++ more

  defp options(context) do
    user = if OS.root?(), do: [uid: "www-data"], else: []
    lock = [lock: Path.join(context.directory, "lock")]
    [stop_signal: :sigquit, delay_to_sigkill: 60_000, env: context.env] ++ lock ++ user ++ log_to(context.log)
  end

  defp child(context, opts \\ []),
    do: {Daemon, [context.nginx, args(context.directory), Keyword.merge(options(context), opts)]}

  defp get(context, page),
    do: run("curl", ["--silent", "--unix-socket", socket(context.directory), "http://localhost/#{page}"])

  defp await(context), do: OS.eventually(fn -> get(context, "page") == {"page", 0} end, 60_000)

  # A client that has begun to get what takes some seconds, or minutes. It comes back with all of it, or less.
  defp long_request(context, page \\ "long") do
    test = self()
    mine = make_ref()
    sink = %MuonTrap.Test.Sink{with: fn _data -> send(test, {:got, mine}) end}
    url = "http://localhost/#{page}"
    args = ["--silent", "--no-buffer", "--unix-socket", socket(context.directory), url]
    request = Task.async(fn -> MuonTrap.cmd("curl", args, into: sink, env: context.env) end)
    assert_receive {:got, ^mine}, 60_000
    request
  end

  defp assert_answered(request) do
    assert {%{bytes: @size}, 0} = Task.await(request, 60_000)
  end

  test "that is stopped under load finishes what it has begun, and leaves no socket", context do
    supervisor = supervise!([child(context)])
    await(context)
    requests = for _ <- 1..4, do: long_request(context)
    refute capture_log(fn -> Supervisor.stop(supervisor) end) =~ context.nginx
    for request <- requests, do: assert_answered(request)
    assert count_lines(context.log, "gracefully shutting down") == 2
    refute File.exists?(socket(context.directory))
    refute File.exists?(Path.join(context.directory, "nginx.pid"))

    supervisor = supervise!([child(context)])
    await(context)
    Supervisor.stop(supervisor)
    assert count_lines(context.log, "Address already in use") == 0
  end

  test "that doesn't finish in the first step of a stop ends in the second one", context do
    {Daemon, [program, args, opts]} = child(context)
    opts = Keyword.drop(opts, [:stop_signal, :delay_to_sigkill]) ++ [stop_sequence: [sigquit: 100, sigterm: 60_000]]
    supervisor = supervise!([{Daemon, [program, args, opts]}])
    await(context)
    request = long_request(context, "endless")
    refute capture_log(fn -> Supervisor.stop(supervisor) end) =~ context.nginx
    assert {%{bytes: bytes}, 18} = Task.await(request, 60_000)
    assert bytes < @size
    assert count_lines(context.log, "(SIGTERM) received") == 1
    refute File.exists?(socket(context.directory))
  end

  test "whose daemon is killed finishes what it has begun, and its successor waits for that", context do
    {:ok, supervisor} = Supervisor.start_link([child(context)], strategy: :one_for_one)
    await(context)
    request = long_request(context)
    predecessor = daemon(supervisor)
    Process.exit(predecessor, :kill)
    assert_answered(request)
    OS.eventually(fn -> daemon(supervisor) not in [nil, predecessor] end, 60_000)
    await(context)
    Supervisor.stop(supervisor)
    assert count_lines(context.log, "Address already in use") == 0
  end

  test "whose VM is killed finishes what it has begun, and the next VM's waits for that", context do
    vm_log = Path.join(context.directory, "vm.log")
    vm = ServerVM.start!([child(context)], vm_log)
    await(context)
    request = long_request(context)
    next = ServerVM.boot!(vm_log)
    ServerVM.kill!(vm)
    ServerVM.supervise!(next, [child(context)])
    assert_answered(request)
    await(context)
    ServerVM.stop!(next)
    assert count_lines(context.log, "Address already in use") == 0
    refute File.read!(vm_log) =~ "see :delay_to_sigkill"
  end

  test "reads its configuration again when it gets SIGHUP, and drops no request", context do
    supervisor = supervise!([child(context)])
    await(context)
    request = long_request(context)
    program = Daemon.program_pid(daemon(supervisor))
    assert get(context, "greeting") == {"first", 0}
    configure(context.directory, "second")
    assert Daemon.signal(daemon(supervisor), :sighup, :program) == :ok
    OS.eventually(fn -> get(context, "greeting") == {"second", 0} end, 60_000)
    assert_answered(request)
    assert Daemon.program_pid(daemon(supervisor)) == program
    assert count_lines(context.log, "(SIGHUP) received") == 1
    Supervisor.stop(supervisor)
  end

  test "behind a shell that has waited for it finishes what it has begun", context do
    script = ~s(echo starting; "$@")
    args = ["-c", script, "sh", context.nginx | args(context.directory)]
    supervisor = supervise!([{Daemon, ["sh", args, options(context)]}])
    await(context)
    request = long_request(context)
    processes = processes(context.mark)
    Supervisor.stop(supervisor)
    assert_answered(request)
    assert Enum.filter(processes, &OS.alive?/1) == []
  end

  test "that makes itself a daemon is killed, and the log says how to run it", context do
    said =
      capture_log(fn ->
        {:ok, daemon} = Daemon.start_link(context.nginx, args(context.directory, []), options(context))
        assert_receive {:EXIT, ^daemon, :normal}, 60_000
      end)

    assert said =~ "status 0"
    assert said =~ "nginx"
    assert said =~ "foreground"
    assert {_output, 7} = get(context, "page")
  end

  @tag :root
  test "runs as another user, master and workers", context do
    supervisor = supervise!([child(context)])
    await(context)
    OS.eventually(fn -> length(processes(context.mark)) == 3 end)
    users = for pid <- processes(context.mark), do: run!("ps", ["-o", "user=", "-p", "#{pid}"])
    assert users == List.duplicate("www-data\n", 3)
    Supervisor.stop(supervisor)
  end
end
