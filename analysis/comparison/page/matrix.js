// The matrix of questions by runs: sorts by a click on a head, filters, moves by arrow keys, opens a cell's run.

const STATES = {
  right: ["✓", "right"], wrong: ["✗", "wrong"], tied: ["=", "tied"],
  none: ["∅", "no valid answer"], unjudged: ["?", "no gold"],
};
const PAGE = 200;
const MANY = 5; // runs up to which their names stand across

// The words of a cell, which are its label too.
function cellWords(row, run, cell) {
  const where = row.id + ", " + run.letter + " (" + run.name + "): ";
  if (cell === null) return where + "not asked";
  const counted = cell.state === "tied" && cell.right !== null ? ", which counts as " + (cell.right ? "right" : "wrong") : "";
  const answer = cell.answer === null ? "" : ", answer " + cell.answer + counted + (cell.share === null ? "" : ", " + percent(cell.share) + " of valid answers");
  const right = cell.accuracy === null ? "" : "; " + percent(cell.accuracy) + " of " + plural(cell.n, "trace") + " right";
  return where + STATES[cell.state][1] + answer + right;
}

function Matrix(rows, runs, open) {
  const table = find("matrix");
  const body = table.tBodies[0];
  const order = new Intl.Collator("en", { numeric: true });
  const haystacks = new Map(rows.map((row) => [row, [row.id, row.text, row.gold, ...row.cells.map((cell) => cell && cell.answer)].join(" ").toLowerCase()]));
  const columns = [
    { key: "id", head: "Question", value: (row) => row.id },
    ...runs.map((run, i) => ({ key: "run" + i, head: run.letter, run: run, number: true, value: (row) => row.cells[i] && row.cells[i].accuracy })),
    { key: "spread", head: "Differ", number: true, value: (row) => row.spread, show: (row) => fixed(row.spread, 2) },
    { key: "accuracy", head: "Right", number: true, value: (row) => row.accuracy, show: (row) => percent(row.accuracy) },
    { key: "gold", head: "Gold", value: (row) => row.gold, show: (row) => row.gold },
    { key: "text", head: "Asked", cell: "wide", value: (row) => row.text, show: (row) => row.text },
  ];
  let sort = { key: null, down: true }; // null: as the page has them, those on which runs differ most first
  let limit = PAGE;
  let shown = rows;
  let current = null; // {id, run}: the question that is open, and the run that was chosen
  let place = [0, 1]; // row and column of the cell that Tab reaches

  // A missing value comes last, whichever way the column is sorted.
  function compare(a, b) {
    const column = columns.find((each) => each.key === sort.key);
    const [x, y] = [column.value(a), column.value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    const difference = typeof x === "string" ? order.compare(x, y) : x - y;
    return sort.down ? -difference : difference;
  }

  function heads() {
    const cells = columns.map((column) => {
      const active = sort.key === column.key || (sort.key === null && column.key === "spread");
      const sign = element("span", { "aria-hidden": "true" }, active ? (sort.down ? " ↓" : " ↑") : "");
      const name = column.run ? [element("b", { class: "letter" }, column.head, sign), element("span", { class: "name" }, column.run.name.split(/(?<=,)/).map((part) => [part, element("wbr")]))] : [column.head, sign];
      const button = element("button", { type: "button", title: column.run && visible(column.run.name), onclick: () => sortBy(column) }, name);
      return element("th", { scope: "col", class: [column.number && "num", column.run && "run"].filter(Boolean).join(" ") || null, "aria-sort": active ? (sort.down ? "descending" : "ascending") : "none" }, button);
    });
    table.tHead.replaceChildren(element("tr", {}, cells));
  }

  function sortBy(column) {
    const same = sort.key === column.key || (sort.key === null && column.key === "spread");
    sort = { key: column.key, down: same ? !sort.down : Boolean(column.number) };
    update();
    table.tHead.rows[0].cells[columns.indexOf(column)].firstChild.focus();
  }

  function cellNode(row, column) {
    if (column.key === "id") return element("th", { scope: "row", tabindex: "-1" }, element("a", { href: pairAddress({ id: row.id }), tabindex: "-1" }, row.id));
    if (!column.run) return element("td", { class: [column.number && "num", column.cell].filter(Boolean).join(" ") || null, tabindex: "-1" }, column.show(row) === null ? "–" : column.show(row));
    const i = runs.indexOf(column.run);
    const cell = row.cells[i];
    const node = element("td", { class: "cell " + (cell === null ? "absent" : cell.state), tabindex: "-1", "data-run": i, "aria-label": visible(cellWords(row, column.run, cell)) });
    if (cell !== null) node.append(STATES[cell.state][0], element("small", {}, cell.accuracy === null ? "" : " " + Math.round(100 * cell.accuracy)));
    return node;
  }

  function update() {
    const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = find("differing").checked;
    shown = rows.filter((row) => (!only || row.differs) && words.every((word) => haystacks.get(row).includes(word)));
    if (sort.key !== null) shown.sort(compare);
    else if (!sort.down) shown.reverse();
    heads();
    body.replaceChildren(...shown.slice(0, limit).map((row) => element("tr", { "data-id": row.id }, columns.map((column) => cellNode(row, column)))));
    find("shown").textContent = shown.length === rows.length ? plural(rows.length, "question") : grouped(shown.length) + " of " + plural(rows.length, "question");
    offerMore(find("more"), shown.length - limit);
    place = [0, 1];
    reach(place);
    mark(current);
  }

  // The cell that Tab reaches; it has the focus only where `focus` says so.
  function reach([i, j], focus) {
    const old = body.querySelector('[tabindex="0"]');
    if (old) old.tabIndex = -1;
    const node = body.rows[i] && body.rows[i].cells[j];
    if (!node) return;
    place = [i, j];
    node.tabIndex = 0;
    if (focus) node.focus();
  }

  function mark(chosen) {
    current = chosen;
    for (const cell of body.querySelectorAll("[aria-selected]")) cell.removeAttribute("aria-selected");
    for (const row of body.querySelectorAll(".current")) row.classList.remove("current");
    const row = chosen === null ? null : rowOf(chosen.id);
    if (row === null) return;
    row.classList.add("current");
    for (const run of chosen.runs) row.querySelector('[data-run="' + run + '"]')?.setAttribute("aria-selected", "true");
  }

  function rowOf(id) {
    return [...body.rows].find((row) => row.dataset.id === id) || null;
  }

  function reveal(id) {
    const [row, box] = [rowOf(id), table.closest(".scroll")];
    if (!row) return;
    const head = table.tHead.offsetHeight;
    if (row.offsetTop - head < box.scrollTop) box.scrollTop = row.offsetTop - head;
    const low = row.offsetTop + row.offsetHeight - box.clientHeight;
    if (low > box.scrollTop) box.scrollTop = low;
  }

  // The question before or after the open one, as the matrix stands; null at either end.
  function neighbour(by) {
    const at = current === null ? -1 : shown.findIndex((row) => row.id === current.id);
    const next = shown[at < 0 ? 0 : at + by];
    return next && shown.indexOf(next) < limit ? next.id : null;
  }

  function back() {
    const row = current === null ? null : rowOf(current.id);
    reach(row === null ? place : [row.sectionRowIndex, place[1]], true);
  }

  function chosen(event) {
    const cell = event.target.closest("tbody td, tbody th");
    if (!cell) return false;
    const id = cell.parentNode.dataset.id;
    open(id, cell.dataset.run === undefined ? null : Number(cell.dataset.run));
    return true;
  }

  body.addEventListener("click", (event) => {
    const cell = event.target.closest("td, th");
    if (cell) reach([cell.parentNode.sectionRowIndex, cell.cellIndex]);
    if (chosen(event)) event.preventDefault();
  });
  const say = (event) => {
    const cell = event.target.closest("[data-run]");
    if (cell) find("cell-words").textContent = cell.getAttribute("aria-label");
  };
  body.addEventListener("mouseover", say);
  body.addEventListener("focusin", say);
  body.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td, th");
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    const [i, j] = [cell.parentNode.sectionRowIndex, cell.cellIndex];
    const to = { ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], Home: [i, 0], End: [i, columns.length - 1] }[event.key];
    if (event.key === "Enter" || event.key === " ") chosen(event);
    else if (to && body.rows[to[0]] && body.rows[to[0]].cells[to[1]]) reach(to, true);
    else if (!to) return;
    event.preventDefault();
    event.stopPropagation();
  });
  table.closest(".scroll").classList.toggle("many", runs.length > MANY);
  find("search").addEventListener("input", update);
  find("differing").addEventListener("change", update);
  find("more").addEventListener("click", () => { limit += MORE; update(); });
  update();
  return { mark, reveal, neighbour, back };
}
