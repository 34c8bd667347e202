# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Telemetry do
  @moduledoc false
  # The library :telemetry as far as MuonTrap and its handlers see it. It is there only between install/0 and remove/0, and only
  # in memory, so that other tests run as without it.

  @table __MODULE__

  # As there: a handler runs in the process that executes the event, and one that raises is detached.
  @code (quote do
           def attach(id, event, function, config), do: attach_many(id, [event], function, config)

           def attach_many(id, events, function, config) do
             if :ets.insert_new(unquote(@table), {id, events, function, config}),
               do: :ok,
               else: {:error, :already_exists}
           end

           def detach(id) do
             if :ets.take(unquote(@table), id) == [], do: {:error, :not_found}, else: :ok
           end

           def execute(event, measurements, metadata) when is_map(measurements) and is_map(metadata) do
             # The test that has wanted it may be over.
             handlers = if :ets.whereis(unquote(@table)) == :undefined, do: [], else: :ets.tab2list(unquote(@table))

             for {id, events, function, config} <- handlers, event in events do
               try do
                 function.(event, measurements, metadata, config)
               catch
                 _kind, _reason -> detach(id)
               end
             end

             :ok
           end
         end)

  @doc "Have the library, by a process that owns its table: the calling one"
  def install() do
    :ets.new(@table, [:named_table, :public])
    {:module, :telemetry, _code, _last} = Module.create(:telemetry, @code, Macro.Env.location(__ENV__))
    :ok
  end

  @doc "Have it no more"
  def remove() do
    :code.delete(:telemetry)
    :code.purge(:telemetry)
    :ok
  end

  @doc "Send the calling process each event of programs as {:event, name, measurements, metadata, emitter}"
  def attach() do
    events = for name <- [:start, :stop, :exception], do: [:muontrap, :program, name]
    :ok = apply(:telemetry, :attach_many, [self(), events, &__MODULE__.tell/4, self()])
  end

  @doc false
  def tell([:muontrap, :program, name], measurements, metadata, test),
    do: send(test, {:event, name, measurements, metadata, self()})
end
