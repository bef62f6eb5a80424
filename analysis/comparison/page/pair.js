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

function sideSection(question, runs, side, name, change) {
  const shown = question.runs[side.run] || null;
  const runChoice = choice(name, runs.map((run, i) => [i, run.letter + " · " + visible(run.name) + (question.runs[i] ? "" : " (not asked)")]), (value) => change({ run: Number(value), trace: null }, "run"));
  runChoice.classList.add("which-run");
  runChoice.querySelector("select").value = side.run;
  const node = element("section", { class: "side", "aria-label": name + ": " + visible(runs[side.run] ? runs[side.run].name : "no such run") });
  const head = element("div", { class: "steer" }, runChoice);
  if (shown === null) {
    node.append(head, element("p", { class: "aside" }, "This run was not asked the question."));
    return node;
  }
  if (shown.vote) head.append(element("span", { class: "stated" }, "votes ", element("b", {}, answerText(shown.vote.answer === null ? "no valid answer" : shown.vote.answer)), " ", verdict(shown.vote.right), shown.vote.tied ? " tie" : ""));
  node.append(head, element("div", {}, votes(shown), promptSection(shown)));
  if (shown.traces === null) {
    node.append(element("p", { class: "notice" }, "This page is full: it carries the traces of questions on which runs differ more. Read these with cot show RUN QUESTION."));
    return node;
  }
  const every = [...(shown.greedy ? [["greedy", shown.greedy]] : []), ...shown.traces.map((trace) => [String(trace.index), trace])];
  const fits = every.find(([key, trace]) => key !== "greedy" && trace.index === side.trace);
  const trace = side.greedy ? shown.greedy : fits ? fits[1] : spokesman(shown);
  if (!trace) {
    node.append(element("p", { class: "aside" }, "No trace."));
    return node;
  }
  const label = ([key, each]) => [key, (key === "greedy" ? "greedy" : "#" + key) + " · " + visible(answerOf(each)) + (each.answer === null || each.right === null ? "" : each.right ? " ✓ right" : " ✗ wrong")];
  const traceChoice = choice("Trace", every.map(label), (value) => change(value === "greedy" ? { run: side.run, trace: null, greedy: true } : { run: side.run, trace: Number(value) }, "trace"));
  traceChoice.classList.add("which-trace");
  traceChoice.querySelector("select").value = trace === shown.greedy ? "greedy" : trace.index;
  node.append(traceChoice, traceColumn(trace));
  return node;
}

// Writes the open question; `moved` is told what is side by side whenever that changes.
function showPair(node, id, question, runs, sides, { step, moved }) {
  const box = element("div", { class: "sides" });
  const write = (focus) => {
    box.replaceChildren(...sides.map((side, i) => sideSection(question, runs, side, i ? "Right" : "Left", (next, what) => {
      sides[i] = next;
      moved(sides);
      write([i, what]);
    })));
    if (focus) {
      const select = box.children[focus[0]].querySelector(".which-" + focus[1] + " select");
      if (select) select.focus();
    }
  };
  const choices = question.choices && element("ol", { class: "choices", type: "A" }, question.choices.map((each) => element("li", {}, withFormulas(each))));
  node.replaceChildren(
    element("header", {},
      element("div", { class: "steer" },
        element("h3", {}, "Question ", element("span", { class: "id" }, id)),
        element("button", { type: "button", onclick: () => step(-1), "aria-label": "Previous question" }, "← previous"),
        element("button", { type: "button", onclick: () => step(1), "aria-label": "Next question" }, "next →"),
        element("a", { href: "#questions" }, "matrix ↑")),
      element("p", { class: "asked" }, withFormulas(question.text)), choices,
      element("p", { class: "gold" }, "Gold: ", element("b", {}, question.gold === null ? "none" : answerText(question.gold)))),
    box,
    element("p", { class: "caption" }, "Bars: traces by the answer that they state; those without a valid one don’t vote. A run opens with the first trace that states its vote’s answer. The box marks the stated answer; a step’s bar is blue where its equations hold, double and orange where one does not, grey where none can be checked."));
  write(null);
}
