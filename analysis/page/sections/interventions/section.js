// One trace whose steps were hidden one by one: choosing a step lights up what it moves.

function drawHiddenSteps(traces) {
  const node = find("hidden-steps");
  if (!node || !traces.length) return;
  const about = element("p", { class: "about" });
  const body = element("div", { class: "beside" });
  const readout = element("p", { class: "readout", "aria-live": "polite" });
  const show = (trace) => { hiddenAbout(about, trace); hiddenTrace(body, readout, trace); };
  const names = traces.map((trace, i) => [i, trace.id + " #" + trace.index + (trace.answer === null ? "" : " · " + trace.answer) + (trace.right === null ? "" : trace.right ? " ✓" : " ✗")]);
  node.replaceChildren(element("div", { class: "tools" }, choice("Trace", names, (value) => show(traces[Number(value)]))), about, readout, body);
  show(traces[0]);
}

function hiddenAbout(node, trace) {
  node.replaceChildren(...[
    element("a", { href: addressOf(trace.id, trace.index) }, trace.id + " #" + trace.index),
    trace.answer === null ? " · states no answer" : " · states ", trace.answer === null ? null : element("b", {}, trace.answer), " ", verdict(trace.right),
    trace.other === null ? null : [" · compared with ", element("b", {}, trace.other)],
    trace.steps.length < trace.n_steps ? " · the " + trace.steps.length + " of its " + trace.n_steps + " steps that move or are moved most" : " · " + plural(trace.n_steps, "step"),
  ].flat().filter(Boolean));
}

// What is left of a number once its control's is taken off; nothing is said where there is no control.
function beyond(value, control) {
  return [value, control].some((each) => each === null || each === undefined) ? null : value - control;
}

function spanWords(value, digits) {
  return value === null || value === undefined ? "no room for a random span" : "random span " + fixed(value, digits);
}

