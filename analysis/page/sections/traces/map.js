// The map of a question's traces: a place by what they say, a colour by answer, a shape by cluster.

const SHAPES = [
  ["circle", "●"], ["square", "■"], ["diamond", "◆"], ["triangle-up", "▲"], ["triangle-down", "▼"],
  ["cross", "✚"], ["x", "✖\uFE0E"], ["star", "★"],
];
const OTHER_SHAPE = ["hexagon", "⬢"];
const METHODS = {
  pca: "PCA: the two directions along which these traces differ most",
  tsne: "t-SNE: only neighbours mean something, gaps and sizes do not",
  umap: "UMAP: only neighbours mean something, gaps and sizes do not",
};
const BEGINNING = 160; // characters of a trace in its label
const LINE = 56; // characters on a line of a label

// Blue is right, as elsewhere on the page; the others take their colours by size.
function answerColours(question) {
  const known = question.answers.some((entry) => entry.right !== null);
  const shades = known ? ["vermillion", "purple", "green", "orange", "sky"] : ["sky", "orange", "purple", "green", "vermillion"];
  const colours = new Map([[null, "soft"]]);
  for (const entry of question.answers) colours.set(entry.answer, entry.right ? "blue" : shades.shift() || "ink");
  return colours;
}

function clusterShape(question, cluster) {
  if (cluster === null || cluster === -1) return OTHER_SHAPE;
  const at = question.clusters.findIndex((entry) => entry.cluster === cluster);
  return SHAPES[at] || OTHER_SHAPE;
}

// Right answers are filled; so is every answer where there is no gold.
function isFilled(question, answer, right) {
  return answer !== null && (right === null || right);
}

function beginning(trace) {
  const text = Array.from(textOf(trace).slice(0, 4 * BEGINNING).replace(/\s+/g, " ").trim());
  return text.slice(0, BEGINNING).join("") + (text.length > BEGINNING ? "…" : "");
}

function lines(text) {
  const found = [""];
  for (const word of text.split(" ").flatMap((long) => long.match(/.{1,56}/gsu) || [])) {
    const last = found[found.length - 1];
    if (last && last.length + word.length >= LINE) found.push(word);
    else found[found.length - 1] = last ? last + " " + word : word;
  }
  return found;
}

function answerOf(trace) {
  return trace.answer === null ? "no answer" : trace.answer;
}

function label(traces) {
  const [first] = traces;
  const named = traces.length === 1
    ? "#" + first.index + " · " + answerOf(first) + (first.answer === null || first.right === null ? "" : first.right ? " ✓" : " ✗") + (first.cluster === null ? "" : " · " + clusterName(first.cluster))
    : plural(traces.length, "trace") + " at this place: " + traces.map((trace) => "#" + trace.index + " " + answerOf(trace)).join(", ");
  return [...lines(named).slice(0, 6), ...lines(beginning(first))].map(literal).join("<br>");
}

function gathered(items, key) {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) || []), item]);
  return [...groups.values()];
}

// Traces at one place are one marker an answer and cluster, nested with the most numerous outside.
function markers(question) {
  const drawn = question.traces.filter((trace) => trace.at);
  return gathered(drawn, (trace) => String(trace.at)).flatMap((place) => {
    const text = label(place);
    const groups = gathered(place, (trace) => JSON.stringify([trace.answer, trace.cluster])).sort((a, b) => b.length - a.length);
    return groups.map((group, i) => ({
      trace: group[0], text: text, size: 9 + 6 * (groups.length - 1 - i) + 3 * Math.sqrt(group.length - 1),
    }));
  });
}

