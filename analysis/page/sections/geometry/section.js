// The map of states: a reader chooses the place, the colour and the question.

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

section("geometry", { drawing: drawStates });
