// One question in depth: its votes, answers against paths, and every trace with its steps.

const LONG = 12000; // characters of traces above which they start folded

function showQuestion(node, id, question, step) {
  const chosen = { answer: undefined, path: undefined };
  const traces = element("div", { class: "traces" });
  const refresh = () => traces.replaceChildren(...traceSection(question, chosen, refresh));
  node.replaceChildren(
    heading(id, question, step),
    element("div", { class: "columns" }, votes(question), crossing(question, chosen, refresh)),
    traces,
  );
  refresh();
}

function heading(id, question, step) {
  const vote = question.vote;
  const facts = [["Gold", question.gold === null ? "none" : question.gold]];
  if (vote) facts.push(["Majority", vote.answer === null ? "no valid answer" : vote.answer], ["Share", percent(vote.share)]);
  const agreed = question.agreement;
  if (agreed) {
    facts.push(["Suspicion", fixed(agreed.suspicion, 2)]);
    for (const [pair, value] of Object.entries(agreed.ami)) facts.push(["AMI " + pair, fixed(value, 2)]);
  }
  const choices = question.choices && element("ol", { class: "choices", type: "A" },
    question.choices.map((choice) => element("li", {}, choice)));
  return element("header", {},
    element("div", { class: "steer" },
      element("h3", {}, "Question ", element("span", { class: "id" }, id)),
      element("button", { type: "button", onclick: () => step(-1), "aria-label": "Previous question" }, "← previous"),
      element("button", { type: "button", onclick: () => step(1), "aria-label": "Next question" }, "next →"),
      element("a", { href: "#questions" }, "table ↑")),
    element("p", { class: "asked" }, question.text), choices,
    element("dl", { class: "facts" }, facts.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value, name === "Majority" ? [" ", verdict(vote.right)] : null)))),
    agreed && element("p", { class: "why" }, agreed.kinds.map((kind) => element("span", { class: "kind" }, kind)), " ", agreed.why),
  );
}

function votes(question) {
  const excluded = Object.entries(question.excluded);
  const most = Math.max(1, ...question.answers.map((entry) => entry.n), ...excluded.map((entry) => entry[1]));
  const bar = (label, n, kind, mark) => {
    const fill = element("span", { class: "fill " + kind });
    fill.style.width = (100 * n) / most + "%";
    return element("li", {}, element("span", { class: "label" }, label, " ", mark),
      element("span", { class: "bar" }, fill), element("span", { class: "num" }, n));
  };
  const bars = question.answers.map((entry) => bar(entry.answer, entry.n,
    entry.right === null ? "plain" : entry.right ? "right" : "wrong", verdict(entry.right)));
  for (const [status, n] of excluded) bars.push(bar(status + ", no vote", n, "none", null));
  return element("section", {}, element("h4", {}, "Votes"),
    bars.length ? element("ul", { class: "bars" }, bars) : element("p", { class: "aside" }, "No answers have been read yet."),
    element("p", { class: "caption" }, "Traces by the answer class that they state. Traces without a valid answer don't vote."));
}

function crossing(question, chosen, refresh) {
  if (!question.paths.length) return null;
  const most = Math.max(...question.paths.flatMap((path) => path.counts), 1);
  const rows = question.answers.map((entry, i) => ({ name: entry.answer, mark: verdict(entry.right), counts: question.paths.map((path) => path.counts[i]) }));
  if (question.paths.some((path) => path.none)) rows.push({ name: null, mark: null, counts: question.paths.map((path) => path.none) });
  const pick = (answer, path) => {
    const same = chosen.answer === answer && chosen.path === path;
    chosen.answer = same ? undefined : answer;
    chosen.path = same ? undefined : path;
    refresh();
  };
  const cell = (row, i) => {
    const n = row.counts[i];
    if (!n) return element("td", { class: "num zero" }, "0");
    const label = plural(n, "trace") + ": answer " + (row.name === null ? "none" : row.name) + ", path " + question.paths[i].path;
    const button = element("button", { type: "button", "aria-label": visible(label), onclick: () => pick(row.name, question.paths[i].path) }, n);
    button.style.setProperty("--heat", 12 + Math.round((58 * n) / most) + "%");
    return element("td", { class: "num" }, button);
  };
  const head = element("tr", {}, element("th", { scope: "col" }, "Answer"),
    question.paths.map((path) => element("th", { scope: "col", class: "num" },
      element("button", { type: "button", onclick: () => pick(undefined, path.path) }, "path " + path.path), element("small", {}, plural(path.n, "trace")))));
  const body = rows.map((row) => element("tr", {},
    element("th", { scope: "row" }, row.name === null ? "no answer" : row.name, " ", row.mark), question.paths.map((_, i) => cell(row, i))));
  return element("section", {}, element("h4", {}, "Answers by path"),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Answers by path" },
      element("table", { class: "crossing" }, element("thead", {}, head), element("tbody", {}, body))),
    element("p", { class: "caption" }, "Number of traces with each answer and reasoning path. A cell or a path chooses the traces below."));
}

