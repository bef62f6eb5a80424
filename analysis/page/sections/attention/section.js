// Heads as a grid; a cell opens its head's attention between the steps of one trace.

const ATTENTION_UNITS = 9999;

function drawAttention({ grid, traces }) {
  const node = find("attention-trace");
  let [trace, chosen] = [traces[0], null];
  const show = () => { if (node && trace && chosen) attentionTrace(node.querySelector(".shown"), trace, chosen); };
  const heads = find("attention-heads");
  if (node && traces.length) {
    const names = traces.map((each, i) => [i, each.id + " #" + each.index + (each.answer === null ? "" : " · " + each.answer) + (each.right === null ? "" : each.right ? " ✓" : " ✗")]);
    node.replaceChildren(element("div", { class: "tools" }, choice("Trace", names, (value) => { trace = traces[Number(value)]; show(); })), element("div", { class: "shown" }));
  }
  const open = (layer, head) => { chosen = [layer, head]; show(); };
  const start = trace ? attentionStart(grid, trace) : null;
  if (heads && grid) attentionGrid(heads, grid, start, open);
  if (start) open(start[0], start[1]);
}

// The receiver head, or else the head, of the highest score that the trace has a matrix of.
function attentionStart(grid, trace) {
  const there = new Set(trace.heads.map(String));
  let best = trace.heads[0] || null;
  if (!grid || !grid.measures.length) return best;
  const rank = (i, j) => (grid.receivers[i][j] ? 1e6 : 0) + (grid.measures[0][1][i][j] ?? -1e6);
  let most = -Infinity;
  grid.layers.forEach((layer, i) => grid.heads.forEach((head, j) => {
    if (there.has(String([layer, head])) && rank(i, j) > most) { most = rank(i, j); best = [layer, head]; }
  }));
  return best;
}

function attentionGrid(node, grid, start, open) {
  const place = element("div", {});
  const readout = element("p", { class: "readout", "aria-live": "polite" });
  let current = start;
  const draw = (which) => {
    const [name, values] = grid.measures[which];
    const top = Math.max(1e-9, ...values.flat().map((value) => Math.abs(value ?? 0)));
    heatMap(place, {
      label: name + " of each head, by layer and head", corner: "layer", readout,
      columns: grid.heads.map(String), rows: grid.layers.map(String), hint: "A row is a layer, a column a head: " + name + ".",
      cell: (i, j) => {
        const value = values[i][j];
        const known = value !== null && value !== undefined;
        return { text: known ? fixed(value, Math.abs(value) < 9.95 ? 1 : 0) : "", heat: known ? value / top : null, mark: grid.receivers[i][j],
          words: (which || !known ? name + " " + fixed(value, 3) + ". " : "") + grid.words[i][j] + "." };
      },
    });
    const cells = [...place.querySelectorAll("tbody td")];
    const mark = () => cells.forEach((cell) => {
      const [i, j] = [cell.parentNode.rowIndex - 1, cell.cellIndex - 1];
      if (current && grid.layers[i] === current[0] && grid.heads[j] === current[1]) cell.setAttribute("aria-current", "true");
      else cell.removeAttribute("aria-current");
    });
    const choose = (event) => {
      const cell = event.target.closest && event.target.closest("tbody td");
      if (!cell) return;
      current = [grid.layers[cell.parentNode.rowIndex - 1], grid.heads[cell.cellIndex - 1]];
      mark();
      open(...current);
    };
    place.firstChild.addEventListener("focusin", choose);
    place.firstChild.addEventListener("click", choose);
    mark();
  };
  const names = grid.measures.map(([name], i) => [i, name]);
  node.replaceChildren(element("div", { class: "tools" }, choice("Show", names, (value) => draw(Number(value)))), place, readout);
  if (names.length) draw(0);
}

