// Every trace of a question: its answer, what it computes, and its text in steps.

const KINDS_OF_STEPS = ["setup", "calculation", "check", "conclusion"];
const LONG = 12000; // characters of traces above which they start folded

function traceSection(id, question, chosen, refresh) {
  if (question.traces === null) {
    return [element("p", { class: "notice" }, "This page is full: it carries the traces of more suspicious questions. Read these with cot show RUN QUESTION.")];
  }
  const fits = (trace) => (chosen.answer === undefined || trace.answer === chosen.answer) && (chosen.cluster === undefined || trace.cluster === chosen.cluster);
  const traces = question.traces.filter(fits);
  const size = traces.reduce((sum, trace) => sum + trace.pieces.reduce((inner, piece) => inner + piece[1].length, 0), 0);
  const nodes = traces.map((trace) => traceNode(id, question, trace, size <= LONG));
  const fold = (open) => () => nodes.forEach((node) => { node.open = open; });
  const all = traces.length === question.traces.length;
  return [
    element("div", { class: "steer" }, element("h4", {}, all ? plural(traces.length, "trace") : traces.length + " of " + plural(question.traces.length, "trace")),
      all ? null : element("button", { type: "button", onclick: () => { chosen.answer = chosen.cluster = undefined; refresh(); } }, "show all"),
      element("button", { type: "button", onclick: fold(true) }, "expand"), element("button", { type: "button", onclick: fold(false) }, "collapse"), shadeSwitch(question, refresh)),
    ...groups(question, traces, nodes),
    element("p", { class: "caption" }, "Each trace as the model wrote it, step by step; the box marks the stated answer. The bar of a step is blue where its equations hold, double and orange where one does not, grey where none can be checked; its kind (setup, calculation, check, conclusion) is found by rules on its words. P(right) is the probe’s cross-fitted score: it says how the trace ranks, not how likely it is to be right. After earlier steps it comes from a probe of last steps, which was fitted on no such states." + shadeCaption(question, page.traces.shading) + testedCaption(question)),
  ];
}

// Traces stand by cluster, the largest first, so that a cluster can be read as one; else in one group.
function groups(question, traces, nodes) {
  const keys = question.clusters.length ? [...question.clusters.map((cluster) => cluster.cluster), null] : [undefined];
  return keys.flatMap((key) => {
    const inside = nodes.filter((_, i) => key === undefined || traces[i].cluster === key);
    if (!inside.length) return [];
    const name = key === undefined ? null : (key === null ? "No cluster" : key === -1 ? "Noise" : "Cluster " + key) + " · " + plural(inside.length, "trace");
    return [name && element("h5", {}, name), element("div", { class: "samples" }, inside)].filter(Boolean);
  });
}

function traceNode(id, question, trace, open) {
  const facts = [];
  if (trace.cluster !== null) facts.push(clusterName(trace.cluster));
  if (trace.computed && trace.computed.signature) facts.push(trace.computed.signature);
  if (trace.hidden !== null) facts.push("hidden " + trace.hidden);
  if (trace.score !== null) facts.push("P(right) " + fixed(trace.score, 2));
  facts.push("ended: " + trace.finish);
  const answer = trace.status === null ? "not read yet" : trace.status === "ok" ? trace.answer : trace.status;
  const kind = trace.right === null ? "plain" : trace.right ? "right" : "wrong";
  const node = element("details", { class: "trace " + (trace.status === "ok" ? kind : "none"), "data-index": trace.index },
    element("summary", {}, element("span", { class: "index" }, "#" + trace.index), " ", element("b", {}, answer), " ",
      trace.status === "ok" ? verdict(trace.right) : null, element("span", { class: "meta" }, facts.join(" · ")), wrongCount(trace.computed)));
  node.addEventListener("toggle", () => {
    if (node.open && node.children.length === 1) node.append(...inTrace(id, question, trace));
  });
  node.open = open;
  return node;
}

function inTrace(id, question, trace) {
  const link = element("a", { class: "tracelink", href: addressOf(id, trace.index), "aria-label": "Link to trace " + trace.index }, "link to #" + trace.index);
  return [steps(trace), computation(trace.computed), alongTrace(trace), latentSection(question, trace), testedSection(trace), link].filter(Boolean);
}

function wrongCount(computed) {
  if (!computed || !computed.n_wrong) return null;
  return element("span", { class: "meta wrong" }, "✗ " + computed.n_wrong + " of " + plural(computed.n_checked, "equation") + " wrong");
}

function computation(computed) {
  if (!computed || !computed.signature) return null;
  const facts = [];
  if (computed.dataflow) facts.push("computes ", element("code", {}, computed.dataflow));
  if (computed.wrong_used) facts.push(" · a wrong result is used later");
  if (computed.follows !== null) facts.push(computed.follows ? " · the answer is a stated result" : " · the answer is no stated result");
  return element("p", { class: "computed" }, facts);
}

// Pieces of one step become one block; white space between steps is the gap between blocks.
function steps(trace) {
  const text = element("div", { class: "text", dir: "auto" });
  const cut = shading.on && trace.shade ? tokenCutter(trace.shade) : null;
  let block = null;
  let last;
  trace.pieces.forEach(([step, piece, stated, equation], i) => {
    const parts = cut ? cut(piece).map(shaded) : [document.createTextNode(visible(piece))];
    if (step === null && !piece.trim()) { last = undefined; return; }
    if (block === null || step !== last) {
      block = stepBlock(trace, step);
      text.append(block);
    }
    last = step;
    const shown = stated ? [element("mark", {}, parts)] : parts;
    if (equation === null) { block.append(...shown); return; }
    const check = trace.checks[equation];
    block.classList.add(check.wrong ? "false" : "true");
    block.append(element("span", { class: check.wrong ? "equation false" : "equation" }, shown));
    const next = trace.pieces[i + 1];
    if (check.wrong && (!next || next[3] !== equation)) block.append(correction(check));
  });
  if (block === null) text.append(element("div", { class: "gap" }, "(empty)"));
  return text;
}

// A step's block says its kind and the probe's score in a label, which is no part of the text.
function stepBlock(trace, step) {
  if (step === null) return element("div", { class: "gap" });
  const kind = KINDS_OF_STEPS.includes(trace.kinds[step]) ? trace.kinds[step] : null;
  const score = (trace.along || []).find((pair) => pair[0] === step);
  const label = [kind, score && score[1] !== null ? "P(right) " + fixed(score[1], 2) : null].filter(Boolean).join(" · ");
  return weigh(element("div", { class: kind ? "step " + kind : "step", "data-label": label || null }), trace, step);
}

// What a wrong equation comes to; the page's word beside the model's, so not part of its text.
function correction(check) {
  const value = check.value === null ? "wrong" : "is " + check.value;
  return element("span", { class: "correction" }, "✗ " + value + (check.used ? ", used later" : ""));
}
