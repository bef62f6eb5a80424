// The figures. Colours are the page's own (Okabe-Ito), read again when the colour scheme changes.

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function faint(hex) {
  return hex + "33"; // 20% opaque
}

function layout(x, y, extra) {
  const axis = {
    gridcolor: colour("rule"), linecolor: colour("rule"), zeroline: false,
    tickfont: { color: colour("soft"), size: 11 }, fixedrange: true,
  };
  return Object.assign({
    margin: { l: 48, r: 12, t: 8, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, color: colour("ink"), size: 12 },
    hoverlabel: { bgcolor: colour("card"), font: { color: colour("ink") } },
    xaxis: Object.assign({ title: { text: x, font: { size: 12 } } }, axis),
    yaxis: Object.assign({ title: { text: y, font: { size: 12 } } }, axis),
    showlegend: false,
  }, extra);
}

function band(places, lows, highs, shade) {
  const known = places.map((_, i) => i).filter((i) => lows[i] !== null && highs[i] !== null);
  const [x, low, high] = [places, lows, highs].map((values) => known.map((i) => values[i]));
  return {
    x: x.concat(x.slice().reverse()), y: high.concat(low.slice().reverse()),
    fill: "toself", fillcolor: faint(shade), line: { width: 0 }, mode: "lines",
    hoverinfo: "skip", showlegend: false, type: "scatter",
  };
}

function draw(node, traces, look) {
  Plotly.react(node, traces, look, { displayModeBar: false, responsive: true });
}

const DASHES = ["solid", "dash", "dashdot", "longdash"];

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

// What draws each figure that the page has.
function drawings(page) {
  const all = [
    [page.curve, drawCurve], [page.calibration, drawCalibration], [page.kept.length && page.kept, drawKept], [page.probes.length && page.probes, drawProbes], [page.lens, drawLens],
    [page.dimension, drawDimension], [page.trajectories, drawTrajectories], [page.states, drawStates],
  ];
  return all.filter(([figure]) => figure).map(([figure, drawFigure]) => () => drawFigure(figure));
}

// One after the other, so that the page can be read and used in between.
function drawInTurn(tasks) {
  const root = document.documentElement;
  root.dataset.drawing = tasks.length;
  if (!tasks.length) { delete root.dataset.drawing; return; }
  setTimeout(() => { tasks[0](); drawInTurn(tasks.slice(1)); });
}