function attentionTrace(node, trace, [layer, head]) {
  const place = trace.heads.findIndex((each) => each[0] === layer && each[1] === head);
  const title = "Layer " + layer + ", head " + head;
  if (place < 0) {
    node.replaceChildren(element("p", { class: "note" }, title + ": the page doesn’t carry its matrix; the table attention_matrices has it."));
    return;
  }
  const n = trace.steps.length;
  const [top, units] = [trace.tops[place], trace.units[place]];
  const value = (i, j) => top * units[(i * (i + 1)) / 2 + j] / ATTENTION_UNITS;
  const about = element("p", { class: "about" },
    element("b", {}, title), " · ", element("a", { href: addressOf(trace.id, trace.index) }, trace.id + " #" + trace.index),
    trace.answer === null ? " · states no answer" : [" · states ", element("b", {}, trace.answer)], " ", verdict(trace.right),
    n < trace.n_steps ? " · " + n + " of " + trace.n_steps + " steps, evenly spaced" : " · " + plural(n, "step"));
  const [arcs, light] = attentionArcs(trace, value, top, title);
  const paid = trace.steps.map((_, j) => { const later = trace.steps.map((_, i) => i).filter((i) => i > j); return later.length ? later.reduce((sum, i) => sum + value(i, j), 0) / later.length : null; });
  const most = Math.max(1e-12, ...paid.map((each) => each || 0));
  const list = element("ol", { class: "trace-steps", tabindex: "0", "aria-label": "Steps, and the mean attention that all later shown steps pay each" }, trace.steps.map((step, j) => {
    const line = element("li", {}, element("span", { class: "number" }, step), element("span", { class: "said", dir: "auto" }, trace.texts[j] || "(no text)"), element("span", { class: "tally" }, paid[j] === null ? "" : fixed(paid[j], 4)));
    line.style.setProperty("--paid", ((paid[j] || 0) / most).toFixed(3));
    return line;
  }));
  const matrix = element("div", { class: "matrix" });
  heatMap(matrix, {
    label: title + ": attention of each step to those before it", corner: "step", columns: trace.steps.map(String), rows: trace.steps.map(String),
    hint: "A row is a step, a column the step that it attends to.",
    cell: (i, j) => (j > i
      ? { text: "", heat: null, mark: false, words: "Step " + trace.steps[j] + " comes after step " + trace.steps[i] + "." }
      : { text: "", heat: i === j ? null : value(i, j) / Math.max(top, 1e-12), mark: false, words: attentionWords(trace, i, j, value) }),
  });
  const follow = (event) => {
    const cell = event.target.closest && event.target.closest("tbody td");
    if (cell) light(cell.parentNode.rowIndex - 1, cell.cellIndex - 1);
  };
  matrix.addEventListener("mouseover", follow);
  matrix.addEventListener("focusin", follow);
  node.replaceChildren(about, element("div", { class: "beside" }, element("div", {}, arcs, list), matrix));
}

function attentionWords(trace, i, j, value) {
  const own = "Mean attention weight " + fixed(value(i, j), 4);
  return i === j ? own + " within step " + trace.steps[i] + "." : own + " from a token of step " + trace.steps[i] + " to one of step " + trace.steps[j] + ".";
}

// Steps stand on a line; an arc goes from a later step to an earlier one, as wide as its attention.
function attentionArcs(trace, value, top, title) {
  const svg = (name, attributes, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, each] of Object.entries(attributes)) node.setAttribute(key, each);
    node.append(...children);
    return node;
  };
  const n = trace.steps.length;
  const gap = 360 / Math.max(1, n - 1);
  const x = (j) => 20 + gap * j;
  const paths = new Map();
  const pairs = trace.steps.flatMap((_, i) => trace.steps.slice(0, i).map((_, j) => [i, j])).sort(([a, b], [c, d]) => value(a, b) - value(c, d));
  for (const [i, j] of pairs) {
    const share = value(i, j) / Math.max(top, 1e-12);
    const path = svg("path", { d: "M" + x(i).toFixed(1) + " 140 A" + (x(i) - x(j)) / 2 + " " + Math.min(128, 20 + (x(i) - x(j)) * .34).toFixed(1) + " 0 0 0 " + x(j).toFixed(1) + " 140", "stroke-width": (.4 + 3 * share).toFixed(2), "stroke-opacity": (.04 + .9 * share).toFixed(3) });
    paths.set(i + "," + j, path);
  }
  const every = Math.ceil(n / 20);
  const labels = trace.steps.map((step, j) => svg("text", { x: x(j).toFixed(1), y: "153" }, j % every ? "" : String(step)));
  const strongest = pairs.slice(-3).reverse().map(([i, j]) => "step " + trace.steps[i] + " to step " + trace.steps[j] + ", " + fixed(value(i, j), 4));
  const label = title + ": arcs from steps to those they attend to." + (strongest.length ? " Strongest: " + strongest.join("; ") + "." : "");
  const node = svg("svg", { class: "arcs", viewBox: "0 0 400 160", role: "img", "aria-label": visible(label) }, ...paths.values(), ...labels);
  let lit = null;
  const light = (i, j) => {
    if (lit) lit.classList.remove("lit");
    lit = paths.get(i + "," + j) || null;
    if (lit) lit.classList.add("lit");
  };
  return [node, light];
}

section("attention", { start: drawAttention });
