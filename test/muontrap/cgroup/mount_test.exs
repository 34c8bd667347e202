# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Cgroup.MountTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Cgroup.Mount

  @pure """
  22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
  28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
  29 22 0:25 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
  """

  @hybrid """
  31 23 0:28 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:8 - tmpfs tmpfs ro,mode=755
  32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate
  33 31 0:30 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:10 - cgroup cgroup rw,xattr,name=systemd
  39 31 0:36 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,memory
  """

  @first_version """
  31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
  35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
  """

  defp find(mountinfo, hidden \\ []), do: Mount.choose(mountinfo, &(&1 not in hidden))

  test "is found wherever it is" do
    assert find(@pure) == {:ok, %{point: "/sys/fs/cgroup"}}
    assert find(@hybrid) == {:ok, %{point: "/sys/fs/cgroup/unified"}}
  end

  test "is the first of several, as the helper has it" do
    assert find(@hybrid <> @pure) == {:ok, %{point: "/sys/fs/cgroup/unified"}}
  end

  test "is the first of several that can be written, as the helper has it" do
    read_only = "40 22 0:25 / /mnt/a ro,relatime - cgroup2 cgroup2 rw\n41 22 0:25 / /mnt/b rw - cgroup2 cgroup2 ro\n"
    assert find(read_only <> @pure) == {:ok, %{point: "/sys/fs/cgroup"}}
    assert find(read_only) == {:ok, %{point: "/mnt/a"}}
  end

  test "is none that another hides" do
    assert find(@hybrid <> @pure, ["/sys/fs/cgroup/unified"]) == {:ok, %{point: "/sys/fs/cgroup"}}
    assert find(@pure, ["/sys/fs/cgroup"]) == {:error, :enodev}

    on_top = "41 29 0:25 /part /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
    assert find(@pure <> on_top) == {:ok, %{point: "/sys/fs/cgroup"}}
  end

  test "is not there where only the first version is mounted, or nothing, or something of that name" do
    assert find(@first_version) == {:error, :enodev}
    assert find("") == {:error, :enodev}
    assert find("29 22 0:25 / /mnt/cgroup2 rw - ext4 cgroup2 rw\n") == {:error, :enodev}
    assert find("no mountinfo\n - cgroup2\n") == {:error, :enodev}
  end

  test "may have blanks and backslashes in its name, and be a part of the tree" do
    line = ~S(29 22 0:25 /docker/4\0402 /mnt/a\040b\011c\134d\012 rw - cgroup2 none rw)
    assert find(line) == {:ok, %{point: "/mnt/a b\tc\\d\n"}}
  end
end
