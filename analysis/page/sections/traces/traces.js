// Every trace of a question: its answer, what it computes, and its text in steps.

const LONG = 12000; // characters of traces above which they start folded

// What of a question's traces is shown (undefined: all), and which two stand side by side.
function nothingChosen() {
  return { answer: undefined, cluster: undefined, verdict: "", pair: [] };
}

function isChosen(chosen) {
  return chosen.answer !== undefined || chosen.cluster !== undefined || chosen.verdict !== "";
}

const VERDICTS = [["", "all"], ["right", "right"], ["wrong", "wrong"], ["none", "no valid answer"]];

// right, wrong, none (no valid answer), or unknown (no gold, or not read yet).
function verdictOf(trace) {
  if (trace.status !== null && trace.status !== "ok") return "none";
  return trace.right === null ? "unknown" : trace.right ? "right" : "wrong";
}

function textOf(trace) {
  return trace.pieces.map((piece) => piece[1]).join("");
}

function traceSection(id, question, chosen, refresh) {
  if (question.traces === null) {
    return [element("p", { class: "notice" }, "This page is full: it carries the traces of more suspicious questions. Read these with cot show RUN QUESTION.")];
  }
  const fits = (trace) => (chosen.answer === undefined || trace.answer === chosen.answer)
    && (chosen.cluster === undefined || trace.cluster === chosen.cluster) && (chosen.verdict === "" || verdictOf(trace) === chosen.verdict);
  const traces = question.traces.filter(fits);
  const size = traces.reduce((sum, trace) => sum + textOf(trace).length, 0);
  const details = traces.map((trace) => traceNode(id, question, trace, size <= LONG));
  const pair = pairing(question, chosen);
  const nodes = details.map((node, i) => element("div", { class: "sample" }, node, pair.box(traces[i])));
  const fold = (open) => () => details.forEach((node) => { node.open = open; });
  const all = !isChosen(chosen);
  const clear = () => { Object.assign(chosen, nothingChosen(), { pair: chosen.pair }); refresh(); document.querySelector("#question .verdicts select").focus(); };
  const verdicts = choice("Show", VERDICTS, (value) => { chosen.verdict = value; refresh(); document.querySelector("#question .verdicts select").focus(); });
  verdicts.classList.add("verdicts");
  verdicts.querySelector("select").value = chosen.verdict;
  return [
    element("div", { class: "steer" },
      element("h4", { role: "status" }, all ? plural(traces.length, "trace") : traces.length + " of " + plural(question.traces.length, "trace")),
      verdicts, all ? null : element("button", { type: "button", onclick: clear }, "show all"),
      element("button", { type: "button", onclick: fold(true) }, "expand"), element("button", { type: "button", onclick: fold(false) }, "collapse"), shadeSwitch(question, refresh), sourceSwitch(question, refresh)),
    pair.node,
    ...greedySection(question),
    ...groups(question, traces, nodes),
    element("p", { class: "caption" }, "Each trace as the model wrote it, step by step; the box marks the stated answer. A step’s bar is blue where its equations hold, double and orange where one does not, grey where none can be checked. A long trace opens as its sections. P(right) is the probe’s cross-fitted score: it ranks traces and is no probability."),
    ...[shadeCaption(question, page.traces.shading), ...testedCaptions(question)].map((text) => element("p", { class: "caption" }, text)),
  ];
}

// The greedy trace stands before the sampled ones. It is no vote.
function greedySection(question) {
  if (!question.greedy) return [];
  const node = traceNode(null, question, question.greedy, false);
  return [element("h5", {}, "Greedy trace, which does not vote"), element("div", { class: "samples" }, node)];
}

// One of two traces that stand side by side.
function traceColumn(trace) {
  return element("article", { class: "medoid", "data-pair": trace.index },
    element("h5", {}, "#" + trace.index + " ", element("b", {}, answerText(answerOf(trace))), " ", trace.answer === null ? null : verdict(trace.right), wrongCount(trace.computed)),
    reading(trace), computation(trace.computed));
}

// Two traces side by side: those whose boxes are ticked. A third takes the place of the first.
function pairing(question, chosen) {
  const node = element("section", { class: "pairing", tabindex: "-1", "aria-label": "Two traces side by side" });
  const boxes = new Map();
  const column = (index) => traceColumn(question.traces.find((each) => each.index === index));
  const show = () => {
    for (const [index, box] of boxes) box.checked = chosen.pair.includes(index);
    const [first, second] = chosen.pair;
    const close = () => { chosen.pair = []; show(); boxes.get(first)?.focus(); };
    node.replaceChildren(...(second === undefined
      ? [element("p", { class: "aside", role: "status" }, first === undefined ? "Tick two traces to see them side by side." : "#" + first + " is ticked: tick another to see both side by side.")]
      : [element("div", { class: "steer" }, element("h4", {}, "Traces #" + first + " and #" + second + " side by side"),
          element("button", { type: "button", onclick: close }, "close")),
        element("div", { class: "medoids" }, column(first), column(second))]));
  };
  const tick = (index, on) => {
    chosen.pair = [...chosen.pair.filter((each) => each !== index), ...(on ? [index] : [])].slice(-2);
    show();
    if (on && chosen.pair.length === 2) {
      node.scrollIntoView({ block: "start" });
      node.focus({ preventScroll: true });
    }
  };
  const box = (trace) => {
    const input = element("input", { type: "checkbox", onchange: () => tick(trace.index, input.checked) });
    input.checked = chosen.pair.includes(trace.index);
    boxes.set(trace.index, input);
    return element("label", { class: "tick" }, input, " side by side", element("span", { class: "hidden" }, ": trace " + trace.index));
  };
  show();
  return { node, box };
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
  const greedy = trace === question.greedy;
  const node = element("details", { class: "trace " + (trace.status === "ok" ? kind : "none") + (greedy ? " greedy" : "") + (isLong(trace) ? " long" : ""), "data-index": greedy ? null : trace.index },
    element("summary", {}, element("span", { class: "index" }, greedy ? "greedy" : "#" + trace.index), " ", element("b", {}, answerText(answer)), " ",
      trace.status === "ok" ? verdict(trace.right) : null, element("span", { class: "meta" }, facts.join(" · ")), wrongCount(trace.computed)));
  node.fill = () => { if (node.children.length === 1) node.append(...inTrace(id, question, trace)); };
  node.addEventListener("toggle", () => { if (node.open) node.fill(); });
  node.addEventListener("toggle", () => { stateOf(trace).shown = node.open; });
  node.open = open || (isLong(trace) && stateOf(trace).shown);
  if (node.open) node.fill(); // at once, so that nothing moves after a link has scrolled here
  return node;
}

function inTrace(id, question, trace) {
  if (trace === question.greedy) return [reading(trace)];
  const link = element("a", { class: "tracelink", href: addressOf(id, trace.index), "aria-label": "Link to trace " + trace.index }, "link to #" + trace.index);
  return [reading(trace), computation(trace.computed), alongTrace(trace), latentSection(question, trace), testedSection(trace), link].filter(Boolean);
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
