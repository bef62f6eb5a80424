// Probes: AUROC by layer and position beside its shuffled control, on one scale around 0.5.

function probeMap(node, figure, measure, what, readout) {
  const cells = figure.maps[measure];
  heatMap(node, {
    readout: readout, label: "AUROC by layer and position" + (what === "control" ? ", labels shuffled" : ""), corner: "layer", columns: figure.positions, rows: figure.layers.map(String),
    hint: "Point at a cell, or move with the arrow keys, for its interval and controls.",
    cell: (i, j) => {
      const cell = cells[i][j];
      const value = cell && cell[what];
      const known = value !== null && value !== undefined;
      return {
        text: known ? fixed(value, 2) + (cell.best && what === "value" ? " ★" : "") : "–",
        heat: known ? (value - 0.5) / figure.reach : null,
        words: cell ? cell.words : "Layer " + figure.layers[i] + " at " + figure.positions[j] + ": not captured",
        mark: known && cell.best && what === "value",
      };
    },
  });
}

function drawPanel(node, panel, range) {
  const line = (y, name, shade, dash, width) => ({
    x: panel.layer, y: y, name: name, mode: "lines+markers", type: "scatter",
    line: { color: shade, dash: dash, width: width }, marker: { size: width > 2 ? 6 : 4 },
    hovertemplate: "layer %{x}: %{y:.2f}<extra>" + name + "</extra>",
  });
  const blue = colour("blue");
  const traces = [
    band(panel.layer, panel.low, panel.high, blue),
    line(panel.length, "length alone", colour("orange"), "dot", 1.5),
    line(panel.control, "labels shuffled", colour("soft"), "dash", 1.5),
    line(panel.y, "probe", blue, "solid", 2.5),
  ];
  const look = layout("layer", "AUROC", { margin: { l: 44, r: 8, t: 10, b: 38 } });
  look.yaxis.range = range;
  look.xaxis.tickvals = panel.layer;
  look.shapes = [{
    type: "line", xref: "paper", x0: 0, x1: 1, y0: 0.5, y1: 0.5, layer: "below",
    line: { color: colour("soft"), width: 1 },
  }];
  if (panel.best !== null) {
    const at = panel.layer.indexOf(panel.best);
    look.annotations = [{
      x: panel.best, y: panel.y[at], text: "★", showarrow: false, yshift: 12,
      font: { color: blue, size: 14 },
    }];
  }
  draw(node, traces, look);
}

// The panels are drawn once they are seen: inside a closed element they have no width.
function drawPanels(figures, closed) {
  for (const node of closed.querySelectorAll("[data-panel]")) {
    const figure = figures[Number(node.dataset.figure)];
    drawPanel(node, figure.measures[node.dataset.measure][Number(node.dataset.panel)], figure.range);
  }
}

function drawProbes(figures) {
  for (const node of document.querySelectorAll("[data-heat]")) {
    const group = node.closest(".maps");
    probeMap(node, figures[Number(group.dataset.figure)], group.dataset.measure, node.dataset.heat, group.querySelector(".readout"));
  }
  for (const closed of document.querySelectorAll("details.lines")) {
    if (closed.open) drawPanels(figures, closed);
    closed.ontoggle = () => { if (closed.open) drawPanels(figures, closed); };
  }
}

section("probes", { drawing: drawProbes });
