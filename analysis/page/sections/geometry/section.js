// Geometry: similarity of layers, the dimension of states, where traces lie and how they move.

function drawSimilarity(figure) {
  const node = find("similarity-maps");
  if (!node || !figure.kinds.length) return;
  const panels = element("div", { class: "maps similar" });
  const readout = element("p", { class: "readout", "aria-live": "polite" });
  const show = (kind) => panels.replaceChildren(...kind.maps.map((map) => {
    const grid = element("div", {});
    heatMap(grid, {
      readout: readout,
      label: kind.name + " between layers at " + map.position, corner: "layer",
      columns: map.layers.map(String), rows: map.layers.map(String), hint: "Point at a cell, or move with the arrow keys, for its interval.",
      cell: (i, j) => {
        const value = map.value[i][j];
        return { text: value === null ? "–" : fixed(value, 2), heat: value, words: map.position + ": " + map.words[i][j], mark: false };
      },
    });
    return element("div", { class: "panel" }, element("p", {}, map.position), grid);
  }), readout);
  const names = figure.kinds.map((kind, i) => [i, kind.name]);
  const chooser = names.length > 1 ? element("div", { class: "tools" }, choice("Measure", names, (i) => show(figure.kinds[Number(i)]))) : null;
  node.replaceChildren(...[chooser, panels].filter(Boolean));
  show(figure.kinds[0]);
}

function drawDimension(figure) {
  const node = find("dimension-plot");
  if (!node) return;
  const shades = ["blue", "vermillion", "green", "purple", "orange", "sky"].map(colour);
  const traces = figure.lines.flatMap((line, i) => [band(line.layer, line.low, line.high, shades[i % 6]), {
    x: line.layer, y: line.y, name: literal(line.name), mode: "lines+markers", type: "scatter",
    line: { color: shades[i % 6], width: 2.5, dash: DASHES[i % DASHES.length] }, marker: { size: 6 },
    hovertemplate: "layer %{x}: %{y:.1f}<extra>" + literal(line.name) + "</extra>",
  }]);
  const look = layout("layer", "dimension", {
    showlegend: true, margin: { l: 48, r: 12, t: 36, b: 40 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("ink") } },
  });
  look.yaxis.rangemode = "tozero";
  look.xaxis.tickvals = figure.lines[0].layer;
  draw(node, traces, look);
}

const SIDES = [["blue", "solid", "right"], ["vermillion", "dash", "wrong"]];

// Right is blue and solid, wrong is orange and dashed; thin lines are single traces.
function drawTrajectories(figures) {
  for (const node of document.querySelectorAll("[data-trajectory]")) {
    const figure = figures[Number(node.dataset.trajectory)], axis = node.dataset.axis;
    const traces = [];
    figure.sides.forEach((side, i) => {
      const [shade, dash, name] = [colour(SIDES[i][0]), SIDES[i][1], SIDES[i][2]];
      const thin = { x: [], y: [] };
      for (const line of side.lines) {
        thin.x.push(...line.step, null);
        thin.y.push(...line[axis], null);
      }
      traces.push({ ...thin, mode: "lines", type: "scatter", hoverinfo: "skip", showlegend: false, line: { color: faint(shade), width: 1, dash: dash === "dash" ? "dot" : "solid" } });
      const shifted = (sign) => side.mean[axis].map((value, k) => value + sign * side.spread[axis][k]);
      traces.push(band(side.step, shifted(-1), shifted(1), shade));
      traces.push({
        x: side.step, y: side.mean[axis], name: name + " (" + side.n + ")", mode: "lines+markers", type: "scatter",
        line: { color: shade, width: 3, dash: dash }, marker: { size: 7, symbol: i ? "diamond-open" : "circle" },
        customdata: side.traces, hovertemplate: "step %{x}: %{y:.3g}, %{customdata} traces<extra>" + name + "</extra>",
      });
    });
    const look = layout("step (−1: before the first)", axis, {
      showlegend: true, margin: { l: 52, r: 12, t: 32, b: 40 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("ink") } },
    });
    look.xaxis.dtick = figure.sides.every((side) => side.step.length < 12) ? 1 : undefined;
    draw(node, traces, look);
  }
}

