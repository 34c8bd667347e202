# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Cgroup.Delegation do
  @moduledoc false
  # What `cgroup_base: :auto` stands for: a cgroup below which this VM may make others.
  #
  # One that the application's environment names is taken as it is. Else it is one below the cgroup that the VM is in, if
  # that was delegated to it. Controllers can be enabled for what is below a cgroup only when the cgroup itself holds no
  # process (cgroup-v2.rst, "No Internal Process Constraint"). So the VM, and what else is in its cgroup, moves to a leaf
  # first, as systemd's documentation of delegation asks (https://systemd.io/CGROUP_DELEGATION):
  #
  #     its cgroup            no process any more
  #     ├── muontrap.vm       the VM, and what was beside it
  #     └── muontrap          the base
  #         └── 3f0c5a9be1d7  a program

  alias MuonTrap.Cgroup.Mount
  alias MuonTrap.{Cgroup, Error, Helper}

  @leaf "muontrap.vm"
  @base "muontrap"
  # How often what others fork meanwhile is moved too.
  @rounds 100

  @doc """
  The base's path

  When it is below the VM's own cgroup, the VM is in the leaf by then.
  """
  @spec base() :: {:ok, String.t()} | {:error, Error.t()}
  def base() do
    case Application.get_env(:muontrap, :cgroup_base) do
      nil -> own_base()
      named -> named_base(named)
    end
  end

  defp named_base(path) do
    if Cgroup.path?(path) do
      {:ok, path}
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

  defp own_base() do
    with {:ok, mount} <- mount(), {:ok, path} <- own(mount) do
      if path == "" and root?(mount), do: below_root(mount), else: below_own(mount, path)
    end
  end

  defp mount() do
    with {:error, reason} <- Mount.find() do
      {:error,
       %Error{
         stage: :cgroup,
         reason: reason,
         message:
           "cgroup_base: :auto found no cgroup2 file system in /proc/self/mountinfo: mount it " <>
             "(`sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup`), or boot with systemd.unified_cgroup_hierarchy=1"
       }}
    end
  end

  # cgroups(7): the second version's line is the one with the number 0 and no controller.
  defp own(mount) do
    with {:ok, text} <- File.read("/proc/self/cgroup"),
         [_all, cgroup] <- Regex.run(~r/^0::(.*)$/m, text),
         {:ok, path} <- Mount.relative(mount, cgroup) do
      {:ok, path}
    else
      _none -> {:error, none(:enoent, "the VM's own is not below #{mount.point}", mount)}
    end
  end

  # The root of the whole tree, which may hold processes beside those that are below it. It alone lacks that file.
  defp root?(mount), do: not File.exists?(Path.join(mount.point, "cgroup.events"))

  defp below_root(mount) do
    case make(Path.join(mount.point, @base)) do
      :ok -> {:ok, @base}
      {:error, reason, what} -> {:error, none(reason, "the VM's own is the root, and it #{what}", mount)}
    end
  end

  defp below_own(mount, path) do
    path = if Path.basename(path) == @leaf, do: parent(path), else: path
    directory = Path.join(mount.point, path)

    with :ok <- settled_or_settle(mount, path, directory),
         :ok <- make(Path.join(directory, @base)) do
      {:ok, Path.join(path, @base)}
    else
      {:error, reason, what} -> {:error, none(reason, "the VM's own is #{directory}, and it #{what}", mount)}
    end
  end

  defp parent(path), do: path |> String.replace_suffix(@leaf, "") |> String.trim_trailing("/")

  # The lock is for callers at the same time. Of the VM's own processes on this node alone, so no message leaves it.
  defp settled_or_settle(mount, path, directory) do
    if settled?(mount, path, directory) do
      :ok
    else
      :global.trans(
        {{__MODULE__, directory}, self()},
        fn ->
          if settled?(mount, path, directory), do: :ok, else: settle(path, directory)
        end,
        [node()]
      )
    end
  end

  defp settled?(mount, path, directory) do
    own(mount) == {:ok, Path.join(path, @leaf)} and File.read(procs(directory)) == {:ok, ""}
  end

  defp settle(path, directory) do
    with :ok <- delegated(path),
         :ok <- make(Path.join(directory, @leaf)),
         do: move(directory, @rounds)
  end

  # Where systemd is in charge (sd_booted(3)) and says that the VM's unit is not delegated, it is not, even though root
  # may write anywhere. A session's scope, for one, holds the login's other processes too.
  defp delegated(path) do
    with true <- File.dir?("/run/systemd/system"),
         {whose, unit} <- unit(path),
         systemctl when systemctl != nil <- System.find_executable("systemctl"),
         manager = if(whose == :user, do: ["--user"], else: []),
         {"no\n", 0} <- Helper.run(systemctl, manager ++ ["show", "--property=Delegate", "--value", "--", unit]) do
      {:error, :eperm, "is not delegated to the VM: systemd has Delegate=no for the unit #{unit}"}
    else
      _may_be -> :ok
    end
  end

  @doc """
  The systemd unit that a cgroup is of, and whether it is the system's or a user's manager that is in charge of it

      iex> MuonTrap.Cgroup.Delegation.unit("system.slice/my.service/muontrap.vm")
      {:system, "my.service"}
  """
  @spec unit(String.t()) :: {:system | :user, String.t()} | nil
  def unit(path) do
    names = String.split(path, "/")

    case names |> Enum.filter(&String.ends_with?(&1, [".service", ".scope"])) |> List.pop_at(-1) do
      {nil, []} -> nil
      {unit, above} -> {if(Enum.any?(above, &String.starts_with?(&1, "user@")), do: :user, else: :system), unit}
    end
  end

  defp make(directory) do
    case File.mkdir(directory) do
      :ok -> :ok
      {:error, :eexist} -> :ok
      {:error, reason} -> {:error, reason, "cannot make #{directory}: #{:file.format_error(reason)}"}
    end
  end

  defp procs(directory), do: Path.join(directory, "cgroup.procs")

  # The VM itself comes last, so that it is in the leaf only when the others are.
  defp move(directory, 0),
    do: {:error, :ebusy, "doesn't get empty: other processes keep appearing in #{procs(directory)}"}

  defp move(directory, rounds) do
    case File.read(procs(directory)) do
      {:ok, ""} ->
        :ok

      {:ok, text} ->
        {own, others} = text |> String.split() |> Enum.split_with(&(&1 == System.pid()))
        with :ok <- move_each(others ++ own, procs(Path.join(directory, @leaf))), do: move(directory, rounds - 1)

      {:error, reason} ->
        {:error, reason, "cannot read #{procs(directory)}: #{:file.format_error(reason)}"}
    end
  end

  defp move_each(pids, target) do
    Enum.find_value(pids, :ok, fn pid ->
      case File.write(target, pid) do
        :ok -> nil
        # It has ended.
        {:error, :esrch} -> nil
        {:error, reason} -> {:error, reason, "cannot move process #{pid} to #{target}: #{:file.format_error(reason)}"}
      end
    end)
  end

  defp none(reason, why, mount) do
    %Error{
      stage: :cgroup,
      reason: reason,
      message:
        "cgroup_base: :auto found no cgroup that this VM may use: config :muontrap, cgroup_base: names none; #{why}. " <>
          "Start the VM in a delegated one (`systemd-run --user --scope -p Delegate=yes iex -S mix`, in a service's unit " <>
          "file Delegate=yes), or make one and move the VM there (`sudo cgcreate -a $(id -un) -t $(id -un) " <>
          "-g memory,cpu,pids:NAME`, then `echo #{System.pid()} | sudo tee #{mount.point}/NAME/cgroup.procs`). An " <>
          "ordinary user's VM has to be inside of it, because the kernel lets that user start a program only in a cgroup " <>
          "that has an ancestor in common with the VM's whose cgroup.procs that user may write"
    }
  end
end
