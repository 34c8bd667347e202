# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Machine do
  @moduledoc false
  # What the figures come from, in words. No name and no path of the machine is told.

  # For each of a thousand daemons and ports the VM has a few.
  @descriptors 8192

  def describe() do
    "#{cpus()}, #{memory()} of memory, Linux #{kernel()}, #{system()}, Elixir #{System.version()} on OTP " <>
      "#{System.otp_release()}, MuonTrap #{Application.spec(:muontrap, :vsn)} with a #{helper()} helper"
  end

  # The load before anything is measured; on an idle machine it is near 0.
  def load(), do: "/proc/loadavg" |> File.read!() |> String.split() |> hd()

  # Fails in words where thousands of programs can't be run at once.
  def check_limits!() do
    [limit] = Regex.run(~r/^Max open files +(\d+|unlimited)/m, File.read!("/proc/self/limits"), capture: :all_but_first)

    if limit != "unlimited" and String.to_integer(limit) < @descriptors do
      raise "the benchmark runs 2,000 programs at once, which takes #{@descriptors} file descriptors, and this process may " <>
              "have #{limit}: have `ulimit -Hn` allow more (limits.conf(5), or LimitNOFILE= of systemd.exec(5))"
    end
  end

  defp cpus() do
    [_line, model] =
      Regex.run(~r/^model name\s*: (.*)$/m, File.read!("/proc/cpuinfo")) || ["", "a processor of unknown model"]

    "#{System.schedulers_online()} processors (#{model})"
  end

  defp memory() do
    [_line, kilobytes] = Regex.run(~r/^MemTotal: +(\d+) kB/m, File.read!("/proc/meminfo"))
    "#{round(String.to_integer(kilobytes) / 1_048_576)} GiB"
  end

  defp kernel() do
    [version] = Regex.run(~r/^\d+\.\d+/, File.read!("/proc/sys/kernel/osrelease"))
    version
  end

  defp system() do
    [_line, name] = Regex.run(~r/^PRETTY_NAME="?([^"\n]*)/m, File.read!("/etc/os-release"))
    name
  end

  defp helper(), do: if(File.read!(MuonTrap.muontrap_path()) =~ "ld-linux", do: "dynamic", else: "static")
end
