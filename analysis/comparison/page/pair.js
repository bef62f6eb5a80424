// A question that is open: a trace of one run beside a trace of another.

// The address names the question, and the run and trace on each side: #q=ID, or #q=ID&a=0.3&b=2.1 (run, trace).
function pairAddress({ id, sides }) {
  const named = (sides || []).map(({ run, trace }, i) => "&" + "ab"[i] + "=" + run + (trace === null ? "" : "." + trace));
  return "#q=" + encodeURIComponent(id) + named.join("");
}

// {id, sides: null or two of {run, trace}}; null where the address names no question.
function readPair() {
  const found = /^#q=(.*?)(?:&a=(\d+)(?:\.(\d+))?&b=(\d+)(?:\.(\d+))?)?$/s.exec(location.hash);
  if (!found) return null;
  let id = found[1];
  try { id = decodeURIComponent(id); } catch (error) { /* not encoded: taken as it stands */ }
  const numbered = (text) => (text === undefined ? null : Number(text));
  const sides = found[2] === undefined ? null : [[2, 3], [4, 5]].map(([run, trace]) => ({ run: Number(found[run]), trace: numbered(found[trace]) }));
  return { id, sides };
}

// Which two runs stand side by side: the chosen one beside the baseline; without one, the first whose verdict is another's.
function pickSides(row, chosen, baseline) {
  const there = row.cells.flatMap((cell, i) => (cell === null ? [] : [i]));
  const left = there.includes(baseline) ? baseline : there[0];
  const others = there.filter((i) => i !== left);
  const unlike = others.find((i) => row.cells[i].state !== row.cells[left].state);
  const right = [chosen === left ? undefined : chosen, unlike, others[0], left].find((i) => i !== undefined && i !== null);
  return [{ run: left, trace: null }, { run: right, trace: null }];
}

// The trace that speaks for a run: the first with the vote's answer, else the first.
function spokesman(side) {
  const own = side.vote && side.traces.find((trace) => trace.answer === side.vote.answer);
  return own || side.traces[0] || null;
}

// One side. What it shows is `side`, {run, trace, greedy}, which changes with the choices; `moved` is told of it. The lists
// stay as they are, so that they keep the focus and what is typed.
function sideSection(question, runs, side, name, moved) {
  const node = element("section", { class: "side" });
  const stated = element("span", { class: "stated" });
  const runChoice = choice(name, runs.map((run, i) => [i, run.letter + " · " + visible(run.name) + (question.runs[i] ? "" : " (not asked)")]), (value) => {
    Object.assign(side, { run: Number(value), trace: null, greedy: false });
    write();
    moved();
  });
  runChoice.classList.add("which-run");
  runChoice.querySelector("select").value = side.run;

  function write() {
    const shown = question.runs[side.run] || null;
    node.setAttribute("aria-label", name + ": " + visible(runs[side.run] ? runs[side.run].name : "no such run"));
    stated.replaceChildren();
    for (const each of [...node.children].slice(1)) each.remove();
    if (shown === null) {
      node.append(element("p", { class: "aside" }, "This run was not asked the question."));
      return;
    }
    if (shown.vote) {
      stated.append("votes ", element("b", {}, answerText(shown.vote.answer === null ? "no valid answer" : shown.vote.answer)), " ", verdict(shown.vote.right) || "", shown.vote.tied ? " tie" : "");
    }
    node.append(element("div", {}, votes(shown), promptSection(shown)));
    node.append(...(shown.traces === null
      ? [element("p", { class: "notice" }, "This page is full: it carries the traces of questions on which runs differ more. Read these with cot show RUN QUESTION.")]
      : chosenTrace(shown, side, moved)));
  }
  node.append(element("div", { class: "steer" }, runChoice, stated));
  write();
  return node;
}

// The list of a run's traces, and the one that is chosen.
function chosenTrace(shown, side, moved) {
  const every = new Map([...(shown.greedy ? [["greedy", shown.greedy]] : []), ...shown.traces.map((trace) => [String(trace.index), trace])]);
  const given = side.greedy && shown.greedy ? "greedy" : every.has(String(side.trace)) ? String(side.trace) : null;
  const first = spokesman(shown);
  if (given === null && first === null) return [element("p", { class: "aside" }, "No trace.")];
  const name = given === null ? String(first.index) : given;
  const label = ([key, trace]) => [key, (key === "greedy" ? "greedy" : "#" + key) + " · " + visible(answerOf(trace)) + (trace.answer === null || trace.right === null ? "" : trace.right ? " ✓ right" : " ✗ wrong")];
  const box = element("div", {}, traceColumn(every.get(name)));
  const traceChoice = choice("Trace", [...every].map(label), (value) => {
    Object.assign(side, { trace: value === "greedy" ? null : Number(value), greedy: value === "greedy" });
    box.replaceChildren(traceColumn(every.get(value)));
    moved();
  });
  traceChoice.classList.add("which-trace");
  traceChoice.querySelector("select").value = name;
  return [traceChoice, box];
}

// Writes the open question; `moved` is told when what is side by side changes.
function showPair(node, id, question, runs, sides, { step, moved }) {
  const choices = question.choices && element("ol", { class: "choices", type: "A" }, question.choices.map((each) => element("li", {}, withFormulas(each))));
  node.replaceChildren(
    element("header", {},
      element("div", { class: "steer" },
        element("h3", {}, "Question ", element("span", { class: "id" }, id)),
        element("button", { type: "button", onclick: () => step(-1), "aria-label": "Previous question" }, "← previous"),
        element("button", { type: "button", onclick: () => step(1), "aria-label": "Next question" }, "next →"),
        element("a", { href: "#questions" }, "matrix ↑")),
      element("p", { class: "asked" }, withFormulas(question.text)), ...(choices ? [choices] : []),
      element("p", { class: "gold" }, "Gold: ", element("b", {}, question.gold === null ? "none" : answerText(question.gold)))),
    element("div", { class: "sides" }, sides.map((side, i) => sideSection(question, runs, side, i ? "Right" : "Left", moved))),
    element("p", { class: "caption" }, "Bars: traces by the answer that they state; those without a valid one don’t vote. A run opens with the first trace that states its vote’s answer. The box marks the stated answer; a step’s bar is blue where its equations hold, double and orange where one does not, grey where none can be checked."));
}