const COLOURINGS = {
  right: { text: "right or wrong", groups: [[true, "✓ right", "blue", "circle"], [false, "✗ wrong", "vermillion", "diamond-open"], [null, "no gold or no answer", "soft", "x-thin-open"]] },
  answer: { text: "answer", noun: "answer" },
  cluster: { text: "reasoning cluster", noun: "cluster" },
};
const ORDINALS = ["most frequent", "second", "third", "fourth"];
const RANK_LOOKS = [["blue", "circle"], ["orange", "square"], ["green", "triangle-up"], ["purple", "cross"]];

function groupsOf(colouring, ranked) {
  const known = COLOURINGS[colouring];
  if (known.groups) return known.groups;
  const named = ORDINALS.slice(0, ranked).map((name, i) => [i, name + " " + known.noun, ...RANK_LOOKS[i]]);
  return [...named, [ranked, "any other " + known.noun, "sky", "diamond-open"], [null, "no " + known.noun, "soft", "x-thin-open"]];
}

const stateChoice = { map: 0, colouring: "right", question: "" };

function drawStates(states) {
  const holder = find("states");
  if (!holder) return;
  if (!holder.firstChild) {
    const redraw = (name, read) => (value) => { stateChoice[name] = read(value); drawStates(states); };
    const places = states.maps.map((map, i) => [i, "layer " + map.layer + ", " + map.position + ", " + map.method]);
    const questions = [...new Set(states.traces.map((row) => row[0]))].map((id) => [id, visible(id)]);
    holder.append(
      element("div", { class: "tools" },
        choice("Place", places, redraw("map", Number)),
        choice("Colour", Object.entries(COLOURINGS).map(([key, each]) => [key, each.text]), redraw("colouring", String)),
        choice("Question", [["", "all"], ...questions], redraw("question", String))),
      element("div", { class: "plot map", id: "state-plot", role: "img", "aria-label": "Map of the states of the traces." }));
  }
  const map = states.maps[stateChoice.map];
  const column = { right: 2, answer: 3, cluster: 4 }[stateChoice.colouring];
  const among = (row) => stateChoice.question === "" || row[0] === stateChoice.question;
  const points = map.row.map((at, i) => ({ row: states.traces[at], x: map.x[i], y: map.y[i] }));
  const traces = groupsOf(stateChoice.colouring, states.ranked).flatMap(([value, name, shade, symbol], rank) => {
    const mine = points.filter((point) => point.row[column] === value && among(point.row));
    if (!mine.length) return [];
    return [{
      x: mine.map((point) => point.x), y: mine.map((point) => point.y), name: name + " (" + mine.length + ")", legendrank: rank,
      mode: "markers", type: "scatter", hoverinfo: "text",
      hovertext: mine.map(({ row }) => literal(row[0]) + (row[1] === null ? "" : " #" + row[1]) + (row[2] === null ? "" : row[2] ? " ✓" : " ✗")),
      marker: { color: colour(shade), size: points.length > 600 ? 5 : 8, symbol: symbol, opacity: 0.75, line: { width: symbol.endsWith("open") ? 1.5 : 0, color: colour(shade) } },
    }];
  });
  traces.sort((a, b) => b.x.length - a.x.length); // the few on top of the many
  const bare = { showgrid: false, showticklabels: false, ticks: "", showline: false };
  const span = (values) => {
    const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    return [low - 0.05 * (high - low || 1), high + 0.05 * (high - low || 1)];
  };
  const look = layout("", "", {
    showlegend: true, margin: { l: 8, r: 8, t: 40, b: 8 }, hovermode: "closest",
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("ink") } },
  });
  Object.assign(look.xaxis, bare, { range: span(map.x) });
  Object.assign(look.yaxis, bare, { range: span(map.y) });
  draw(find("state-plot"), traces, look);
}

section("geometry", {
  start: (geometry) => { if (geometry.similarity) drawSimilarity(geometry.similarity); },
  drawing: (geometry) => {
    if (geometry.dimension) drawDimension(geometry.dimension);
    drawTrajectories(geometry.trajectories);
    if (geometry.states) drawStates(geometry.states);
  },
});