function hiddenTrace(body, readout, trace) {
  const last = trace.steps.length; // the answer's place
  const hidden = trace.steps.map((_, i) => i).filter((i) => trace.effect[i] !== null || trace.moved[i].some((value) => value !== null));
  // The answer moves by far more than steps do: each has a scale of its own.
  const mostOf = (wanted) => Math.max(1e-9, ...trace.moved.flatMap((line, i) => line.map((value, j) => (wanted(j) && beyond(value, trace.by_chance[i][j])) || 0)));
  const most = [mostOf((j) => j < last), mostOf((j) => j === last)];
  const options = trace.steps.map((step, i) => element("li", { role: "option", "aria-selected": "false", tabindex: "-1", class: hidden.includes(i) ? null : "unhidden", "data-place": i },
    element("span", { class: "number" }, step), element("span", { class: "said", dir: "auto" }, trace.texts[i] || "(no text)"), element("span", { class: "tally" })));
  const answer = element("div", { class: "final" }, element("span", { class: "number" }, "→"), element("span", { class: "said", dir: "auto" }, "The answer" + (trace.answer === null ? "" : " " + trace.answer)), element("span", { class: "tally" }));
  const lines = options.flatMap((option, i) => {
    const between = i === 0 ? trace.steps[0] : trace.steps[i] - trace.steps[i - 1] - 1;
    return between > 0 ? [element("li", { class: "skipped", role: "presentation" }, "⋯ " + plural(between, "step")), option] : [option];
  });
  const list = element("ol", { class: "trace-steps", role: "listbox", "aria-label": "Steps of trace " + trace.index + " of question " + trace.id + ": choose one to hide" }, lines);
  const matrices = hiddenMatrices(trace, hidden, readout);
  let chosen = null;

  const choose = (i) => {
    if (i === chosen) return;
    if (chosen !== null) { options[chosen].tabIndex = -1; options[chosen].setAttribute("aria-selected", "false"); }
    chosen = i;
    options[i].tabIndex = 0;
    options[i].setAttribute("aria-selected", "true");
    [...options, answer].forEach((each, j) => {
      const [own, by] = [trace.moved[i][j], trace.by_chance[i][j]];
      const light = j > i ? Math.max(0, beyond(own, by) || 0) / most[j < last ? 0 : 1] : 0;
      each.style.setProperty("--moved", light.toFixed(3));
      each.classList.toggle("moved", light > 0);
      each.classList.toggle("earlier", j < i);
      hiddenTally(each.querySelector(".tally"), trace, i, j, own, by);
    });
    matrices.mark(hidden.indexOf(i));
    readout.textContent = visible(hiddenWords(trace, i));
  };

  const placeOf = (event) => {
    const option = event.target.closest && event.target.closest("[role=option]");
    return option ? Number(option.dataset.place) : null;
  };
  const look = (event) => { const i = placeOf(event); if (i !== null) choose(i); };
  list.addEventListener("mouseover", look);
  list.addEventListener("focusin", look);
  list.addEventListener("click", (event) => { const i = placeOf(event); if (i !== null) options[i].focus({ preventScroll: true }); });
  list.addEventListener("keydown", (event) => {
    const to = { ArrowDown: chosen + 1, ArrowUp: chosen - 1, Home: 0, End: options.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (options[to]) options[to].focus();
  });
  matrices.look((row) => choose(hidden[row]));
  body.replaceChildren(element("div", { class: "trace-box" }, list, answer), matrices.node);
  const ranks = hidden.map((i) => { const value = beyond(trace.effect[i], trace.control[i]); return value === null ? -Infinity : value; });
  choose(hidden.length ? hidden[ranks.indexOf(Math.max(...ranks))] : 0);
}

// The step itself says what the answer loses without it; later ones how far they move.
function hiddenTally(node, trace, i, j, own, by) {
  const beside = (value, name) => [element("b", {}, name + " " + fixed(value, 2))];
  const random = (value) => (value === null ? "no control" : "random " + fixed(value, 2));
  if (j === i) node.replaceChildren(element("b", {}, trace.effect[i] === null ? "not hidden" : "hidden"));
  else if (j === trace.steps.length) node.replaceChildren(...(trace.effect[i] === null ? [] : [...beside(Math.abs(trace.effect[i]), trace.effect[i] < 0 ? "gains" : "loses"), random(trace.control[i])]));
  else if (own === null || own === undefined) node.replaceChildren();
  else node.replaceChildren(...beside(own, "KL"), random(by));
}

function hiddenWords(trace, i) {
  const step = "Step " + trace.steps[i];
  if (trace.effect[i] === null) return step + " was not hidden.";
  const answer = " hidden: the answer" + (trace.answer === null ? "" : " " + trace.answer) + (trace.effect[i] < 0 ? " gains " : " loses ") + fixed(Math.abs(trace.effect[i]), 2) + " nats of log-odds"
    + (trace.other === null ? "" : " against " + trace.other) + " (" + spanWords(trace.control[i], 2) + "). ";
  const later = trace.steps.map((number, j) => [number, trace.moved[i][j], trace.by_chance[i][j]]).filter(([, own], j) => j > i && own !== null);
  const above = later.filter(([, own, by]) => beyond(own, by) > 0).sort((a, b) => beyond(b[1], b[2]) - beyond(a[1], a[2])).slice(0, 3);
  if (!later.length) return step + answer + "No later step was read.";
  if (!above.length) return step + answer + "No later step is seen to move further than by a random span.";
  return step + answer + "Of later steps it moves most: " + above.map(([number, own, by]) => "step " + number + ", KL " + fixed(own, 2) + " (" + spanWords(by, 2) + ")").join("; ") + ".";
}

// Own and control as maps on one scale; a row is a hidden step, the last column the answer.
function hiddenMatrices(trace, hidden, readout) {
  const columns = trace.steps.map((_, j) => j).filter((j) => hidden.some((i) => trace.moved[i][j] !== null)).concat(trace.steps.length);
  const all = [trace.moved, trace.by_chance];
  const top = Math.max(...all.flatMap((matrix) => hidden.flatMap((i) => matrix[i].slice(0, -1).map((value) => value || 0)))) || 1;
  const name = (j) => (j === trace.steps.length ? "answer" : String(trace.steps[j]));
  const aside = element("p", { class: "readout" });
  const grids = all.map((matrix, which) => {
    const grid = element("div", {});
    heatMap(grid, {
      label: (which ? "A random span hidden" : "Step hidden") + ": KL at later steps", corner: "hidden", readout: aside,
      columns: columns.map(name), rows: hidden.map((i) => String(trace.steps[i])), hint: "A row is the hidden step, a column a later one.",
      cell: (row, column) => {
        const [i, j] = [hidden[row], columns[column]];
        const value = matrix[i][j];
        if (value === null || value === undefined) return { text: "", heat: null, words: "Step " + trace.steps[i] + ", " + name(j) + ": not later, or not read.", mark: false };
        return { text: fixed(value, 2), heat: value / top, mark: false, words: "Step " + trace.steps[i] + " hidden, at " + (j === trace.steps.length ? "the answer" : "step " + name(j)) + ": KL " + fixed(trace.moved[i][j], 3) + " nats, " + spanWords(trace.by_chance[i][j], 3) + "." };
      },
    });
    return grid;
  });
  const node = element("div", { class: "matrices" },
    ["step hidden", "control: random span of as many tokens"].map((words, which) => element("div", { class: "panel" }, element("p", {}, words), grids[which])), aside);
  const rowsOf = (grid) => [...grid.querySelectorAll("tbody tr")];
  return {
    node,
    mark: (row) => grids.forEach((grid) => rowsOf(grid).forEach((each, i) => each.classList.toggle("current", i === row))),
    look: (act) => grids.forEach((grid) => {
      const see = (event) => { const row = event.target.closest && event.target.closest("tbody tr"); if (row) act(row.rowIndex - 1); };
      grid.addEventListener("mouseover", see);
      grid.addEventListener("focusin", see);
    }),
  };
}

section("interventions", { start: drawHiddenSteps });
