// The lens of one trace, layer by step, and the probe's score along it. See latent.py.

const OTHER_ANSWER = 63;

// The cell of a layer (its place in question.latent.layers) and place: {answer, p, same}; null if none.
function latentCells(question, trace) {
  const { layers, answers, prompt } = question.latent;
  const own = trace.latent;
  const text = (prompt || "") + own.cells;
  const names = [...(prompt ? ["prompt’s end"] : []), ...own.steps.map((step) => "step " + step), ...(own.before ? ["answer"] : [])];
  const cell = (i, j) => {
    const at = 2 * (j * layers.length + i);
    if (at + 1 >= text.length) return null;
    const code = VALUES.indexOf(text[at]);
    return {
      answer: code === OTHER_ANSWER ? "another" : answers[code], p: VALUES.indexOf(text[at + 1]) / 63,
      same: own.stated === null ? null : code === own.stated,
    };
  };
  return { names, cell };
}

function latentSection(question, trace) {
  if (!question.latent || !trace.latent) return null;
  const node = element("details", { class: "latent" }, element("summary", {}, "Lens, layer by step"));
  node.addEventListener("toggle", () => { if (node.open && node.children.length === 1) node.append(...latentMap(question, trace)); });
  return node;
}

function latentMap(question, trace) {
  const { names, cell } = latentCells(question, trace);
  const { layers } = question.latent;
  const stated = trace.latent.stated === null ? null : question.latent.answers[trace.latent.stated];
  const grid = element("div", {});
  heatMap(grid, {
    label: "Lens of trace " + trace.index + ", layer by step", corner: "layer", columns: names, rows: layers.map(String),
    hint: "Point at a cell, or move with the arrow keys.",
    cell: (i, j) => {
      const found = cell(i, j);
      if (found === null) return { text: "", heat: null, words: "", mark: false };
      const { answer, p, same } = found;
      return {
        text: (same === null ? "" : same ? "= " : "≠ ") + answer, heat: same === null ? null : same ? p : -p, mark: false,
        words: "Layer " + layers[i] + ", " + (names[j] === "answer" ? "right before the answer" : (names[j].startsWith("step") ? "end of " : "") + names[j]) + ": “" + answer + "” with " + fixed(p, 2)
          + (same === null ? "" : same ? ", as the trace states" : "; the trace states “" + stated + "”"),
      };
    },
  });
  return [
    element("p", { class: "signs" }, element("span", { class: "shade over" }, "= what the trace states"), element("span", { class: "shade under" }, "≠ another answer")),
    grid,
    element("p", { class: "caption" }, "The answer that each layer holds most probable among the question’s candidates, at the prompt’s end, after each step and right before the answer; the stronger the colour, the more probable. Answers that share a first token are one candidate. One trace, no interval: the finding on the lens has the control."),
  ];
}

// The probe's score at each step's end: a line over the steps, chance as a dashed one.
function alongTrace(trace) {
  const known = (trace.along || []).filter((pair) => pair[1] !== null);
  if (known.length < 2) return null;
  const [width, height, pad] = [150, 34, 4];
  const last = Math.max(1, known[known.length - 1][0]);
  const x = (step) => pad + ((width - 2 * pad) * step) / last;
  const y = (score) => height - pad - (height - 2 * pad) * score;
  const said = known.map(([step, score]) => "step " + step + " " + fixed(score, 2)).join(", ");
  const line = drawn("polyline", { class: "line", points: known.map(([step, score]) => x(step) + "," + y(score)).join(" ") });
  const dots = known.map(([step, score]) =>
    drawn("circle", { cx: x(step), cy: y(score), r: 3 }, drawn("title", {}, "step " + step + ": " + fixed(score, 2))));
  return element("p", { class: "along" },
    drawn("svg", { viewBox: "0 0 " + width + " " + height, width: width, height: height, role: "img", "aria-label": "Probe’s P(right) after each step: " + said },
      drawn("line", { class: "half", x1: pad, x2: width - pad, y1: y(0.5), y2: y(0.5) }), line, ...dots),
    element("span", {}, "P(right) along the steps: " + fixed(known[0][1], 2) + " → " + fixed(known[known.length - 1][1], 2)));
}
