# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Plots do
  @moduledoc false
  # The plots of docs/benchmarks.md. gnuplot draws each by the script of its name in bench/plots, from lines of numbers,
  # and takes what they have in common from bench/plots/common.gp.

  alias Bench.Programs

  @scripts Path.join(__DIR__, "plots")
  @svgs "docs/benchmarks"

  # A comment may stand before the root element, not before the XML declaration.
  # REUSE-IgnoreStart
  @licence "<!--\nSPDX-FileCopyrightText: The MuonTrap contributors\nSPDX-License-Identifier: CC-BY-4.0\n-->\n"
  # REUSE-IgnoreEnd

  def write(figures) do
    File.mkdir_p!(@svgs)
    figures = Map.new(figures, &{&1.id, &1.values})
    for {name, rows} <- data(figures), do: draw(name, rows)
  end

  defp data(figures) do
    [
      launch:
        for {state, callers} <- [{"cold", 1}, {"warm", 1}, {"warm", 8}, {"warm", 64}] do
          median = launch(figures, state, callers, 50)
          late = launch(figures, state, callers, 99)
          label = "\"#{callers} #{if callers == 1, do: "caller", else: "callers"}, #{state}\""
          [label | Enum.flat_map([:posix_spawn, :port, :system_cmd, :muontrap], &[median[&1], late[&1]])]
        end,
      window: by(figures, :window, [1_024, 4_096, 10_240, 65_536, 262_144, 1_048_576], [:system_cmd, :port, :muontrap]),
      write: by(figures, :write, [64, 512, 4_096, 65_536, 1_048_576], [:system_cmd, :port, :muontrap]),
      stop:
        for size <- [1, 10, 100, 1_000, 5_000, 10_000] do
          values = figures[{:stop, size}] || figures[:"stop_#{size}"]
          [size | Enum.map([:kernel, :muontrap, :muontrap_cgroup], &values[&1])]
        end,
      growth:
        for count <- [10, 100, 1_000, 2_000] do
          launch = figures[:"launch_among_#{count}"]
          memory = figures[{:memory_among, count}]
          [count, launch[:system_cmd], launch[:muontrap], memory[:vm], memory[:helpers]]
        end
    ]
  end

  # One caller's are among those that are promised.
  defp launch(figures, "warm", 1, 50), do: figures[:launch]
  defp launch(figures, "warm", 1, 99), do: figures[:launch_p99]
  defp launch(figures, state, callers, percent), do: figures[{:launch, state, callers, percent}]

  defp by(figures, kind, sizes, contestants),
    do: for(size <- sizes, do: [size | Enum.map(contestants, &figures[{kind, size}][&1])])

  defp draw(name, rows) do
    # A figure that this machine can't give is left out.
    text = for row <- rows, do: [Enum.map_intersperse(row, " ", &if(&1, do: "#{&1}", else: "NaN")), "\n"]
    path = Path.join(System.tmp_dir!(), "muontrap_bench.#{System.pid()}.#{name}")
    File.write!(path, text)

    args = ["-e", "data = '#{path}'", Path.join(@scripts, "common.gp"), Path.join(@scripts, "#{name}.gp")]
    {svg, status} = System.cmd(Programs.find("gnuplot"), args)
    File.rm!(path)
    if status != 0, do: raise("gnuplot could not draw #{name}: see above")
    File.write!(Path.join(@svgs, "#{name}.svg"), licensed(svg))
  end

  defp licensed(svg) do
    [declaration, rest] = String.split(svg, "?>\n", parts: 2)
    declaration <> "?>\n" <> @licence <> rest
  end
end
