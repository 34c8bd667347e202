# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Frames do
  @moduledoc false
  # A client of the helper of its own, straight from docs/protocol.md, so that the helper is tested from outside and an
  # error that the library's encoder and decoder share doesn't hide. The bytes are sent and read as they are.

  defstruct [:port, buffer: ""]

  @doc "Start the helper with these arguments before the program's"
  def start(args, program, env \\ []) do
    port =
      Port.open({:spawn_executable, String.to_charlist(MuonTrap.muontrap_path())}, [
        :binary,
        :eof,
        args: ["--port" | args] ++ ["--" | program],
        env: for({name, value} <- env, do: {String.to_charlist(name), String.to_charlist(value)})
      ])

    %__MODULE__{port: port}
  end

  @doc "Send bytes that may be anything"
  def send_raw(client, bytes) do
    Port.command(client.port, bytes)
    client
  end

  def send_frame(client, payload), do: send_raw(client, <<byte_size(payload)::32, payload::binary>>)
  def ack(client, bytes), do: send_frame(client, <<?a, bytes::32>>)
  def stop(client), do: send_frame(client, "s")
  def discard(client), do: send_frame(client, "d")

  @doc "The next frame as {tag, payload}, where all data is of O or E; :eof; :timeout after so many milliseconds"
  def next(client, timeout \\ 30_000)

  def next(%{buffer: <<size::32, frame::binary-size(size), rest::binary>>} = client, _timeout) do
    <<tag::binary-1, payload::binary>> = frame
    # "o" and "e" are the same data, that need no acknowledgement yet.
    tag = if tag in ["o", "e"], do: String.upcase(tag), else: tag
    {{tag, payload}, %{client | buffer: rest}}
  end

  def next(%{port: port} = client, timeout) do
    receive do
      {^port, {:data, data}} -> next(%{client | buffer: client.buffer <> data}, timeout)
      {^port, :eof} -> {:eof, client}
    after
      timeout -> {:timeout, client}
    end
  end

  @doc "All frames up to the last, each data frame acknowledged"
  def all(client, frames \\ []) do
    case next(client) do
      {{tag, payload} = frame, client} when tag in ["O", "E"] ->
        all(ack(client, byte_size(payload)), [frame | frames])

      {{"X", _payload} = frame, client} ->
        {Enum.reverse([frame | frames]), client}

      {{_tag, _payload} = frame, client} ->
        all(client, [frame | frames])

      {:eof, client} ->
        {Enum.reverse([:eof | frames]), client}
    end
  end

  @doc "The bytes of one stream in these frames"
  def bytes(frames, tag), do: for({^tag, payload} <- frames, into: "", do: payload)

  def close(client) do
    Port.close(client.port)
  rescue
    ArgumentError -> true
  end
end
