# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Protocol do
  @moduledoc false
  # The frames of docs/protocol.md as Elixir terms. Pure. The port's {:packet, 4} has taken off or puts on the length.

  alias MuonTrap.Error

  @typedoc "How a program ended and what it used"
  @type ending :: %{
          status: non_neg_integer() | :unknown,
          signal: pos_integer() | nil,
          signal_name: atom(),
          core_dumped: boolean(),
          oom_killed: boolean(),
          stopped: boolean(),
          forced: boolean(),
          user_us: non_neg_integer(),
          system_us: non_neg_integer(),
          peak_bytes: non_neg_integer(),
          stragglers: non_neg_integer(),
          reusable: boolean(),
          names: [String.t()]
        }

  @type event ::
          {:started, pos_integer(), String.t()}
          | {:stdout | :stderr, binary()}
          | {:exited, ending()}
          | {:error, Error.t()}
          | {:waiting, String.t()}
          | {:signalled, signal_id(), :ok | {:error, atom()}}
          | {:credit, pos_integer()}
          | {:input_closed, non_neg_integer()}
          | :stdout_ended
          | :stderr_ended
          | :unused

  @typedoc "By which the answer to a signal is known"
  @type signal_id :: 0..0xFFFFFFFF

  @typedoc "Whom a signal is for"
  @type receiver :: :program | :group | :tree | :cgroup

  @type command ::
          {:ack, non_neg_integer()}
          | :stop
          | :discard
          | {:signal, signal_id(), String.t(), receiver()}
          | {:launch, [String.t()]}
          | {:input, iodata()}
          | :end_of_input
          | {:resize, pos_integer(), pos_integer()}

  @receivers %{program: 0, group: 1, tree: 2, cgroup: 3}

  # The longest launch, tag and payload, and the most arguments in it, with room for --fresh
  @launch_most 16_384 - 20
  @launch_arguments_most 509 - 2

  @stages %{
    1 => :options,
    2 => :setup,
    3 => :cgroup,
    4 => :spawn,
    5 => :cd,
    6 => :groups,
    7 => :gid,
    8 => :uid,
    9 => :exec,
    10 => :protocol,
    11 => :relay,
    12 => :sweep,
    13 => :lock,
    14 => :pty,
    15 => :terminal,
    16 => :stdin,
    17 => :stdout,
    18 => :stderr,
    19 => :rlimit,
    20 => :nice,
    21 => :cpus,
    22 => :oom_score_adj,
    23 => :no_new_privs,
    24 => :attach
  }

  @doc false
  @spec stages() :: %{pos_integer() => atom()}
  def stages(), do: @stages

  @doc false
  @spec receivers() :: %{receiver() => non_neg_integer()}
  def receivers(), do: @receivers

  @doc false
  @spec launch_fits?([String.t()]) :: boolean()
  def launch_fits?(arguments) do
    length(arguments) <= @launch_arguments_most and
      Enum.reduce(arguments, 1, &(byte_size(&1) + 1 + &2)) <= @launch_most
  end

  defguardp is_flag(byte) when byte in 0..1

  # No clause takes a frame that docs/protocol.md forbids for what is in it; but an unknown stage counts as :setup. Whoever
  # meets such a frame fails, and the port closes with its server or owner, which stops the program: nothing else from
  # that helper can be trusted.
  @doc false
  @spec decode(binary()) :: event()
  def decode(<<?P, pid::32, cgroup_path::binary>>) when pid > 0, do: {:started, pid, cgroup_path}
  def decode(<<?O, data::binary>>) when data != "", do: {:stdout, data}
  def decode(<<?E, data::binary>>) when data != "", do: {:stderr, data}
  def decode(<<?o, data::binary>>) when data != "", do: {:stdout, data}
  def decode(<<?e, data::binary>>) when data != "", do: {:stderr, data}

  def decode(
        <<?X, how::8, code::32, core::8, oom::8, stopped::8, forced::8, user_us::64, system_us::64, peak_bytes::64,
          stragglers::32, reusable::8, size::8, signal::binary-size(size), names::binary>>
      )
      when how in 0..2 and is_flag(core) and is_flag(oom) and is_flag(stopped) and is_flag(forced) and
             is_flag(reusable) and (how == 1 or size == 0) do
    {:exited,
     %{
       status: status(how, code),
       signal: if(how == 1, do: code),
       # Bounded, too, and nil for a signal that has none.
       signal_name: if(signal != "", do: String.to_atom(signal)),
       core_dumped: core == 1,
       oom_killed: oom == 1,
       stopped: stopped == 1,
       forced: forced == 1,
       user_us: user_us,
       system_us: system_us,
       peak_bytes: peak_bytes,
       stragglers: stragglers,
       reusable: reusable == 1,
       names: String.split(names, "\n", trim: true)
     }}
  end

  def decode(<<?!, stage::8, errno::32, size::8, name::binary-size(size), words::binary>>) do
    {:error,
     %Error{
       stage: Map.get(@stages, stage, :setup),
       reason: reason(name, errno),
       message: words
     }}
  end

  def decode(<<?U>>), do: :unused
  def decode(<<?W, words::binary>>), do: {:waiting, words}
  def decode(<<?C, bytes::32>>) when bytes > 0, do: {:credit, bytes}
  def decode(<<?I, taken::64>>), do: {:input_closed, taken}
  def decode(<<?Q>>), do: :stdout_ended
  def decode(<<?q>>), do: :stderr_ended
  def decode(<<?K, id::32, 0::32>>), do: {:signalled, id, :ok}

  def decode(<<?K, id::32, errno::32, name::binary>>) when errno > 0,
    do: {:signalled, id, {:error, reason(name, errno)}}

  # 128 + n for a signal, as a shell and Erlang's ports have it (POSIX, Shell Command Language, 2.8.2)
  defp status(0, code), do: code
  defp status(1, code), do: 128 + code
  defp status(2, _code), do: :unknown

  # The names are those that errno_name() of the helper's failure.c knows, so there is a bounded number of atoms.
  defp reason("", 0), do: :failed
  defp reason("", errno), do: errno
  defp reason(name, errno) when errno > 0, do: String.to_atom(name)

  # Whether what has come with and before this frame is to be acknowledged as soon as it has been handled.
  @doc false
  @spec asks?(binary()) :: boolean()
  def asks?(<<tag, _payload::binary>>), do: tag not in [?o, ?e]

  @doc false
  @spec encode(command()) :: iodata()
  def encode({:ack, bytes}), do: <<?a, bytes::32>>
  def encode(:stop), do: <<?s>>
  def encode(:discard), do: <<?d>>
  def encode({:input, data}), do: [?i | data]
  def encode(:end_of_input), do: <<?z>>
  def encode({:resize, rows, columns}), do: <<?w, rows::16, columns::16>>
  def encode({:launch, arguments}), do: IO.iodata_to_binary([?l | Enum.map(arguments, &[&1, 0])])
  def encode({:signal, id, name, to}), do: <<?k, @receivers[to]::8, id::32, name::binary>>
end
