// A long trace as a bar: its sections by category, its equations below, where it turns back above, and its answer's
// places across. A click goes there; the outline below does the same for the keyboard.

const BAR = { width: 1000, height: 36, top: 9, bottom: 24 };

function minimap(trace, sections, parts, go) {
  const { starts } = layoutOf(trace);
  const total = Math.max(1, starts[starts.length - 1]);
  const x = (place) => ((BAR.width * place) / total).toFixed(1);
  const wide = (section) => Math.max(0.5, (BAR.width * (starts[section.end] - starts[section.first])) / total).toFixed(1);
  const boxes = sections.map((section, i) => drawn("rect", {
    class: CATEGORIES.includes(section.kind) ? section.kind : "other", x: x(starts[section.first]), y: BAR.top, width: wide(section), height: BAR.bottom - BAR.top,
  }, drawn("title", {}, "section " + (i + 1) + ", " + section.kind)));
  const marks = { right: [], wrong: [], turn: [], answer: [] };
  const known = new Set();
  let last = null;
  trace.pieces.forEach(([step, , , equation], i) => {
    if (equation !== null && !known.has(equation)) { known.add(equation); marks[trace.checks[equation].wrong ? "wrong" : "right"].push(starts[i]); }
    if (step === null || step === last) return;
    last = step;
    if (trace.kinds[step] === "backtrack") marks.turn.push(starts[i]);
    if (trace.places && (step === trace.places.first || step === trace.places.changed)) marks.answer.push(starts[i]);
  });
  const [low, high] = [{ right: BAR.bottom + 3, wrong: BAR.bottom + 1, turn: 1, answer: 0 }, { right: BAR.height - 2, wrong: BAR.height, turn: BAR.top - 2, answer: BAR.height }];
  const ticks = Object.entries(marks).map(([name, places]) => drawn("path", { class: "tick-" + name, d: places.map((place) => "M" + x(place) + " " + low[name] + "V" + high[name]).join("") }));
  const frame = drawn("rect", { class: "frame", x: 0, y: BAR.top - 1, width: 0, height: BAR.bottom - BAR.top + 2 });
  const picture = drawn("svg", {
    viewBox: "0 0 " + BAR.width + " " + BAR.height, preserveAspectRatio: "none", role: "img",
    "aria-label": "Map of the trace: " + plural(sections.length, "section") + ", " + marks.right.length + " equations that hold, " + marks.wrong.length + " that don’t, " + plural(marks.turn.length, "backtrack") + ".",
  }, ...boxes, ...ticks, frame);
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    go(Math.min(total - 1, Math.max(0, Math.floor((total * (event.clientX - box.left)) / box.width))));
  });
  followScreen(sections, parts, frame, (section) => [Number(x(starts[section.first])), Number(wide(section))]);
  return element("div", { class: "minimap" }, picture);
}

// The frame stands around the sections that are on the screen.
function followScreen(sections, parts, frame, placeOf) {
  const seen = new Set();
  const watching = new IntersectionObserver((entries) => {
    for (const entry of entries) seen[entry.isIntersecting ? "add" : "delete"](Number(entry.target.dataset.section));
    const shown = [...seen];
    const [first, last] = [Math.min(...shown), Math.max(...shown)];
    const from = shown.length ? placeOf(sections[first])[0] : 0;
    frame.setAttribute("x", from);
    frame.setAttribute("width", shown.length ? placeOf(sections[last])[0] + placeOf(sections[last])[1] - from : 0);
  });
  for (const part of parts) watching.observe(part);
}
