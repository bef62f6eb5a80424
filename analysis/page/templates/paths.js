// The paths of a question side by side: what names each, and the trace that lies in its middle.

const MOST = 4; // paths that stand side by side

function medoidSection(question, open) {
  if (!question.traces) return null;
  const named = question.paths.filter((path) => path.medoid !== null && path.path !== -1);
  const cards = named.slice(0, MOST).map((path) => medoid(question, path, open)).filter(Boolean);
  if (!cards.length) return null;
  const some = named.length > MOST ? "The " + MOST + " largest of " + named.length + " paths. " : "";
  return element("section", {}, element("h4", {}, "Paths side by side"),
    element("div", { class: "medoids" }, cards),
    element("p", { class: "caption" }, some + "Each path by its medoid, the trace that is nearest to all others of it, and by the terms that tell it from the question's other paths. Dotted: an equation that holds; ✗: one that does not, and what it comes to."));
}

function medoid(question, path, open) {
  const trace = question.traces.find((each) => each.index === path.medoid);
  if (!trace) return null;
  const signature = trace.computed && trace.computed.signature;
  return element("article", { class: "medoid", "data-path": path.path },
    element("h5", {}, element("span", { class: "glyph", "aria-hidden": "true" }, pathShape(question, path.path)[1]), "Path " + path.path + " · " + plural(path.n, "trace")),
    path.terms && element("p", { class: "terms" }, path.terms),
    element("p", { class: "meta" },
      element("button", { type: "button", "aria-label": "Open trace " + trace.index, onclick: () => open(trace.index) }, "#" + trace.index), " ",
      element("b", {}, answerOf(trace)), " ", trace.answer === null ? null : verdict(trace.right), signature && [" · ", element("code", {}, signature)], wrongCount(trace.computed)),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Medoid of path " + path.path }, steps(trace), computation(trace.computed)));
}
