# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Cgroup.Mount do
  @moduledoc false
  # Where the cgroup2 file system is mounted, which proc(5) tells in /proc/self/mountinfo. Usually that is
  # /sys/fs/cgroup, and /sys/fs/cgroup/unified where the first version is mounted beside it.

  @typedoc """
  The directory
  """
  @type t :: %{point: String.t()}

  @doc """
  The first such mount that can be written, or else the first, which is the helper's too

  `{:error, :enodev}` when there is none.
  """
  @spec find() :: {:ok, t()} | {:error, File.posix()}
  def find() do
    with {:ok, mountinfo} <- File.read("/proc/self/mountinfo"), do: choose(mountinfo, &visible?/1)
  end

  # What is listed may be hidden by a later mount on the same place, or on one above.
  defp visible?(point), do: File.exists?(Path.join(point, "cgroup.controllers"))

  @doc """
  The same in a text like that of /proc/self/mountinfo, of the mount points for which the function is true
  """
  @spec choose(String.t(), (String.t() -> boolean())) :: {:ok, t()} | {:error, :enodev}
  def choose(mountinfo, visible?) do
    mounts = for line <- String.split(mountinfo, "\n"), mount = mount(line), visible?.(mount.point), do: mount
    # Of several on the same place it is the last that is seen.
    mounts = mounts |> Enum.reverse() |> Enum.uniq_by(& &1.point) |> Enum.reverse()

    case Enum.find(mounts, List.first(mounts), & &1.writable) do
      nil -> {:error, :enodev}
      mount -> {:ok, Map.delete(mount, :writable)}
    end
  end

  # "31 23 0:28 /root /point options [optional fields] - type source options", and what would separate fields is
  # escaped. Of the options the first are the mount's, the last the file system's.
  defp mount(line) do
    with [left, right] <- String.split(line, " - ", parts: 2),
         ["cgroup2", _source, theirs | _rest] <- String.split(right, " "),
         [_id, _parent, _device, _root, point, options | _rest] <- String.split(left, " ") do
      %{point: unescape(point), writable: Enum.all?([options, theirs], &writable?/1)}
    else
      _another -> nil
    end
  end

  defp writable?(options), do: "ro" not in String.split(options, ",")

  defp unescape(name),
    do: Regex.replace(~r/\\([0-3][0-7]{2})/, name, fn _all, octal -> <<String.to_integer(octal, 8)>> end)
end
