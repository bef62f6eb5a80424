// A long trace as an outline: its sections, each unfolded on demand, a map of it, and a search in it. The text of a
// section is written when it comes near the screen.

const FEW = 3; // sections up to which a trace opens as its text
const AHEAD = "800px 0px"; // around the screen, where text is written
const LEAD = 160; // characters of a section's beginning
const states = new WeakMap();

function isLong(trace) {
  return trace.sections.length > FEW;
}

// What a reader did with a trace; it outlives the trace's nodes.
function stateOf(trace) {
  if (!states.has(trace)) states.set(trace, { shown: false, open: new Set() });
  return states.get(trace);
}

const writing = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) entry.target.write();
}, { rootMargin: AHEAD });

window.addEventListener("beforeprint", () => {
  for (const node of document.querySelectorAll("#question details.part[open] > .body")) node.write();
});

// A trace to read. revealEquation(number) brings the equation's step into the page, whatever is folded.
function reading(trace) {
  const node = isLong(trace) ? outline(trace) : element("div", { class: "reading" }, steps(trace));
  const reveal = node.reveal || (() => {});
  node.revealEquation = (equation) => {
    const piece = trace.pieces.findIndex((each) => each[3] === equation);
    if (piece >= 0) reveal(layoutOf(trace).starts[piece]);
  };
  return node;
}

// The sections with their pieces, [first, end), and with what is counted in them.
function sectionsOf(trace) {
  const firsts = [];
  trace.pieces.forEach((piece, i) => {
    const next = trace.sections[firsts.length];
    if (next && piece[0] !== null && piece[0] >= next.first_step) firsts.push(i);
  });
  firsts[0] = 0;
  return trace.sections.slice(0, firsts.length).map((section, i) => {
    const [first, end] = [firsts[i], i + 1 < firsts.length ? firsts[i + 1] : trace.pieces.length];
    const pieces = trace.pieces.slice(first, end);
    const checks = [...new Set(pieces.map((piece) => piece[3]).filter((each) => each !== null))].map((each) => trace.checks[each]);
    const turns = trace.kinds.slice(section.first_step, section.last_step + 1).filter((kind) => kind === "backtrack").length;
    return {
      ...section, first: first, end: end, turns: turns,
      right: checks.filter((each) => !each.wrong).length, wrong: checks.filter((each) => each.wrong).length,
      corrected: checks.filter((each) => each.wrong && each.corrected).length,
      lead: pieces.map((piece) => piece[1]).join("").trimStart().slice(0, LEAD).replace(/\s+/g, " "),
    };
  });
}

function sectionTally(section, length) {
  return [
    section.n_tokens === null ? plural(length, "character") : plural(section.n_tokens, "token"),
    section.right ? "✓ " + section.right : null,
    section.wrong ? "✗ " + section.wrong + (section.corrected ? " (" + section.corrected + " corrected)" : "") : null,
    section.turns ? "↺ " + section.turns : null,
    section.logprob === null ? null : "log p " + fixed(section.logprob, 2),
  ].filter(Boolean).join(" · ");
}

function outline(trace) {
  const state = stateOf(trace);
  const { starts } = layoutOf(trace);
  const sections = sectionsOf(trace);
  const parts = sections.map((section, i) => partNode(trace, section, i, state));
  const list = element("ol", { class: "outline", "aria-label": "Sections" }, parts.map((part) => element("li", {}, part)));
  list.addEventListener("keydown", (event) => moveInOutline(event, list));
  const at = (place) => {
    const piece = pieceAt(trace, place);
    return Math.max(0, sections.findIndex((each) => piece < each.end));
  };
  const node = element("div", { class: "reading" });
  // The block of a place of the text, unfolded and written.
  node.reveal = (place) => {
    const part = parts[at(place)];
    part.closest("li").hidden = false;
    part.open = true;
    part.lastChild.write();
    const step = trace.pieces[pieceAt(trace, place)][0];
    return part.querySelector('[data-step="' + step + '"]') || part;
  };
  const go = (place) => {
    const target = node.reveal(place);
    parts[at(place)].firstChild.focus({ preventScroll: true });
    target.scrollIntoView({ block: "center" });
  };
  const fold = (open) => () => parts.forEach((part) => { part.open = open; });
  const search = searchIn(trace, sections, parts, node);
  const places = answerLinks(trace, sections, (step) => go(starts[trace.pieces.findIndex((piece) => piece[0] === step)]));
  node.append(
    element("div", { class: "steer readtools" }, search,
      element("button", { type: "button", onclick: fold(true) }, "unfold all"), element("button", { type: "button", onclick: fold(false) }, "fold all")),
    element("p", { class: "aside" }, plural(sections.length, "section"), sections.every((each) => each.n_tokens !== null) ? ", " + plural(sections.reduce((sum, each) => sum + each.n_tokens, 0), "token") : null, places),
    kindFilter(sections, parts),
    minimap(trace, sections, parts, go), list);
  return node;
}

