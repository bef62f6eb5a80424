// Risk against coverage, and probability against the share that is right: one panel a signal.

function shares(x, y, range) {
  const look = layout(x, y, { margin: { l: 48, r: 18, t: 10, b: 38 } });
  for (const axis of [look.xaxis, look.yaxis]) {
    Object.assign(axis, { range: range, tickformat: ".0%", tickvals: [0, 0.25, 0.5, 0.75, 1] });
  }
  return look;
}

function drawRisk(node, panel) {
  const blue = colour("blue"), soft = colour("soft");
  const line = (y, name, shade, dash, width) => ({
    x: panel.x, y: y, name: name, mode: "lines", type: "scatter", customdata: panel.n,
    line: { color: shade, dash: dash, width: width },
    hovertemplate: "most confident %{x:.0%} (%{customdata}): %{y:.1%} wrong<extra>" + name + "</extra>",
  });
  draw(node, [
    line(panel.x.map(() => panel.chance), "chance", soft, "dash", 1.5),
    line(panel.oracle, "oracle", colour("green"), "dot", 1.5),
    line(panel.y, panel.signal, blue, "solid", 2.5),
  ], shares("share kept, most confident first", "share wrong", [0, 1.02]));
}

function drawReliability(node, panel) {
  const blue = colour("blue"), most = Math.max(...panel.n);
  draw(node, [
    {
      x: [0, 1], y: [0, 1], mode: "lines", type: "scatter", hoverinfo: "skip",
      line: { color: colour("soft"), width: 1.5, dash: "dash" },
    },
    {
      x: panel.x, y: panel.y, mode: "lines+markers", type: "scatter", customdata: panel.n,
      line: { color: faint(blue), width: 1.5 },
      marker: { color: blue, size: panel.n.map((n) => 5 + 11 * Math.sqrt(n / most)) },
      hovertemplate: "mean %{x:.0%}: %{y:.0%} right, n = %{customdata}<extra></extra>",
    },
  ], shares("mean " + panel.signal + " in the bin", "share right", [-0.02, 1.06]));
}

function drawCalibration(figure) {
  for (const node of document.querySelectorAll("[data-calibration]")) {
    const panel = figure.panels[Number(node.dataset.calibration)];
    (panel.kind === "reliability" ? drawReliability : drawRisk)(node, panel);
  }
}

section("calibration", { drawing: drawCalibration });
