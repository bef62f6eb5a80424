// The clusters of a question side by side: what names each, and the trace that lies in its middle.

const MOST = 4; // clusters that stand side by side

function medoidSection(question, open) {
  if (!question.traces) return null;
  const named = question.clusters.filter((cluster) => cluster.medoid !== null && cluster.cluster !== -1);
  const cards = named.slice(0, MOST).map((cluster) => medoid(question, cluster, open)).filter(Boolean);
  if (!cards.length) return null;
  const some = named.length > MOST ? "The " + MOST + " largest of " + named.length + " clusters. " : "";
  return element("section", {}, element("h4", {}, "Clusters side by side"),
    element("div", { class: "medoids" }, cards),
    element("p", { class: "caption" }, some + "Each cluster by its medoid, the trace that is nearest to all others of it, and by the terms that tell it from the question's other clusters. Dotted: an equation that holds; ✗: one that does not, and what it comes to."));
}

function medoid(question, cluster, open) {
  const trace = question.traces.find((each) => each.index === cluster.medoid);
  if (!trace) return null;
  const signature = trace.computed && trace.computed.signature;
  return element("article", { class: "medoid", "data-cluster": cluster.cluster },
    element("h5", {}, element("span", { class: "glyph", "aria-hidden": "true" }, clusterShape(question, cluster.cluster)[1]), "Cluster " + cluster.cluster + " · " + plural(cluster.n, "trace")),
    cluster.terms && element("p", { class: "terms" }, cluster.terms),
    element("p", { class: "meta" },
      element("button", { type: "button", "aria-label": "Open trace " + trace.index, onclick: () => open(trace.index) }, "#" + trace.index), " ",
      element("b", {}, answerText(answerOf(trace))), " ", trace.answer === null ? null : verdict(trace.right), signature && [" · ", element("code", {}, signature)], wrongCount(trace.computed)),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Medoid of cluster " + cluster.cluster }, reading(trace), computation(trace.computed)));
}