function traceSection(question, chosen, refresh) {
  if (question.traces === null) {
    return [element("p", { class: "notice" }, "This page is full: it carries the traces of more suspicious questions. Read these with cot show RUN QUESTION.")];
  }
  const fits = (trace) => (chosen.answer === undefined || trace.answer === chosen.answer) && (chosen.path === undefined || trace.path === chosen.path);
  const traces = question.traces.filter(fits);
  const size = traces.reduce((sum, trace) => sum + trace.pieces.reduce((inner, piece) => inner + piece[1].length, 0), 0);
  const nodes = traces.map((trace) => traceNode(trace, size <= LONG));
  const fold = (open) => () => nodes.forEach((node) => { node.open = open; });
  const all = traces.length === question.traces.length;
  return [
    element("div", { class: "steer" }, element("h4", {}, all ? plural(traces.length, "trace") : traces.length + " of " + plural(question.traces.length, "trace")),
      all ? null : element("button", { type: "button", onclick: () => { chosen.answer = chosen.path = undefined; refresh(); } }, "show all"),
      element("button", { type: "button", onclick: fold(true) }, "expand"), element("button", { type: "button", onclick: fold(false) }, "collapse")),
    ...groups(question, traces, nodes),
    element("p", { class: "caption" }, "Each trace as the model wrote it: a bar to the left marks a step, the box marks the stated answer. P(right) is the probe's cross-fitted score; it says how the trace ranks, not how likely it is to be right."),
  ];
}

// Traces stand by path, the largest first, so that a path can be read as one; else in one group.
function groups(question, traces, nodes) {
  const keys = question.paths.length ? [...question.paths.map((path) => path.path), null] : [undefined];
  return keys.flatMap((key) => {
    const inside = nodes.filter((_, i) => key === undefined || traces[i].path === key);
    if (!inside.length) return [];
    const name = key === undefined ? null : (key === null ? "No path" : "Path " + key) + " · " + plural(inside.length, "trace");
    return [name && element("h5", {}, name), element("div", { class: "samples" }, inside)].filter(Boolean);
  });
}

function traceNode(trace, open) {
  const facts = [];
  if (trace.path !== null) facts.push("path " + trace.path);
  if (trace.hidden !== null) facts.push("hidden " + trace.hidden);
  if (trace.score !== null) facts.push("P(right) " + fixed(trace.score, 2));
  facts.push("ended: " + trace.finish);
  const answer = trace.status === null ? "not read yet" : trace.status === "ok" ? trace.answer : trace.status;
  const kind = trace.right === null ? "plain" : trace.right ? "right" : "wrong";
  const node = element("details", { class: "trace " + (trace.status === "ok" ? kind : "none"), "data-index": trace.index },
    element("summary", {}, element("span", { class: "index" }, "#" + trace.index), " ", element("b", {}, answer), " ",
      trace.status === "ok" ? verdict(trace.right) : null, element("span", { class: "meta" }, facts.join(" · "))));
  node.addEventListener("toggle", () => { if (node.open && node.children.length === 1) node.append(steps(trace.pieces)); });
  node.open = open;
  return node;
}

// Pieces of one step become one block; white space between steps is the gap between blocks.
function steps(pieces) {
  const text = element("div", { class: "text", dir: "auto" });
  let block = null;
  let last;
  for (const [step, piece, stated] of pieces) {
    if (step === null && !piece.trim()) { last = undefined; continue; }
    if (block === null || step !== last) {
      block = element("div", { class: step === null ? "gap" : "step" });
      text.append(block);
    }
    last = step;
    block.append(stated ? element("mark", {}, piece) : document.createTextNode(visible(piece)));
  }
  if (block === null) text.append(element("div", { class: "gap" }, "(empty)"));
  return text;
}
