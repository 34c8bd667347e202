# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: CC0-1.0

defmodule MuonTrap.MixProject do
  use Mix.Project

  @version "2.0.0"

  def project do
    [
      app: :muontrap,
      version: @version,
      elixir: "~> 1.14",
      elixirc_paths: elixirc_paths(Mix.env()),
      compilers: [:muontrap_helper | Mix.compilers()],
      start_permanent: Mix.env() == :prod,
      deps: [],
      description: "Keep programs launched from Erlang and Elixir contained and well-behaved",
      package: package(),
      docs: docs(),
      test_coverage: test_coverage()
    ]
  end

  # For mix test.coverage, which fails when less than 90 percent of all lines were run; make coverage counts them.
  defp test_coverage do
    [
      summary: [threshold: 90],
      output: "build/coverage/lines",
      ignore_modules: [~r/\bMuonTrap\.(Test|Torture|Soak)\b/]
    ]
  end

  def application do
    [
      mod: {MuonTrap.Application, []},
      # Where there is telemetry it is started before and stopped after.
      extra_applications: [:logger, {:telemetry, :optional} | applications_for(Mix.env())]
    ]
  end

  # The tests compare checksums.
  defp applications_for(:test), do: [:crypto]
  defp applications_for(_env), do: []

  defp elixirc_paths(:test), do: ["lib", "test/support", "test/torture", "test/soak"]
  defp elixirc_paths(_env), do: ["lib"]

  # For ExDoc, where whoever publishes the package has it.
  defp docs do
    [
      main: "readme",
      source_ref: "v#{@version}",
      extras:
        ["README.md", "CHANGELOG.md", "SECURITY.md"] ++
          guides() ++ moves() ++ ["docs/architecture.md", "docs/protocol.md"],
      groups_for_extras: [Guides: guides(), "From other libraries": moves()],
      groups_for_modules: [
        "Running programs": [MuonTrap, MuonTrap.Program, MuonTrap.Daemon],
        Errors: [MuonTrap.Error, MuonTrap.ExitError]
      ],
      assets: %{"docs/benchmarks" => "benchmarks", "docs/reliability" => "reliability"}
    ]
  end

  defp guides do
    names = ~w(options daemon talking restarts servers cluster users cgroups telemetry top shell erlang building limits
         benchmarks reliability matrix)

    for name <- names, do: "docs/#{name}.md"
  end

  defp moves, do: for(name <- ~w(system-cmd muontrap-1 erlexec exile), do: "docs/from-#{name}.md")

  defp package do
    [
      files: [
        "c_src",
        "docs",
        "lib",
        "priv",
        "src",
        "CHANGELOG.md",
        "LICENSES",
        "Makefile",
        "README.md",
        "REUSE.toml",
        "SECURITY.md",
        "mix.exs",
        "rebar.config"
      ],
      licenses: ["Apache-2.0", "CC0-1.0", "CC-BY-4.0"],
      links: %{}
    ]
  end
end

defmodule Mix.Tasks.Compile.MuontrapHelper do
  @moduledoc false
  # Builds the helper with make and puts it into the application's priv, beside what stands in the source's.
  #
  # Mix makes the application's priv a symbolic link to the source's. A helper built into that would be shared by all
  # environments and targets, and a cross build would overwrite the host's. So the link gives way to a directory with
  # copies of the source's entries, and the helper.

  use Mix.Task.Compiler

  @impl Mix.Task.Compiler
  def run(_args) do
    app = Mix.Project.app_path()
    build = Path.join(app, "obj")
    helper = Path.join(build, "muontrap")
    installed = Path.join([app, "priv", "muontrap"])

    own_priv!(Path.join(app, "priv"))
    # The last build's at once, so that what runs meanwhile in this environment has a helper while make looks.
    if File.exists?(helper), do: install!(helper, installed)
    before = stamp(helper)
    make!(build)
    install!(helper, installed)
    {if(stamp(helper) == before, do: :noop, else: :ok), []}
  end

  @impl Mix.Task.Compiler
  def clean do
    File.rm_rf!(Path.join(Mix.Project.app_path(), "obj"))
    File.rm_rf!(Path.join(Mix.Project.app_path(), "priv"))
  end

  defp own_priv!(priv) do
    if match?({:ok, _target}, File.read_link(priv)), do: File.rm!(priv)
    File.mkdir_p!(priv)

    for source <- Path.wildcard("priv/**"), File.regular?(source) do
      target = Path.join(priv, Path.relative_to(source, "priv"))

      unless File.read(target) == File.read(source) do
        File.mkdir_p!(Path.dirname(target))
        File.rm(target)
        File.cp!(source, target)
      end
    end
  end

  # A rename, because the old helper may be running, and one who starts it sees the old or the new.
  defp install!(helper, installed) do
    unless stamp(helper) == stamp(installed) do
      File.cp!(helper, installed <> ".new")
      File.touch!(installed <> ".new", elem(stamp(helper), 0))
      File.rename!(installed <> ".new", installed)
    end
  end

  defp link!(source, link) do
    unless File.read_link(link) == {:ok, source} do
      File.rm(link)
      File.ln_s!(source, link)
    end
  end

  defp stamp(path) do
    case File.stat(path, time: :posix) do
      {:ok, stat} -> {stat.mtime, stat.size}
      {:error, reason} -> reason
    end
  end

  # In the build directory, on links to the sources: all names are short and relative then, for make can't do with spaces
  # in one. And not as a part of the make that may have started mix.
  defp make!(build) do
    make = System.find_executable("gmake") || System.find_executable("make")

    make ||
      Mix.raise("MuonTrap builds its helper, a C program, with make, and there is no make in the PATH: install it")

    File.mkdir_p!(build)
    for source <- ["c_src", "Makefile", "mix.exs"], do: link!(Path.expand(source), Path.join(build, source))
    apart = for name <- ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"], do: {name, nil}

    case System.cmd(make, ["--silent", "BUILD=."], cd: build, env: apart, stderr_to_stdout: true) do
      {"", 0} ->
        :ok

      {output, 0} ->
        Mix.shell().info(output)

      {output, status} ->
        Mix.raise("""
        MuonTrap's helper could not be built: #{make} left with status #{status}. It needs a C compiler (CC) and the
        C library's headers, and is static where musl-gcc is there. What make said:

        #{output}
        """)
    end
  end
end
