# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Cgroup.Mount do
  @moduledoc false
  # Where the cgroup2 file system is mounted, which proc(5) tells in /proc/self/mountinfo. Usually that is
  # /sys/fs/cgroup, and /sys/fs/cgroup/unified where the first version is mounted beside it.

  @typedoc """
  The directory, and which cgroup it is: `"/"` unless only a part of the tree is mounted there
  """
  @type t :: %{point: String.t(), root: String.t()}

  @doc """
  The first such mount, which is the helper's too

  `{:error, :enodev}` when there is none.
  """
  @spec find() :: {:ok, t()} | {:error, File.posix()}
  def find() do
    with {:ok, mountinfo} <- File.read("/proc/self/mountinfo"), do: parse(mountinfo)
  end

  @doc """
  The same in a text like that of /proc/self/mountinfo
  """
  @spec parse(String.t()) :: {:ok, t()} | {:error, :enodev}
  def parse(mountinfo) do
    mountinfo
    |> String.split("\n")
    |> Enum.find_value({:error, :enodev}, &mount/1)
  end

  # "31 23 0:28 /root /point options [optional fields] - type source options", and what would separate fields is escaped.
  defp mount(line) do
    with [left, right] <- String.split(line, " - ", parts: 2),
         ["cgroup2" | _rest] <- String.split(right, " "),
         [_id, _parent, _device, root, point | _rest] <- String.split(left, " ") do
      {:ok, %{point: unescape(point), root: unescape(root)}}
    else
      _another -> nil
    end
  end

  defp unescape(name),
    do: Regex.replace(~r/\\([0-3][0-7]{2})/, name, fn _all, octal -> <<String.to_integer(octal, 8)>> end)

  @doc """
  The path below the mount of a cgroup that is told as in /proc/self/cgroup, `""` for what is mounted itself

  `:error` when it is not below.
  """
  @spec relative(t(), String.t()) :: {:ok, String.t()} | :error
  def relative(%{root: root}, "/" <> _rest = cgroup) do
    root = String.trim_trailing(root, "/")

    cond do
      # A cgroup namespace tells so of what is outside of it (cgroup_namespaces(7)).
      String.starts_with?(cgroup, "/..") -> :error
      cgroup in [root, root <> "/"] -> {:ok, ""}
      String.starts_with?(cgroup, root <> "/") -> {:ok, String.replace_prefix(cgroup, root <> "/", "")}
      true -> :error
    end
  end
end
