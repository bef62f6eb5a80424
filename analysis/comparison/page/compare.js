// Puts the parts together: the matrix opens a question, the address names it, keys move between them.

const CHOOSE = find("question").textContent;
const page = read("page-data");
const store = QuestionStore(page.questions, page.shards);
let wanted = null; // the question that the address names
let beside = null; // the runs that stand side by side, kept from question to question

const list = Matrix(page.questions, page.runs, (id, run) => {
  const row = page.questions.find((each) => each.id === id);
  const sides = pickSides(row, run, page.baseline);
  beside = run === null ? null : sides.map((side) => side.run);
  location.hash = pairAddress({ id, sides });
});

function openFromAddress() {
  const asked = readPair();
  if (asked === null) { if (!location.hash) close(); return; }
  const row = page.questions.find((each) => each.id === asked.id);
  const sides = asked.sides || (row ? pickSides(row, null, page.baseline) : []);
  wanted = asked.id;
  const mark = () => list.mark({ id: wanted, runs: sides.map((side) => side.run) });
  mark();
  list.reveal(wanted);
  const moved = () => {
    beside = sides.map((side) => side.run);
    history.replaceState(null, "", pairAddress({ id: wanted, sides }));
    mark();
  };
  store.get(asked.id, (detail) => {
    if (wanted !== asked.id) return;
    showPair(find("question"), asked.id, detail, page.runs, sides, { step, moved });
    goTo();
  }, (reason) => {
    if (wanted !== asked.id) return;
    find("question").replaceChildren(element("p", { class: "notice" }, reason));
    goTo();
  });
}

function goTo() {
  const node = find("question");
  node.focus({ preventScroll: true });
  node.scrollIntoView({ block: "start" });
}

function close() {
  wanted = null;
  find("question").replaceChildren(element("p", { class: "aside" }, CHOOSE));
}

// The next question, of the same two runs where a reader chose them.
function step(by) {
  const id = list.neighbour(by);
  if (id === null) return;
  const sides = beside === null ? null : beside.map((run) => ({ run, trace: null }));
  location.hash = pairAddress({ id, sides });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing) return;
  if (event.key === "Escape" && wanted !== null) {
    history.pushState(null, "", location.pathname + location.search);
    find("questions").scrollIntoView({ block: "start" });
    list.back();
    close();
    list.mark(null);
    return;
  }
  if (event.key === "j") scrollByPart(1);
  else if (event.key === "k") scrollByPart(-1);
  else if (event.key === "n") step(1);
  else if (event.key === "p") step(-1);
  else if (event.key === "/") { event.preventDefault(); find("search").focus(); }
});

window.addEventListener("hashchange", openFromAddress);
openFromAddress();
startPlotly(() => figureDrawings(page.figures));
