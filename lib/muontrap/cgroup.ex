# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Cgroup do
  @moduledoc false
  # A program's cgroup as the library sees it: its path, and the files in its directory. Making, limiting, killing and
  # removing it is the helper's.
  #
  # Paths are relative to the mount of the cgroup2 file system, as the helper's are.

  alias MuonTrap.Cgroup.Mount
  alias MuonTrap.Error

  @doc """
  Whether it is the path of a cgroup: names with single slashes between them, none of which leads upwards
  """
  @spec path?(term()) :: boolean()
  def path?(path) do
    is_binary(path) and not String.contains?(path, <<0>>) and
      path |> String.split("/") |> Enum.all?(&(&1 not in ["", ".", ".."]))
  end

  @doc """
  Whether it is the name of a file that a cgroup's directory may have, which never leads out of it
  """
  @spec file_name?(term()) :: boolean()
  def file_name?(name), do: is_binary(name) and name =~ ~r/\A[a-z0-9_]+(\.[a-z0-9_]+)*\z/

  @doc """
  Turn the option `:cgroup_base`, if it is there, into a `:cgroup_path` that nobody else has

  `:auto` stands for the base that the application's environment names, else it becomes the path `:auto`: the helper finds
  one then, which it tells when the program has started.
  """
  @spec choose(map()) :: {:ok, map()} | {:error, Error.t()}
  def choose(%{cgroup_base: :auto} = options) do
    case Application.get_env(:muontrap, :cgroup_base) do
      nil -> {:ok, put_path(options, :auto)}
      named -> with :ok <- check_named(named), do: choose(%{options | cgroup_base: named})
    end
  end

  def choose(%{cgroup_base: base} = options), do: {:ok, put_path(options, "#{base}/#{fresh_name()}")}
  def choose(options), do: {:ok, options}

  defp put_path(options, path), do: options |> Map.delete(:cgroup_base) |> Map.put(:cgroup_path, path)

  defp check_named(path) do
    if path?(path) do
      :ok
    else
      {:error,
       %Error{
         stage: :cgroup,
         reason: :einval,
         message:
           "config :muontrap, cgroup_base: #{inspect(path)} names no cgroup: it must be a path below the mount of cgroup2, " <>
             ~s(such as "mycgroup", without leading slash, empty parts, "." and "..")
       }}
    end
  end

  @doc """
  The chosen path as the helper's arguments
  """
  @spec arguments(String.t() | :auto) :: [String.t()]
  def arguments(path), do: ["--group", to_string(path)]

  # Neither of the process's random numbers, which its user may have seeded, nor of the application :crypto, which a
  # release need not have. The rest is for a system without /dev/urandom.
  defp fresh_name() do
    noise = File.open("/dev/urandom", [:read, :raw], &:file.read(&1, 16))

    {noise, System.pid(), System.os_time(), make_ref()}
    |> :erlang.term_to_binary()
    |> :erlang.md5()
    |> binary_part(0, 6)
    |> Base.encode16(case: :lower)
  end

  @doc """
  What is in a file of the cgroup, without the newline at its end
  """
  @spec read(String.t(), String.t()) :: {:ok, String.t()} | {:error, File.posix()}
  def read(path, name) do
    with {:ok, directory} <- directory(path), do: read_file(directory, name)
  end

  @doc """
  Write to a file of the cgroup, in one write(2) as the kernel wants it
  """
  @spec write(String.t(), String.t(), String.t()) :: :ok | {:error, File.posix()}
  def write(path, name, value) do
    # Opened for writing, a file that is missing would be one that may not be made: :eacces.
    with {:ok, directory} <- directory(path),
         {:ok, file} <- file(directory, name),
         {:ok, _stat} <- File.stat(file),
         do: File.write(file, value)
  end

  @doc """
  The cgroups above that have a limit of memory, the nearest first, each with what is in its file memory.max

  `""` stands for the one that is mounted, where that has a limit, too: in a container.
  """
  @spec memory_limits_above(String.t()) :: [{String.t(), String.t()}]
  def memory_limits_above(path) do
    parts = String.split(path, "/")

    for count <- (length(parts) - 1)..0//-1,
        above = parts |> Enum.take(count) |> Enum.join("/"),
        {:ok, limit} <- [read(above, "memory.max")],
        limit != "max" do
      {above, limit}
    end
  end

  @doc """
  What the function makes of each of these files' texts, without the files that can't be read
  """
  @spec read_all(String.t(), [{key, String.t(), kind}], (kind, String.t() -> {:ok, term()} | :error)) :: %{
          key => term()
        }
        when key: term(), kind: term()
  def read_all(path, files, parse) do
    for {:ok, directory} <- [directory(path)],
        {key, name, kind} <- files,
        {:ok, text} <- [read_file(directory, name)],
        {:ok, value} <- [parse.(kind, text)],
        into: %{} do
      {key, value}
    end
  end

  # The kernel makes up the list of mounts anew with each reading, which takes longer than reading one of a cgroup's files.
  # So this is done once for all files of a call.
  defp directory(path) do
    with {:ok, mount} <- Mount.find(), do: {:ok, Path.join(mount.point, path)}
  end

  defp read_file(directory, name) do
    with {:ok, file} <- file(directory, name),
         {:ok, text} <- File.read(file),
         do: {:ok, String.trim_trailing(text, "\n")}
  end

  defp file(directory, name), do: if(file_name?(name), do: {:ok, Path.join(directory, name)}, else: {:error, :einval})
end
