// One trace's text, its steps shaded by an attribution, with the numbers of all methods and of knock-out.

function drawShadedSteps(traces) {
  const node = find("shaded-steps");
  if (!node || !traces.length) return;
  const about = element("p", { class: "about" });
  const body = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Steps shaded by attribution" });
  let [trace, column] = [traces[0], 0];
  const methods = element("span", {});
  const show = () => { shadedAbout(about, trace); body.replaceChildren(shadedTable(trace, column)); };
  const open = (next) => {
    trace = next;
    column = Math.min(column, trace.names.length - 1);
    const by = choice("Shade by", trace.names.map((name, i) => [i, name]), (value) => { column = Number(value); show(); });
    by.querySelector("select").value = String(column);
    methods.replaceChildren(by);
    show();
  };
  const names = traces.map((each, i) => [i, each.id + " #" + each.index + (each.answer === null ? "" : " · " + each.answer) + (each.right === null ? "" : each.right ? " ✓" : " ✗")]);
  node.replaceChildren(element("div", { class: "tools" }, choice("Trace", names, (value) => open(traces[Number(value)])), methods), about, body);
  open(trace);
}

function shadedAbout(node, trace) {
  node.replaceChildren(...[
    element("a", { href: addressOf(trace.id, trace.index) }, trace.id + " #" + trace.index),
    trace.answer === null ? " · states no answer" : " · states ", trace.answer === null ? null : element("b", {}, trace.answer), " ", verdict(trace.right),
    trace.steps.length < trace.n_steps ? " · the " + trace.steps.length + " of its " + plural(trace.n_steps, "step") + " with the largest numbers" : " · " + plural(trace.n_steps, "step"),
  ].filter(Boolean));
}

// A cell's colour by its value, full at the largest of its column among the rows given.
function shadeCell(node, value, most) {
  if (!value) return node; // nothing known, or 0
  node.classList.add(value < 0 ? "under" : "over");
  node.style.setProperty("--heat", (Math.abs(value) / most).toFixed(3));
  return node;
}

function shadedTable(trace, column) {
  const most = trace.names.map((_, j) => Math.max(1e-9, ...trace.values.map((line) => Math.abs(line[j] || 0))));
  const row = (name, said, line, step) => element("tr", { class: step ? null : "part" },
    element("th", { scope: "row" }, name),
    step ? shadeCell(element("td", { class: "said", dir: "auto" }, said), line[column], most[column]) : element("td", { class: "said" }, said),
    line.map((value, j) => {
      const cell = element("td", { class: "num" + (j === column ? " chosen" : "") }, value === null ? "–" : fixed(value, 2));
      return step ? shadeCell(cell, value, most[j]) : cell;
    }));
  const head = element("tr", {}, element("th", { scope: "col" }, "Step"), element("th", { scope: "col" }, "Text, shaded by " + trace.names[column]),
    trace.names.map((name) => element("th", { scope: "col", class: "num" }, name)));
  const steps = trace.steps.map((step, i) => row(String(step), trace.texts[i] || "(no text)", trace.values[i], true));
  const parts = trace.parts.map((part, i) => row(part, "", trace.others[i], false));
  return element("table", { class: "shaded" }, element("caption", { class: "hidden" }, "Trace " + trace.index + " of question " + trace.id + ": nats of log-odds by step"),
    element("thead", {}, head), element("tbody", {}, steps), ...(parts.length ? [element("tbody", { class: "parts" }, parts)] : []));
}

section("attribution", { start: drawShadedSteps });
