# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Mix.Tasks.Muontrap.Top do
  @shortdoc "Shows what MuonTrap runs in a node, like top(1)"

  @moduledoc """
  Shows which programs MuonTrap runs in a running node, and what they use, in a live table like that of top(1)

      mix muontrap.top --node NAME@HOST [--cookie COOKIE] [--sort COLUMN] [--reverse] [--interval MS] [--filter WORDS] [--once]

  The keys are those of `MuonTrap.top/1`, without Enter; `h` shows them, and `q` ends it.

    * `--node` - the node. It has to have been started with a name, and to run MuonTrap in this version
    * `--cookie` - its cookie, if that isn't the one of ~/.erlang.cookie. Others on this machine can see it in the list of processes
    * `--sort` - pid, owner, state, age, cpu (as by default), time, memory, output, rate, processes, cgroup or command
    * `--reverse` - the other way round
    * `--interval` - milliseconds from one look to the next, 1000 by default
    * `--filter` - only programs that have these words in pid, owner, cgroup or command line
    * `--once`, `-b` - print all as text, once, and end. So it is, too, where standard output is no terminal

  This VM gets a name of its own for it, of the kind that the other one has, and is not listed among the other one's nodes. It
  exits with 1 when the node can't be reached or goes away.
  """

  use Mix.Task

  alias MuonTrap.Top

  @switches [
    node: :string,
    cookie: :string,
    sort: :string,
    reverse: :boolean,
    interval: :integer,
    filter: :string,
    once: :boolean
  ]

  # Characters that an atom can have.
  @name_most 255

  @impl Mix.Task
  def run(args) do
    opts = parse(args)
    {cookie, opts} = Keyword.pop(opts, :cookie)
    node = Keyword.fetch!(opts, :node)
    {:ok, _started} = Application.ensure_all_started(:muontrap)
    start_distribution(node)
    if cookie, do: Node.set_cookie(node, String.to_atom(cookie))

    with {:error, message} <- Top.run(opts, :keys), do: Mix.raise(message)
  end

  defp parse(args) do
    case OptionParser.parse(args, strict: @switches, aliases: [b: :once]) do
      {opts, [], []} -> opts |> take_node() |> sort() |> check()
      {_opts, [word | _more], []} -> usage("#{inspect(word)} is no option")
      {_opts, _rest, [{switch, nil} | _more]} -> usage("#{switch} is unknown, or lacks its value")
      {_opts, _rest, [{switch, value} | _more]} -> usage("#{switch} can't be #{inspect(value)}")
    end
  rescue
    error in ArgumentError -> usage(Exception.message(error))
  end

  defp take_node(opts) do
    {name, opts} = Keyword.pop(opts, :node, "")

    if name =~ ~r/\A[^@]+@[^@]+\z/ and String.length(name) <= @name_most,
      do: [node: String.to_atom(name)] ++ opts,
      else: usage("it takes the node's name: --node NAME@HOST (`epmd -names` lists the names on this machine)")
  end

  defp check(opts) do
    {cookie, others} = Keyword.split(opts, [:cookie])
    cookie ++ Top.options!(others)
  end

  # Of the columns' names, so that no atom is made of what is typed.
  defp sort(opts) do
    Keyword.new(opts, fn
      {:sort, name} -> {:sort, Enum.find(Top.View.names(), name, &(Atom.to_string(&1) == name))}
      other -> other
    end)
  end

  @spec usage(String.t()) :: no_return()
  defp usage(why), do: Mix.raise("#{why}\n\nmix help muontrap.top says more")

  # A name that nobody else has. The host is the other one's, as far as that needs to be the same kind of name: nobody connects to
  # us, so it isn't looked up, and epmd isn't told.
  defp start_distribution(node) do
    unless Node.alive?() do
      [_name, host] = node |> Atom.to_string() |> String.split("@")
      domain = if host =~ ".", do: :longnames, else: :shortnames
      {:ok, here} = :inet.gethostname()
      name = String.to_atom("muontrap_top-#{here}-#{System.pid()}@#{host}")

      with {:error, reason} <- :net_kernel.start(name, %{name_domain: domain, dist_listen: false, hidden: true}) do
        Mix.raise("this VM could not be given the name #{name}, which it takes to reach #{node}: #{inspect(reason)}")
      end
    end
  end
end
