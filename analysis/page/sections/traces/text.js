// A trace's text in steps: its marks, its shaded tokens, its formulas. A long one is written a section at a time.

const CATEGORIES = ["setup", "plan", "fact", "calculation", "uncertainty", "check", "backtrack", "result", "answer", "other"];
const layouts = new WeakMap();

// What is found of a trace once: where each piece starts in its text, and its tokens' ends and levels.
function layoutOf(trace) {
  if (!layouts.has(trace)) {
    const starts = [0];
    for (const piece of trace.pieces) starts.push(starts[starts.length - 1] + piece[1].length);
    layouts.set(trace, { starts: starts, tokens: null });
  }
  return layouts.get(trace);
}

// The first piece that ends behind a place of the text.
function pieceAt(trace, place) {
  const { starts } = layoutOf(trace);
  let [low, high] = [0, trace.pieces.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle + 1] > place) high = middle;
    else low = middle + 1;
  }
  return low;
}

// The whole trace in one.
function steps(trace) {
  return stepsBetween(trace, 0, trace.pieces.length).node;
}

// Pieces of one step become one block; white space between steps is the gap between blocks. `placed` says where the
// text's characters are: [from, to, node].
function stepsBetween(trace, first, end) {
  const node = element("div", { class: "text", dir: "auto" });
  const placed = [];
  for (let i = first; i < end;) {
    const step = trace.pieces[i][0];
    let next = i + 1;
    while (next < end && trace.pieces[next][0] === step) next += 1;
    const blank = step === null && trace.pieces.slice(i, next).every((piece) => !piece[1].trim());
    if (!blank) node.append(writeStep(trace, step, i, next, placed));
    i = next;
  }
  if (!node.firstChild) node.append(element("div", { class: "gap" }, "(empty)"));
  return { node, placed };
}

function writeStep(trace, step, first, end, placed) {
  const { starts } = layoutOf(trace);
  const block = stepBlock(trace, step);
  const text = trace.pieces.slice(first, end).map((piece) => piece[1]).join("");
  const set = shading.on && trace.shade ? [] : setFormulas(trace, first, end, text);
  for (let i = first; i < end; i += 1) {
    const [, piece, stated, equation] = trace.pieces[i];
    const base = starts[i] - starts[first];
    const check = equation === null ? null : trace.checks[equation];
    if (check) block.classList.add(check.wrong ? "false" : "true");
    const parts = [];
    for (let at = 0; at < piece.length;) {
      const formula = set.find((each) => each.start <= base + at && base + at < each.end);
      if (formula) {
        if (formula.start === base + at) {
          parts.push(formula.node);
          placed.push([starts[i] + at, starts[first] + formula.end, formula.node]);
        }
        at = Math.min(piece.length, formula.end - base);
        continue;
      }
      const next = set.find((each) => each.start > base + at);
      const until = next ? Math.min(piece.length, next.start - base) : piece.length;
      parts.push(...writePart(trace, piece.slice(at, until), starts[i] + at, placed));
      at = until;
    }
    const shown = stated && parts.length ? [element("mark", {}, parts)] : parts;
    if (!check) { block.append(...shown); continue; }
    if (shown.length) block.append(dressEquation(element("span", {}, shown), check, equation));
    const next = trace.pieces[i + 1];
    if (!check.wrong || (next && next[3] === equation)) continue;
    const note = correction(check);
    const inside = set.find((each) => each.start < base + piece.length && base + piece.length < each.end);
    // What is said of an equation in a formula stands behind the formula.
    if (inside) inside.notes.push(note);
    else block.append(note);
  }
  for (const each of set) each.node.after(...each.notes);
  return block;
}

function writePart(trace, text, from, placed) {
  const parts = shading.on && trace.shade ? tokensBetween(trace, from, text).map(shaded) : [document.createTextNode(visible(text))];
  let at = from;
  for (const part of parts) {
    const length = part.raw === undefined ? text.length : part.raw;
    placed.push([at, at + length, part]);
    at += length;
  }
  return parts;
}

// The formulas of a step that can be typeset with the marks in them; one that a mark cuts stays source.
function setFormulas(trace, first, end, text) {
  const { starts } = layoutOf(trace);
  const formulas = formulasIn(text);
  if (!formulas.length) return [];
  const marks = marksBetween(trace, first, end).map((mark) => ({ ...mark, start: mark.start - starts[first], end: mark.end - starts[first] }));
  return formulas.flatMap((formula) => {
    const touching = marks.filter((mark) => mark.start < formula.end && formula.start < mark.end && !(mark.start <= formula.start && formula.end <= mark.end));
    if (touching.some((mark) => mark.start < formula.start || formula.end < mark.end)) return [];
    const inside = touching.map((mark) => ({ start: Math.max(0, mark.start - formula.from), end: Math.min(formula.to, mark.end) - formula.from, dress: mark.dress }));
    if (inside.some((mark) => mark.start >= mark.end)) return [];
    const node = typeset(text.slice(formula.from, formula.to), formula.display, inside);
    return node ? [{ ...formula, node: node, notes: [] }] : [];
  });
}

// Equations and stated answers as runs of the text, with what their nodes look like.
function marksBetween(trace, first, end) {
  const { starts } = layoutOf(trace);
  const found = [];
  const open = { stated: null, equation: null };
  const run = (name, value, i, dress) => {
    if (open[name] && open[name].value !== value) open[name] = null;
    if (value === null) return;
    if (!open[name]) { open[name] = { value: value, start: starts[i], end: 0, dress: dress }; found.push(open[name]); }
    open[name].end = starts[i + 1];
  };
  for (let i = first; i < end; i += 1) {
    const [, , stated, equation] = trace.pieces[i];
    run("stated", stated ? true : null, i, (node) => node.classList.add("stated"));
    run("equation", equation, i, (node) => dressEquation(node, trace.checks[equation], equation));
  }
  return found;
}

function dressEquation(node, check, equation) {
  node.classList.add("equation");
  if (check.wrong) node.classList.add("false");
  node.setAttribute("data-equation", equation);
  return node;
}

// A step's block says its kind and the probe's score in a label, which is no part of the text.
function stepBlock(trace, step) {
  if (step === null) return element("div", { class: "gap" });
  const kind = trace.kinds[step];
  const score = (trace.along || []).find((pair) => pair[0] === step);
  const label = [...answerFlags(trace, step, step), kind === "other" ? null : kind, score && score[1] !== null ? "P(right) " + fixed(score[1], 2) : null].filter(Boolean).join(" · ");
  return weigh(element("div", { class: "step" + (CATEGORIES.includes(kind) ? " " + kind : ""), "data-step": step, "data-label": label || null }), trace, step);
}

// What of the answer's places lies in these steps. A short trace has them in view anyway.
function answerFlags(trace, first, last) {
  if (!trace.places || !isLong(trace)) return [];
  const lies = (step) => step !== null && first <= step && step <= last;
  return [lies(trace.places.first) ? "answer first appears" : null, lies(trace.places.changed) ? "answer last changed" : null].filter(Boolean);
}

// What a wrong equation comes to; the page's word beside the model's, so not part of its text.
function correction(check) {
  const value = check.value === null ? "wrong" : "is " + check.value;
  return element("span", { class: "correction" }, "✗ " + value + (check.used ? ", used later" : "") + (check.reaches ? ", reaches the answer" : "") + (check.corrected ? ", corrected later" : ""));
}
