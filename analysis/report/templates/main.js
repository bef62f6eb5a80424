// Puts the parts together: the list opens a question, the address names it, keys move between them.

const page = read("page-data");
let details = null; // read when the first question is opened
let opened = null;

const list = QuestionList(page.questions, (id) => { location.hash = "q=" + encodeURIComponent(id); });
KindPanels(page.questions, list);

function openFromAddress() {
  if (!location.hash.startsWith("#q=")) return;
  let id = location.hash.slice(3);
  try { id = decodeURIComponent(id); } catch (error) { /* not encoded: taken as it stands */ }
  details = details || new Map(Object.entries(read("detail-data")));
  const node = find("question");
  list.mark(id);
  list.reveal(id);
  opened = details.has(id) ? id : null;
  if (opened === null) node.replaceChildren(element("p", { class: "notice" }, "There is no question " + id + "."));
  else showQuestion(node, id, details.get(id), step);
  node.focus({ preventScroll: true });
  node.scrollIntoView({ block: "start" });
}

function step(by) {
  const id = list.neighbour(by);
  if (id === null) return;
  list.mark(id);
  list.reveal(id);
  if (opened !== null) location.hash = "q=" + encodeURIComponent(id);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing) return;
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "/") { event.preventDefault(); find("search").focus(); }
  else if (event.key === "Enter" && list.current() !== null && !event.target.closest("a, button, summary")) {
    location.hash = "q=" + encodeURIComponent(list.current());
  }
});

window.addEventListener("hashchange", openFromAddress);
drawTokens(page.tokens);
if (page.similarity) drawSimilarity(page.similarity);
if (window.Plotly) {
  drawAll(page);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    drawAll(page);
    if (opened !== null) drawMap(details.get(opened));
  });
}
openFromAddress();
