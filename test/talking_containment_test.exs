# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.TalkingContainmentTest do
  # Nothing survives of a program that is talked to, on pipes and on a terminal. Not async: it is one pool of helpers.
  use ExUnit.Case, async: false

  alias MuonTrap.HelperPort.Pool
  alias MuonTrap.{Error, ExitError, Program}
  alias MuonTrap.Test.{OS, Programs, Sink}

  @moduletag :linux
  @kinds [:stream, :stream_pty, :program, :program_pty, :cmd_pty]
  # The program, and what it has: a child, one in a session of its own that has its streams open, one in another process group,
  # and one that was forked twice and has nothing open. None cares for a signal that it can ignore.
  @processes 5
  @program Programs.perl(~S[
      use POSIX;
      $| = 1;
      $SIG{$_} = 'IGNORE' for qw(TERM HUP INT QUIT PIPE);
      pipe(my $r, my $w);
      sub stay { syswrite($w, "x"); sleep 1000; exit }
      fork or stay();
      unless (fork) { POSIX::setsid(); stay() }
      unless (fork) { POSIX::setpgid(0, 0); stay() }
      unless (fork) {
        POSIX::setsid();
        exit if fork;
        open(STDIN, '<', '/dev/null');
        open($_, '>', '/dev/null') for (*STDOUT, *STDERR);
        stay();
      }
      my $seen = 0;
      while ($seen < 4) { $seen += sysread($r, my $x, 10) }
      print "ready\n";
      sleep 1000;
    ])

  setup %{helper: helper} do
    case helper do
      :new ->
        Application.put_env(:muontrap, :idle_helpers, 0)
        on_exit(fn -> Application.delete_env(:muontrap, :idle_helpers) end)

      :reused ->
        # More than once, because one that has been used for long enough is not kept.
        OS.eventually(fn -> MuonTrap.cmd("echo", ["before"]) == {"before\n", 0} and Pool.idle() > 0 end)
    end

    %{helpers: OS.helpers_of_vm()}
  end

  # Has a process of its own run the program, which waits when it has read the first line until it is told how to go on.
  defp start(kind, context, start_owner \\ &spawn/1) do
    mark = OS.mark()
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    test = self()
    owner = start_owner.(fn -> send(test, {:result, run(kind, mark, test)}) end)
    assert_receive {:ready, ^owner}, 60_000
    OS.eventually(fn -> length(OS.alive(mark)) == @processes end)
    {keeper, relay} = OS.keeper_and_relay(mark)

    assert {keeper in context.helpers, relay in context.helpers} ==
             {context.helper == :reused, context.helper == :reused}

    %{owner: owner, mark: mark, keeper: keeper, relay: relay}
  end

  defp run(kind, mark, test) do
    {program, args} = @program
    pty = if kind in [:stream_pty, :program_pty, :cmd_pty], do: [pty: true], else: []
    opts = [env: OS.marked(mark), delay_to_sigkill: 50] ++ pty
    told = &tell(&1, test)

    case kind do
      :cmd_pty -> MuonTrap.cmd(program, args, [into: %Sink{with: told}] ++ opts)
      kind when kind in [:stream, :stream_pty] -> program |> MuonTrap.stream!(args, opts) |> Enum.each(told)
      _program -> converse(program, args, opts, told)
    end
  rescue
    error -> error
  catch
    :halted -> :halted
  end

  defp converse(command, args, opts, told) do
    {:ok, program} = Program.start_link(command, args, opts)
    # The one who starts it ends with it, if it doesn't end normally.
    Process.unlink(program)

    try do
      read_all(program, told)
      Program.await(program)
    catch
      :halted -> Program.stop(program)
    end
  end

  defp read_all(program, told) do
    case Program.read(program) do
      {:stdout, data} ->
        told.(data)
        read_all(program, told)

      :eof ->
        :ok
    end
  end

  # A terminal gives the end of a line by itself when it is read in between.
  defp tell(piece, test) do
    line = Process.get(:line, "") <> piece
    Process.put(:line, line)
    if String.ends_with?(line, "\n"), do: tell_line(line, test)
  end

  defp tell_line(line, test) do
    assert line =~ ~r/\Aready\r?\n\z/
    send(test, {:ready, self()})

    receive do
      :go_on -> :ok
      :halt -> throw(:halted)
      :raise -> raise "over it"
    end
  end

  defp all_dead(mark), do: OS.eventually(fn -> OS.alive(mark) == [] and OS.helpers(mark) == [] end)

  for helper <- [:new, :reused], kind <- @kinds do
    describe "with a #{helper} helper, #{kind}:" do
      @describetag helper: helper
      @describetag kind: kind

      test "when it is halted, nothing is left", %{kind: kind} = context do
        %{owner: owner, mark: mark} = start(kind, context)
        send(owner, :halt)
        assert_receive {:result, result}, 60_000
        # At once.
        assert OS.alive(mark) == []
        assert result == if(kind in [:program, :program_pty], do: {:ok, 137}, else: :halted)
      end

      test "when who reads it raises, nothing is left", %{kind: kind} = context do
        %{owner: owner, mark: mark} = start(kind, context)
        send(owner, :raise)
        assert_receive {:result, %RuntimeError{message: "over it"}}, 60_000
        if kind not in [:program, :program_pty], do: assert(OS.alive(mark) == [])
        all_dead(mark)
      end

      test "when who reads it is killed, nothing is left", %{kind: kind} = context do
        %{owner: owner, mark: mark} = start(kind, context)
        Process.exit(owner, :kill)
        all_dead(mark)
      end

      test "when the keeper is killed, nothing is left", %{kind: kind} = context do
        %{owner: owner, mark: mark, keeper: keeper} = start(kind, context)
        OS.kill(keeper, "KILL")
        send(owner, :go_on)
        assert_receive {:result, result}, 60_000
        all_dead(mark)

        status =
          case result do
            %ExitError{status: status} -> status
            {:ok, status} -> status
            {%Sink{}, status} -> status
          end

        assert status in [137, 143]
      end

      test "when the relay is killed, nothing is left, and it is told", %{kind: kind} = context do
        %{owner: owner, mark: mark, relay: relay} = start(kind, context)
        OS.kill(relay, "KILL")
        send(owner, :go_on)
        assert_receive {:result, result}, 60_000
        error = with {:error, error} <- result, do: error
        assert %Error{stage: :relay, reason: :vanished} = error
        all_dead(mark)
      end

      test "when the supervisor stops, nothing is left", %{kind: kind} = context do
        {:ok, supervisor} = Supervisor.start_link([], strategy: :one_for_one)

        under_supervisor = fn fun ->
          # It has no link to who starts it, as a Task under a Task.Supervisor.
          {:ok, owner} = Supervisor.start_child(supervisor, %{id: :owner, start: {Task, :start_link, [fun]}})
          owner
        end

        %{mark: mark} = start(kind, context, under_supervisor)
        Supervisor.stop(supervisor)
        all_dead(mark)
      end
    end

    if kind in [:program, :program_pty] do
      @tag helper: helper
      test "with a #{helper} helper, a #{kind} under a supervisor is dead when that has stopped" do
        mark = OS.mark()
        {program, args} = @program

        opts = [
          env: OS.marked(mark),
          delay_to_sigkill: 50,
          owner: self(),
          active: true,
          pty: unquote(kind == :program_pty)
        ]

        {:ok, supervisor} = Supervisor.start_link([{Program, [program, args, opts]}], strategy: :one_for_one)
        assert_receive {_program, {:stdout, "ready" <> _newline}}, 60_000
        OS.eventually(fn -> length(OS.alive(mark)) == @processes end)
        Supervisor.stop(supervisor)
        assert OS.alive(mark) == []
      end
    end
  end
end