function partNode(trace, section, i, state) {
  const { starts } = layoutOf(trace);
  const length = starts[section.end] - starts[section.first];
  const kind = CATEGORIES.includes(section.kind) ? section.kind : "other";
  const body = element("div", { class: "body" });
  const flags = answerFlags(trace, section.first_step, section.last_step);
  const part = element("details", { class: "part " + kind, "data-section": i },
    element("summary", {}, element("span", { class: "number" }, i + 1), element("span", { class: "category" }, section.kind), element("span", { class: "lead", dir: "auto" }, section.lead),
      element("span", { class: "tally" }, sectionTally(section, length)), flags.length ? element("span", { class: "flag" }, flags.join(", ")) : null), body);
  body.placed = null;
  body.write = () => {
    if (body.placed) return;
    const { node, placed } = stepsBetween(trace, section.first, section.end);
    body.style.minHeight = "";
    body.replaceChildren(node);
    body.placed = placed;
    writing.unobserve(body);
    body.dispatchEvent(new Event("written"));
  };
  const unfold = () => {
    state.open[part.open ? "add" : "delete"](i);
    if (!part.open || body.placed) return;
    // About its height, so that little moves when it is written.
    const steps = section.last_step - section.first_step + 1;
    body.style.minHeight = Math.ceil(length / Math.max(20, (body.clientWidth || 700) / 8)) * 22 + 8 * steps + "px";
    writing.observe(body);
  };
  part.addEventListener("toggle", unfold);
  part.open = state.open.has(i);
  return part;
}

// Up and down move from section to section, right and left unfold and fold.
function moveInOutline(event, list) {
  const summary = event.target.closest("summary");
  if (!summary || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const part = summary.parentNode;
  if (!part.matches(".part")) return;
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") part.open = event.key === "ArrowRight";
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const all = [...list.querySelectorAll("li:not([hidden]) > .part > summary")];
    const next = all[all.indexOf(summary) + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) next.focus();
  } else return;
  event.preventDefault();
}

// Where the answer first appears and where it is last changed, as links into the outline.
function answerLinks(trace, sections, go) {
  if (!trace.places) return null;
  const link = (words, step) => {
    const i = sections.findIndex((each) => each.first_step <= step && step <= each.last_step);
    return step === null || i < 0 ? null : [" · ", element("button", { type: "button", class: "jump", onclick: () => go(step) }, words + " in section " + (i + 1))];
  };
  return [link("answer first appears", trace.places.first), link("last changed", trace.places.changed)];
}

// Each category with its number of sections; pressed, the outline shows its sections only.
function kindFilter(sections, parts) {
  const counts = new Map(CATEGORIES.map((kind) => [kind, 0]));
  for (const section of sections) counts.set(section.kind, (counts.get(section.kind) || 0) + 1);
  let chosen = null;
  const buttons = [...counts].filter(([, n]) => n).map(([kind, n]) => {
    const button = element("button", { type: "button", class: "chip category " + (CATEGORIES.includes(kind) ? kind : "other"), "aria-pressed": "false", "data-category": kind }, kind + " ", element("b", {}, n));
    button.addEventListener("click", () => {
      chosen = chosen === kind ? null : kind;
      for (const each of buttons) each.setAttribute("aria-pressed", String(each.dataset.category === chosen));
      parts.forEach((part, i) => { part.parentNode.hidden = chosen !== null && sections[i].kind !== chosen; });
    });
    return button;
  });
  return element("div", { class: "chips", role: "group", "aria-label": "Show sections of one category" }, buttons);
}
