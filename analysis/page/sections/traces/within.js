// Search within one long trace: how often the words stand in it, and from one place to the next, unfolding what is
// found. Places are painted by the browser's highlights, which change no node.

const painted = window.CSS && CSS.highlights ? { found: new Highlight(), here: new Highlight() } : null;
if (painted) {
  painted.here.priority = 1;
  CSS.highlights.set("found", painted.found);
  CSS.highlights.set("found-here", painted.here);
}

// What people type, as it stands, whatever white space is between the words.
function patternOf(words, flags) {
  return new RegExp(words.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+"), flags);
}

function searchIn(trace, sections, parts, node) {
  const { starts } = layoutOf(trace);
  const status = element("span", { class: "aside", role: "status" });
  const input = element("input", { type: "search", autocomplete: "off", spellcheck: "false", "aria-label": "Search in this trace", placeholder: "search in this trace" });
  let [matches, current, timer] = [[], -1, null];

  function paint() {
    if (!painted) return;
    for (const highlight of [painted.found, painted.here]) {
      for (const range of [...highlight]) if (!range.startContainer.isConnected || node.contains(range.startContainer)) highlight.delete(range);
    }
    parts.forEach((part, i) => {
      const { placed } = part.lastChild;
      if (!placed) return;
      const [low, high] = [starts[sections[i].first], starts[sections[i].end]];
      matches.forEach((match, k) => {
        if (match.start < high && low < match.end) for (const range of rangesOf(placed, match)) painted[k === current ? "here" : "found"].add(range);
      });
    });
  }

  function update() {
    matches = [];
    current = -1;
    if (input.value.trim()) {
      for (const match of textOf(trace).matchAll(patternOf(input.value, "giu"))) matches.push({ start: match.index, end: match.index + match[0].length });
    }
    say();
    paint();
  }

  function say() {
    status.textContent = !input.value.trim() ? "" : !matches.length ? "not found" : (current < 0 ? "" : current + 1 + " of ") + matches.length + (current < 0 ? " found" : "");
  }

  function step(by) {
    clearTimeout(timer);
    if (timer !== null) update();
    timer = null;
    if (!matches.length) return;
    current = current < 0 && by < 0 ? matches.length - 1 : (current + by + matches.length) % matches.length;
    const block = node.reveal(matches[current].start);
    for (const each of node.querySelectorAll(".found-here")) each.classList.remove("found-here");
    block.classList.add("found-here");
    block.scrollIntoView({ block: "center" });
    say();
    paint();
  }

  for (const part of parts) part.lastChild.addEventListener("written", () => { if (matches.length) paint(); });
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => { timer = null; update(); }, PAUSE); });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    step(event.shiftKey ? -1 : 1);
  });
  return element("div", { class: "within", role: "search" }, input, status,
    element("button", { type: "button", "aria-label": "Previous place found", onclick: () => step(-1) }, "↑"),
    element("button", { type: "button", "aria-label": "Next place found", onclick: () => step(1) }, "↓"));
}

// A place of the text as ranges of the nodes that hold it; all of a node whose text isn't the model's letter by letter.
function rangesOf(placed, { start, end }) {
  return placed.filter(([from, to]) => from < end && start < to).map(([from, to, part]) => {
    const range = new Range();
    const text = part.nodeType === Node.TEXT_NODE ? part : part.firstChild;
    if (text && text.nodeType === Node.TEXT_NODE && text.length === to - from) {
      range.setStart(text, Math.max(0, start - from));
      range.setEnd(text, Math.min(to, end) - from);
    } else range.selectNodeContents(part);
    return range;
  });
}
