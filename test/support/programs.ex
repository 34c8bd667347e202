# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Programs do
  @moduledoc false
  # Programs that misbehave, each as {program, args}. They tell on stdout when they have done what they are named for, so
  # that a test waits for that, and end by themselves after a while in case that nothing else ends them.

  alias MuonTrap.Test.OS

  @doc "For ExUnit's setup: traps exits, and gives a mark and the environment with it, whose programs the test's end kills"
  def marked() do
    Process.flag(:trap_exit, true)
    mark = OS.mark()
    ExUnit.Callbacks.on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    %{mark: mark, env: OS.marked(mark)}
  end

  @doc "A :logger_fun that sends each line to the calling process"
  def lines_to_me() do
    test = self()
    &send(test, {:line, &1})
  end

  @doc "Writes a line and stays"
  def sleeper(), do: perl(~S[$| = 1; print "ready\n"; sleep 1000])

  @doc "Doesn't care for SIGTERM, nor does its child"
  def deaf(), do: sh("trap '' TERM; sleep 1000 & echo ready; while :; do sleep 1000; done")

  @doc "Has a child in the background"
  def background_child(), do: sh("sleep 1000 & echo ready; wait")

  @doc "Has a grandchild that daemonised: forked twice, in its own session, with the standard streams closed"
  def daemonised(), do: perl(~S[
      use POSIX;
      $| = 1;
      pipe(my $r, my $w);
      unless (fork) {
        POSIX::setsid();
        exit if fork;
        $SIG{TERM} = $SIG{HUP} = 'IGNORE';
        open(STDOUT, '>', '/dev/null');
        syswrite($w, "x");
        sleep 1000;
        exit;
      }
      close $w;
      sysread($r, my $x, 1);
      print "ready\n";
      sleep 1000;
    ])

  @doc "Leaves a daemonised process and a background one behind, and exits"
  def leaves_behind() do
    {perl, ["-e", code]} = daemonised()
    {perl, ["-e", "fork or sleep 1000; " <> String.replace(code, ~r/sleep 1000;\s*\z/, "exit 0;")]}
  end

  @doc "A tree of so many processes, each the parent of up to three"
  def tree(count), do: perl(~s[
      $| = 1;
      my $count = #{count};
      pipe(my $r, my $w);
      sub grow {
        my $mine = shift;
        syswrite($w, "x");
        $mine--;
        for my $left (3, 2, 1) {
          my $part = int(($mine + $left - 1) / $left);
          next unless $part;
          $mine -= $part;
          unless (fork) { grow($part); sleep 1000; exit }
        }
      }
      grow($count);
      my $seen = 0;
      while ($seen < $count) { $seen += sysread($r, my $x, 1000) }
      print "ready\\n";
      sleep 1000;
    ])

  @doc "Thirty times for five seconds, as fast as it can: a process is replaced by its child in a session of its own"
  def fork_chain(), do: perl(~S[
      use POSIX;
      $| = 1;
      my $end = time + 5;
      for (1..30) {
        next if fork;
        while (time < $end) { exit if fork; POSIX::setsid() }
        exit;
      }
      print "ready\n";
      sleep 1000;
    ])

  @doc "Forks as fast as it can for five seconds: four processes, whose short-lived children have sessions of their own"
  def fork_storm(), do: perl(~S[
      use POSIX ':sys_wait_h';
      $| = 1;
      fork; fork;
      print "ready\n";
      my $end = time + 5;
      while (time < $end) {
        unless (fork) { POSIX::setsid(); select(undef, undef, undef, 0.05); exit }
        1 while waitpid(-1, WNOHANG) > 0;
      }
      sleep 1000;
    ])

  @doc """
  Calls `cmd/3` with that `:timeout`, and with twice as long a one as long as the program was not ready by then, as on a busy
  machine: had not written what it writes first
  """
  def cmd_until_ready(program, args, timeout, opts, ready? \\ &String.starts_with?(&1, "ready\n")) do
    {output, status} = MuonTrap.cmd(program, args, [timeout: timeout] ++ opts)

    if status == :timeout and timeout < 60_000 and not ready?.(output),
      do: cmd_until_ready(program, args, 2 * timeout, opts, ready?),
      else: {output, status}
  end

  def sh(script), do: {"sh", ["-c", script]}
  def perl(code), do: {"perl", ["-e", code]}
end