function mapSection(question) {
  if (!question.map || !question.traces) return null;
  const placed = question.traces.filter((trace) => trace.at);
  const rest = question.traces.length - placed.length;
  const rows = placed.map((trace) => [
    "#" + trace.index, answerOf(trace), trace.answer === null ? null : verdict(trace.right), trace.cluster === null ? "–" : clusterName(trace.cluster), ...trace.at.map((value) => fixed(value, 3))]);
  return element("section", { class: "map" }, element("h4", {}, "Map of the traces"),
    element("div", { class: "drawn" },
      element("div", { class: "plot tall", id: "map-plot", role: "img", "aria-label": "Map of " + plural(placed.length, "trace") + ", coloured by answer and shaped by cluster. The numbers are in the table below." }),
      legend(question)),
    element("p", { class: "caption" }, "A point is a trace; near ones have similar text, as the clusters see it. " + (METHODS[question.map] || question.map)
      + ". Nested points stand at one place, a larger one for more traces. Axes have no unit; maps of two questions can't be compared."
      + (rest ? " Without a place: " + plural(rest, "trace") + "." : "") + " A click opens the trace."),
    numberTable("Places on the map", ["Trace", "Answer", "", "Cluster", "x", "y"], rows));
}

function legend(question) {
  const colours = answerColours(question);
  const entry = (glyph, shade, ...words) => {
    const mark = element("span", { class: "glyph", "aria-hidden": "true" }, glyph);
    mark.style.color = "var(--" + shade + ")";
    return element("li", {}, mark, words);
  };
  const named = question.answers.filter((each) => colours.get(each.answer) !== "ink");
  const answers = named.map((each) => entry(isFilled(question, each.answer, each.right) ? "●" : "○",
    colours.get(each.answer), element("span", { class: "name" }, each.answer), " ", verdict(each.right)));
  if (named.length < question.answers.length) answers.push(entry("○", "ink", "others: " + (question.answers.length - named.length)));
  if (question.traces.some((trace) => trace.answer === null)) answers.push(entry("○", "soft", "no answer"));
  const shaped = question.clusters.filter((each) => clusterShape(question, each.cluster) !== OTHER_SHAPE);
  const clusters = shaped.map((each) => entry(clusterShape(question, each.cluster)[1], "ink", clusterName(each.cluster)));
  if (shaped.length < question.clusters.length) {
    const rest = question.clusters.filter((each) => !shaped.includes(each));
    clusters.push(entry(OTHER_SHAPE[1], "ink", rest.length === 1 ? clusterName(rest[0].cluster) : "others: " + rest.length));
  }
  return element("div", { class: "legend" },
    element("p", {}, "Colour: answer"), element("ul", {}, answers),
    clusters.length ? [element("p", {}, "Shape: cluster"), element("ul", {}, clusters)] : null);
}

function numberTable(name, heads, rows) {
  return element("details", { class: "numbers" }, element("summary", {}, "The numbers"),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, element("table", {},
      element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, rows.map((row) => element("tr", {}, row.map((cell) => element("td", {}, cell))))))));
}

function drawMap(question, open) {
  const node = find("map-plot");
  if (!node || !window.Plotly) return;
  const [points, colours] = [markers(question), answerColours(question)];
  const bare = { showgrid: false, showticklabels: false, ticks: "", showline: false };
  const look = layout("", "", { margin: { l: 8, r: 8, t: 8, b: 8 }, hovermode: "closest" });
  look.hoverlabel.align = "left";
  Object.assign(look.xaxis, bare);
  Object.assign(look.yaxis, bare, { scaleanchor: "x" });
  draw(node, [{
    x: points.map((point) => point.trace.at[0]), y: points.map((point) => point.trace.at[1]),
    mode: "markers", type: "scatter", cliponaxis: false, hoverinfo: "text",
    hovertext: points.map((point) => point.text), customdata: points.map((point) => point.trace.index),
    marker: {
      color: points.map((point) => colour(colours.get(point.trace.answer))),
      size: points.map((point) => point.size), opacity: 0.9,
      symbol: points.map(({ trace }) => clusterShape(question, trace.cluster)[0] + (isFilled(question, trace.answer, trace.right) ? "" : "-open")),
      line: { color: colour("card"), width: points.map(({ trace }) => isFilled(question, trace.answer, trace.right) ? 0.5 : 2.5) },
    },
  }], look);
  if (open) node.on("plotly_click", (event) => open(event.points[0].customdata));
}

// Before the map leaves the page, so that plotly no longer listens for it.
function eraseMap() {
  if (find("map-plot") && window.Plotly) Plotly.purge(find("map-plot"));
}
