// Puts the parts together: the list opens a question, the address names it, keys move between them.

const CHOOSE = find("question").textContent;
const page = read("page-data");
const store = QuestionStore(page.questions, page.shards);
let wanted = null; // the question that the address names
let opened = null; // [id, what is shown of it, a function that opens a trace]

const list = QuestionList(page.questions, (id) => { location.hash = addressOf(id); });
KindPanels(page.questions, list);
const traceSearch = TraceSearch(store, () => opened);

function openFromAddress() {
  const asked = readAddress();
  if (asked === null) { if (!location.hash) close(); return; }
  const again = opened !== null && opened[0] === asked.id;
  wanted = asked.id;
  list.mark(wanted);
  list.reveal(wanted);
  if (again) { goTo(asked); return; }
  opened = null;
  store.get(asked.id, (detail) => {
    if (wanted !== asked.id) return;
    opened = [asked.id, detail, showQuestion(find("question"), asked.id, detail, step)];
    traceSearch.update();
    goTo(asked);
  }, (reason) => {
    if (wanted !== asked.id) return;
    eraseMap();
    find("question").replaceChildren(element("p", { class: "notice" }, reason));
    goTo({ trace: null });
  });
}

function goTo({ trace, equation }) {
  const node = find("question");
  node.focus({ preventScroll: true });
  node.scrollIntoView({ block: "start" });
  if (trace !== null) opened[2](trace, equation);
}

function close() {
  wanted = opened = null;
  eraseMap();
  find("question").replaceChildren(element("p", { class: "aside" }, CHOOSE));
  traceSearch.update();
}

function step(by) {
  const id = list.neighbour(by);
  if (id === null) return;
  list.mark(id);
  list.reveal(id);
  if (wanted !== null) location.hash = addressOf(id);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing) return;
  if (event.key === "Escape" && wanted !== null) {
    history.pushState(null, "", location.pathname + location.search);
    close();
    find("questions").scrollIntoView({ block: "start" });
    find("question-table").closest(".scroll").focus({ preventScroll: true });
    return;
  }
  if (event.key === "j") scrollByPart(1);
  else if (event.key === "k") scrollByPart(-1);
  else if (event.key === "n") step(1);
  else if (event.key === "p") step(-1);
  else if (event.key === "/") { event.preventDefault(); find("search").focus(); }
  else if (event.key === "Enter" && list.current() !== null && !event.target.closest("a, button, summary, select, label")) {
    location.hash = addressOf(list.current());
  }
});

window.addEventListener("hashchange", openFromAddress);
openFromAddress();
const sent = (list) => list.filter(([name]) => page[name] !== undefined && page[name] !== null);
for (const [name, start] of sent(starts)) start(page[name]);
drawAllTables(page.figures);

const map = () => { if (opened !== null) drawMap(opened[1], opened[2]); };
const own = sent(drawings).map(([name, drawing]) => () => drawing(page[name]));
startPlotly(() => [map, ...figureDrawings(page.figures), ...own]);
