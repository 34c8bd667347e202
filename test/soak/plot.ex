# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Plot do
  @moduledoc false
  # The plot of a soak's samples. gnuplot draws it by plot.gp, with what the benchmarks' plots have in common.

  @scripts [Path.join(__DIR__, "../../bench/plots/common.gp"), Path.join(__DIR__, "plot.gp")]
  @page "docs/reliability/soak.svg"

  # A comment may stand before the root element, not before the XML declaration.
  # REUSE-IgnoreStart
  @licence "<!--\nSPDX-FileCopyrightText: The MuonTrap contributors\nSPDX-License-Identifier: CC-BY-4.0\n-->\n"
  # REUSE-IgnoreEnd

  @doc "The command: the plot of docs/reliability.md, of the last soak"
  @spec main() :: :ok
  def main() do
    samples = MuonTrap.Soak.samples()

    File.exists?(samples) ||
      Mix.raise("make soak-plot draws the samples of a soak, and there is no #{samples}: run make soak")

    gnuplot() || Mix.raise("make soak-plot draws with gnuplot, which is not in PATH: tools/deps bench installs it")
    draw_if_possible(samples, @page)
  end

  @doc "Draws the samples of one file into another one, where there is gnuplot"
  @spec draw_if_possible(Path.t(), Path.t()) :: :ok
  def draw_if_possible(samples, svg) do
    if gnuplot() do
      {text, status} = System.cmd(gnuplot(), ["-e", "data = '#{samples}'; span = '#{span(samples)}'" | @scripts])
      if status != 0, do: Mix.raise("gnuplot could not draw #{samples}: see above")
      File.mkdir_p!(Path.dirname(svg))
      File.write!(svg, licensed(text))
      IO.puts("soak: drawn in #{svg}")
    end

    :ok
  end

  defp gnuplot(), do: System.find_executable("gnuplot")

  # The first line is a comment that begins with it.
  defp span(samples) do
    [_line, minutes] = Regex.run(~r/^# (\d+) minutes/, File.read!(samples))
    "#{minutes} min"
  end

  defp licensed(svg) do
    [declaration, rest] = String.split(svg, "?>\n", parts: 2)
    declaration <> "?>\n" <> @licence <> rest
  end
end
