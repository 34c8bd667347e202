# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.BuildTest do
  # What mix compile makes, in projects of their own.
  use ExUnit.Case, async: true

  @moduletag :tmp_dir
  # What they build is built as they say, whatever helper the tests are run with.
  @moduletag :builds
  # Each compiles the project, some of them several times, beside other tests.
  @moduletag timeout: 900_000
  @root File.cwd!()

  defp mix!(args, dir, env \\ []) do
    clean = for name <- ["MIX_BUILD_PATH", "MIX_TARGET", "CC", "CFLAGS", "CROSSCOMPILE", "PORTABLE"], do: {name, nil}
    env = clean ++ [{"MIX_ENV", "dev"}] ++ env
    {output, status} = System.cmd("mix", args, cd: dir, env: env, stderr_to_stdout: true)
    assert status == 0, output
    output
  end

  # A copy of what git has or would have, as a clone is.
  defp copy(dir) do
    source = Path.join(dir, "muon trap")
    File.mkdir_p!(source)

    for entry <- ["c_src", "lib", "priv", "src", "Makefile", "mix.exs", "README.md"],
        File.exists?(Path.join(@root, entry)),
        do: File.cp_r!(Path.join(@root, entry), Path.join(source, entry))

    source
  end

  # One that has been compiled, in an environment as mix has by itself: once for all tests that begin with that.
  setup_all do
    dir = Path.expand("tmp/#{inspect(__MODULE__)}/compiled")
    File.rm_rf!(dir)
    source = copy(dir)
    # ExUnit sets no limit to what is done here.
    Task.await(Task.async(fn -> mix!(["compile"], source) end), 900_000)
    %{compiled: source}
  end

  # With the times of its files, by which make knows that there is nothing to do, and mix, too, where it doesn't compile
  # anew what has been moved.
  defp copy_compiled(compiled, dir) do
    {_output, 0} = System.cmd("cp", ["-a", compiled, dir])
    source = Path.join(dir, Path.basename(compiled))
    mix!(["compile"], source)
    source
  end

  test "the package has what it takes to build it, and the documentation every guide" do
    config = Mix.Project.config()
    files = config[:package][:files]
    extras = config[:docs][:extras]
    for file <- files ++ extras, do: assert(File.exists?(file), file)
    assert Path.wildcard("docs/*.md") -- extras == []

    for {_group, modules} <- config[:docs][:groups_for_modules],
        module <- modules,
        do: assert(Code.ensure_loaded?(module))

    for entry <- ["c_src", "lib", "src", "priv", "Makefile", "mix.exs"], do: assert(entry in files)
  end

  defp project(dir, dep, more \\ "") do
    app = Path.join(dir, "an app's")
    File.mkdir_p!(Path.join(app, "lib"))

    File.write!(Path.join(app, "mix.exs"), """
    defmodule App.MixProject do
      use Mix.Project
      def project(), do: [app: :app, version: "0.1.0", deps: [#{dep}]#{more}]
      def application(), do: [extra_applications: [:logger]]
    end
    """)

    app
  end

  @hello ~S|IO.inspect(MuonTrap.cmd("echo", ["hello"]))|

  test "a project with the library as a path dependency runs programs", %{tmp_dir: dir} do
    source = copy(dir)
    app = project(dir, ~s({:muontrap, path: #{inspect(source)}}))
    assert mix!(["run", "-e", @hello], app) =~ ~S({"hello\n", 0})
    # Nothing has been written into the library's own directory.
    assert Enum.sort(File.ls!(source)) -- ["README.md"] == ["Makefile", "c_src", "lib", "mix.exs", "priv", "src"]
    refute File.exists?(Path.join(source, "priv/muontrap"))
  end

  test "a project with the library as a git dependency runs programs, also from a release", %{tmp_dir: dir} do
    source = copy(dir)
    git = fn args -> {_output, 0} = System.cmd("git", args, cd: source, stderr_to_stdout: true) end
    git.(["init", "-q"])
    git.(["add", "."])
    git.(["-c", "user.name=Test", "-c", "user.email=test@localhost", "commit", "-qm", "All"])
    app = project(dir, ~s({:muontrap, git: #{inspect("file://" <> source)}}))
    mix!(["deps.get"], app)
    assert mix!(["run", "-e", @hello], app) =~ ~S({"hello\n", 0})

    mix!(["release", "--quiet"], app, [{"MIX_ENV", "prod"}])
    release = Path.join(app, "_build/prod/rel/app/bin/app")
    {output, 0} = System.cmd(release, ["eval", @hello], stderr_to_stdout: true)
    assert output =~ ~S({"hello\n", 0})
  end

  @main ~S"""
  defmodule App do
    def main(_args), do: IO.puts(:stdio, outcome())

    def outcome() do
      inspect(MuonTrap.cmd("echo", ["hello"]))
    rescue
      error in MuonTrap.Error -> Exception.message(error)
    end
  end
  """

  test "an escript says that the helper can't be in it, and runs programs with one that is installed", %{tmp_dir: dir} do
    source = copy(dir)
    app = project(dir, ~s({:muontrap, path: #{inspect(source)}}), ~s(, escript: [main_module: App]))
    File.write!(Path.join(app, "lib/app.ex"), @main)
    mix!(["escript.build"], app)
    {said, 0} = System.cmd(Path.join(app, "app"), [], stderr_to_stdout: true)
    assert_says_what_to_do(said)

    helper = Path.join(dir, "muontrap")
    File.cp!(Path.join(app, "_build/dev/lib/muontrap/priv/muontrap"), helper)
    File.mkdir_p!(Path.join(app, "config"))

    File.write!(Path.join(app, "config/config.exs"), """
    import Config
    config :muontrap, helper_path: #{inspect(Path.expand(helper))}
    """)

    mix!(["escript.build"], app)
    assert {~S({"hello\n", 0}) <> _, 0} = System.cmd(Path.join(app, "app"), [], stderr_to_stdout: true)
  end

  test "an archive says that the helper in it can't be executed", %{tmp_dir: dir, compiled: compiled} do
    source = copy_compiled(compiled, dir)
    archive = Path.expand(Path.join(dir, "muontrap.ez"))
    mix!(["archive.build", "-o", archive], source)

    [ebin] =
      for {:zip_file, name, _, _, _, _} <- elem(:zip.list_dir(to_charlist(archive)), 1),
          Path.basename(name) == "muontrap.app",
          do: Path.dirname(name)

    code = ~S|try do MuonTrap.cmd("echo", []) rescue e in MuonTrap.Error -> IO.puts(Exception.message(e)) end|
    {said, 0} = System.cmd("elixir", ["-pa", Path.join(archive, ebin), "-e", code], stderr_to_stdout: true)
    assert_says_what_to_do(said)
  end

  defp assert_says_what_to_do(said) do
    assert said =~ "escript or an archive"
    assert said =~ "helper_path"
    assert said =~ "release"
    refute said =~ "deps.compile"
  end

  test "a cross build never mixes with the build for the host", %{tmp_dir: dir, compiled: compiled} do
    source = copy_compiled(compiled, dir)
    # Not a real cross compiler, which a machine need not have: one whose output can be told.
    tools = Path.join(dir, "tools")
    File.mkdir_p!(tools)
    gcc = Path.join(tools, "other-gcc")
    File.write!(gcc, "#!/bin/sh\nexec cc \"$@\" -DOTHER_TARGET -Wl,--build-id=0xabcdef0123\n")
    File.chmod!(gcc, 0o755)
    priv = fn build -> Path.join([source, "_build", build, "lib/muontrap/priv/muontrap"]) end

    host = File.read!(priv.("dev"))
    mix!(["compile"], source, [{"MIX_TARGET", "other"}, {"CROSSCOMPILE", Path.join(tools, "other")}])
    other = File.read!(priv.("other_dev"))

    assert File.read!(priv.("dev")) == host
    assert other =~ <<0xAB, 0xCD, 0xEF, 0x01, 0x23>>
    refute host =~ <<0xAB, 0xCD, 0xEF, 0x01, 0x23>>

    # And the other way round, with nothing to build.
    mix!(["compile"], source)
    assert File.read!(priv.("dev")) == host
    assert File.read!(priv.("other_dev")) == other
  end

  test "CC and CFLAGS are honoured, and a change of them builds anew", %{tmp_dir: dir, compiled: compiled} do
    source = copy_compiled(compiled, dir)
    helper = Path.join(source, "_build/dev/lib/muontrap/priv/muontrap")
    before = File.read!(helper)
    mix!(["compile"], source, [{"CC", "gcc"}, {"CFLAGS", "-O1 -g"}])
    refute File.read!(helper) == before
    mix!(["compile"], source)
    assert File.read!(helper) == before
  end

  test "what ships beside the helper is in the application's priv", %{tmp_dir: dir, compiled: compiled} do
    source = copy_compiled(compiled, dir)
    priv = Path.join(source, "_build/dev/lib/muontrap/priv")

    for file <- ["man/man1/muontrap.1", "completions/muontrap.bash", "completions/_muontrap"],
        do: assert(File.regular?(Path.join(priv, file)))

    # A compile with nothing to do leaves the helper as it is.
    before = File.stat!(Path.join(priv, "muontrap"))
    mix!(["compile"], source)
    assert File.stat!(Path.join(priv, "muontrap")).mtime == before.mtime

    mix!(["clean"], source)
    refute File.exists?(Path.join(priv, "muontrap"))
  end

  test "a compiler that fails is told of with what it said", %{tmp_dir: dir} do
    source = copy(dir)
    File.write!(Path.join(source, "c_src/main.c"), "#error broken on purpose\n", [:append])
    env = [{"MIX_ENV", "dev"}, {"MIX_BUILD_PATH", nil}]
    {output, status} = System.cmd("mix", ["compile"], cd: source, env: env, stderr_to_stdout: true)
    assert status != 0
    assert output =~ "broken on purpose"
    assert output =~ "helper could not be built"
  end
end
