# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Cgroups do
  @moduledoc false
  # Cgroups as the kernel's files and libcgroup's tools have them, without the library under test.
  #
  # The tests' cgroups are all below one, which MUONTRAP_TEST_CGROUP_BASE names. Root's tests make it themselves; an
  # ordinary user's VM has to be started inside of one that is delegated to that user.

  alias MuonTrap.Test.OS

  @doc "Where cgroup2 is mounted, nil when it isn't"
  def mount() do
    {targets, _status} = System.cmd("findmnt", ["--noheadings", "--output", "TARGET", "--types", "cgroup2"])
    targets |> String.split("\n", trim: true) |> List.first()
  end

  def base(), do: System.get_env("MUONTRAP_TEST_CGROUP_BASE", "muontrap_test")

  @doc "A cgroup's directory"
  def directory(path), do: Path.join(mount(), path)

  @doc "Whether this user may make cgroups, and the helper can"
  def core?() do
    mount() != nil and OS.linux_helper?() and OS.helper_says?("--group") and
      if(File.dir?(directory(base())), do: writable?(directory(base())), else: writable?(mount()))
  end

  @doc "Whether these controllers can be had in the tests' cgroups"
  def controllers?(names) do
    above = if core?(), do: Enum.find([directory(base()), mount()], &File.dir?/1)
    above != nil and names -- controllers(above) == []
  end

  @doc "Whether the kernel kills a cgroup by one write; its root has no file for that"
  def kill?() do
    probe = Path.join(if(File.dir?(directory(base())), do: directory(base()), else: mount()), OS.mark())
    File.mkdir!(probe)
    there = File.exists?(Path.join(probe, "cgroup.kill"))
    File.rmdir!(probe)
    there
  end

  def controllers(directory), do: directory |> Path.join("cgroup.controllers") |> File.read!() |> String.split()

  defp writable?(directory) do
    probe = Path.join(directory, OS.mark())
    File.mkdir(probe) == :ok and File.rmdir(probe) == :ok
  end

  @doc "A cgroup for one test to have its own below, which needn't exist"
  def new_base(), do: "#{base()}/#{OS.mark()}"

  @doc "Make a cgroup, and those above it"
  def make!(path), do: File.mkdir_p!(directory(path))

  def exists?(path), do: File.dir?(directory(path))

  @doc "The cgroups in that one, as names"
  def children(path) do
    case File.ls(directory(path)) do
      {:ok, names} -> Enum.filter(names, &File.dir?(Path.join(directory(path), &1)))
      {:error, :enoent} -> []
    end
  end

  def read!(path, file), do: directory(path) |> Path.join(file) |> File.read!() |> String.trim()
  def write!(path, file, value), do: directory(path) |> Path.join(file) |> File.write!(value)

  @doc "The processes in that one, and not in those below"
  def pids(path), do: path |> read!("cgroup.procs") |> String.split() |> Enum.map(&String.to_integer/1)

  @doc "The path of the cgroup that a process is in"
  def of(pid), do: path_in(File.read!("/proc/#{pid}/cgroup"))

  @doc "The paths of the cgroups that those of the processes are in that have not ended meanwhile, each once"
  def of_living(pids) do
    Enum.uniq(for pid <- pids, {:ok, text} <- [File.read("/proc/#{pid}/cgroup")], do: path_in(text))
  end

  defp path_in(text) do
    [_all, "/" <> path] = Regex.run(~r/^0::(.*)$/m, text)
    path
  end

  @doc "Kill what is in it and below, and remove it"
  def remove(path) do
    for child <- children(path), do: remove("#{path}/#{child}")

    if exists?(path) do
      OS.eventually(fn ->
        for pid <- pids(path), do: OS.kill(pid, "KILL")
        File.rmdir(directory(path)) in [:ok, {:error, :enoent}]
      end)
    end

    :ok
  end

  @doc "What libcgroup's cgget says of a file of it"
  def cgget!(path, file) do
    {text, 0} = System.cmd("cgget", ["-n", "-v", "-r", file, path])
    String.trim(text)
  end

  @doc "Whether libcgroup's lscgroup lists it"
  def listed?(path) do
    {text, 0} = System.cmd("lscgroup", [], stderr_to_stdout: true)
    text |> String.split("\n") |> Enum.any?(&String.ends_with?(&1, ":/" <> path))
  end

  @doc "A virtual machine without hardware's help takes many times as long, and a deadline there is a bound on hanging"
  def within(ms), do: if(File.dir?("/run/muontrap-vm"), do: 30 * ms, else: ms)
end
