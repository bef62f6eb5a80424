// Accuracy against the number of samples.

function drawCurve(figure) {
  const shades = ["blue", "vermillion", "green", "purple", "orange", "sky"].map(colour);
  const traces = [];
  figure.series.forEach((series, i) => {
    const shade = shades[i % shades.length];
    if (i === 0 || figure.series.length <= 3) {
      traces.push(band(series.n, series.low, series.high, shade));
    }
    traces.push({
      x: series.n, y: series.accuracy, name: series.name, mode: "lines+markers", type: "scatter",
      line: { color: shade, width: 2.5, dash: DASHES[i % DASHES.length] }, marker: { size: 7 },
      customdata: series.n.map((_, k) => percent(series.low[k]) + " to " + percent(series.high[k])),
      hovertemplate: "n = %{x}: %{y:.1%} (%{customdata})<extra>" + series.name + "</extra>",
    });
  });
  const n = figure.series[0].n;
  if (figure.greedy !== null) {
    traces.push({
      x: [n[0], n[n.length - 1]], y: [figure.greedy, figure.greedy], name: "greedy trace",
      mode: "lines", type: "scatter", line: { color: colour("soft"), width: 1.5, dash: "dot" },
      hovertemplate: "greedy: %{y:.1%}<extra></extra>",
    });
  }
  const look = layout("samples a question (n)", "accuracy", {
    showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("ink") } },
    margin: { l: 56, r: 12, t: 36, b: 44 },
  });
  look.yaxis.tickformat = ".0%";
  look.yaxis.rangemode = "tozero";
  look.xaxis.tickvals = n;
  draw(find("curve-plot"), traces, look);
}

section("curve", { drawing: drawCurve });
