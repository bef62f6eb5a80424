// Clusters on the left, answers on the right: how the traces of each cluster end, as bands.

const FLOW = { width: 460, left: 96, right: 300, node: 12, slot: 15, gap: 7, unit: 150, most: 7, letters: 20 };

// An element of SVG; text children are set as text.
function drawn(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.map((child) => (child instanceof Node ? child : visible(child))));
  return node;
}

// The most frequent stand alone; the others are one node.
function flowNodes(entries, name) {
  const kept = entries.slice(0, entries.length > FLOW.most + 1 ? FLOW.most : FLOW.most + 1);
  const rest = entries.length - kept.length;
  const nodes = kept.map((entry, i) => ({ ...name(entry), of: [i] }));
  if (rest) nodes.push({ label: rest + " others", shade: "soft", of: entries.slice(kept.length).map((_, i) => kept.length + i) });
  return nodes;
}

function flowSection(question) {
  if (!question.clusters.length || !question.answers.length) return null;
  const shades = answerColours(question);
  const lefts = flowNodes(question.clusters, (cluster) => ({ label: clusterShape(question, cluster.cluster)[1] + " " + clusterName(cluster.cluster), shade: "soft" }));
  const ends = [...question.answers];
  if (question.clusters.some((cluster) => cluster.none)) ends.push({ answer: null, right: null });
  const rights = flowNodes(ends, (entry) => ({
    label: entry.answer === null ? "no answer" : entry.answer, shade: shades.get(entry.answer), mark: entry.right,
  }));
  const ending = (cluster, end) => (ends[end].answer === null ? cluster.none : cluster.counts[end]);
  const between = lefts.map((left) => rights.map((right) =>
    left.of.reduce((sum, i) => sum + right.of.reduce((inner, j) => inner + ending(question.clusters[i], j), 0), 0)));
  const n = between.flat().reduce((sum, value) => sum + value, 0);
  if (!n) return null;
  lefts.forEach((left, i) => { left.n = between[i].reduce((sum, value) => sum + value, 0); });
  rights.forEach((right, j) => { right.n = between.reduce((sum, row) => sum + row[j], 0); });
  const height = Math.max(stack(lefts, n), stack(rights, n));
  const picture = drawn("svg", {
    class: "flow", viewBox: "0 0 " + FLOW.width + " " + height, role: "img",
    "aria-label": "Flow of " + plural(n, "trace") + " from " + plural(question.clusters.length, "cluster") + " to " + plural(question.answers.length, "answer") + "; the numbers are in the table Answers by cluster.",
  });
  lefts.forEach((left, i) => rights.forEach((right, j) => {
    if (between[i][j]) picture.append(ribbon(left, right, between[i][j], n));
  }));
  lefts.forEach((left) => picture.append(...flowNode(left, FLOW.left, n, true)));
  rights.forEach((right) => picture.append(...flowNode(right, FLOW.right, n, false)));
  return element("section", {}, element("h4", {}, "From clusters to answers"), picture,
    element("p", { class: "caption" }, "Each band is the traces of a cluster that end in an answer; its width is their number, of " + plural(n, "trace") + " with a cluster. ✓ right, ✗ wrong. Counts of one question, without interval: they show where clusters and answers part, not that one causes the other."));
}

// Places the nodes of a column from above; its height.
function stack(nodes, n) {
  let y = 2;
  for (const node of nodes) {
    node.height = Math.max(1, (FLOW.unit * node.n) / n);
    node.y = y;
    node.used = 0;
    y += Math.max(node.height, FLOW.slot) + FLOW.gap;
  }
  return Math.ceil(y);
}

function ribbon(left, right, count, n) {
  const [x0, x1] = [FLOW.left + FLOW.node, FLOW.right];
  const middle = (x0 + x1) / 2;
  const thick = (FLOW.unit * count) / n;
  const [a, b] = [left.y + left.used, right.y + right.used];
  left.used += thick;
  right.used += thick;
  const edge = (from, to, start, end) => "C" + [middle, start, middle, end, to, end].join(" ");
  const path = "M" + x0 + " " + a + edge(x0, x1, a, b) + "L" + x1 + " " + (b + thick) + edge(x1, x0, b + thick, a + thick) + "Z";
  const node = drawn("path", { d: path, class: "ribbon" }, drawn("title", {}, left.label + " → " + right.label + ": " + plural(count, "trace")));
  node.style.setProperty("fill", "var(--" + right.shade + ")");
  return node;
}

function flowNode(node, x, n, left) {
  const box = drawn("rect", { x: x, y: node.y, width: FLOW.node, height: node.height, rx: 2 });
  box.style.setProperty("fill", "var(--" + node.shade + ")");
  const letters = Array.from(node.label);
  const short = letters.length > FLOW.letters ? letters.slice(0, FLOW.letters - 1).join("") + "…" : node.label;
  const mark = node.mark === undefined || node.mark === null ? "" : node.mark ? " ✓" : " ✗";
  const text = drawn("text", {
    x: left ? x - 6 : x + FLOW.node + 6, y: node.y + Math.max(node.height, FLOW.slot) / 2, "dominant-baseline": "central",
    "text-anchor": left ? "end" : "start",
  }, short + mark + " · " + node.n);
  return [box, text];
}
