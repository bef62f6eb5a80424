// The question table: sort by a click on a head, search, move with j and k, open with Enter.

const COLUMNS = [
  { key: "id", head: "Id" },
  { key: "right", head: "Verdict", show: (row) => verdict(row.right) || "–" },
  { key: "kinds", head: "Kinds", cell: "kinds", show: (row) => kindTags(row.kinds) },
  { key: "suspicion", head: "Suspicion", number: true, show: (row) => fixed(row.suspicion, 2) },
  { key: "text", head: "Question", cell: "wide" },
  { key: "majority", head: "Majority" },
  { key: "gold", head: "Gold" },
  { key: "share", head: "Share", number: true, show: (row) => percent(row.share) + (row.tied ? " tie" : "") },
  { key: "n_answers", head: "Answers", number: true },
  { key: "n_clusters", head: "Clusters", number: true },
  { key: "n_hidden", head: "Hidden", number: true },
  { key: "moved", head: "States moved", number: true, show: (row) => row.moved === null ? "–" : percent(row.moved) },
];
const PAGE = 300;

function QuestionList(rows, open) {
  const body = find("question-table").tBodies[0];
  const order = new Intl.Collator("en", { numeric: true });
  const haystacks = new Map(rows.map((row) => [row, haystack(row)]));
  const filled = (row, key) => row[key] !== null && row[key].length !== 0;
  const columns = COLUMNS.filter((column) => rows.some((row) => filled(row, column.key)));
  const ranked = columns.some((column) => column.key === "suspicion");
  let sort = { key: ranked ? "suspicion" : null, down: true };
  let limit = PAGE;
  let shown = [];
  let current = null;
  let chosen = null; // the kind that the table shows; null for all
  let told = () => {};

  function haystack(row) {
    return [row.id, row.text, row.gold, row.majority, row.kinds.join(" ")].join(" ").toLowerCase();
  }

  // A missing value comes last, whichever way the column is sorted.
  function compare(a, b) {
    if (sort.key === null) return 0; // the order of the run
    if (!filled(a, sort.key) || !filled(b, sort.key)) return filled(b, sort.key) - filled(a, sort.key);
    const [x, y] = [a[sort.key], b[sort.key]];
    const difference = typeof x === "string" || Array.isArray(x) ? order.compare(x, y) : x - y;
    return sort.down ? -difference : difference;
  }

  function heads() {
    const cells = columns.map((column) => {
      const active = sort.key === column.key;
      const button = element("button", { type: "button", onclick: () => sortBy(column) },
        column.head, element("span", { "aria-hidden": "true" }, active ? (sort.down ? " ↓" : " ↑") : ""));
      const state = active ? (sort.down ? "descending" : "ascending") : "none";
      return element("th", { scope: "col", class: column.number && "num", "aria-sort": state }, button);
    });
    find("question-table").tHead.replaceChildren(element("tr", {}, cells));
  }

  function sortBy(column) {
    const down = sort.key === column.key ? !sort.down : Boolean(column.number);
    sort = { key: column.key, down: down };
    update();
  }

  function cell(column, row) {
    if (column.key === "id") {
      const link = element("a", { href: addressOf(row.id) }, row.id);
      return element("th", { scope: "row" }, link);
    }
    const value = column.show ? column.show(row) : row[column.key];
    const classes = [column.number && "num", column.cell].filter(Boolean).join(" ");
    return element("td", { class: classes || null }, value === null ? "–" : value);
  }

  function update() {
    const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = (row) => (chosen === null || row.kinds.includes(chosen))
      && words.every((word) => haystacks.get(row).includes(word));
    shown = rows.filter(matches).sort(compare);
    heads();
    body.replaceChildren(...shown.slice(0, limit).map((row) =>
      element("tr", { "data-id": row.id, onclick: () => choose(row.id) },
        columns.map((column) => cell(column, row)))));
    find("shown").textContent = shown.length === rows.length
      ? plural(rows.length, "question") : grouped(shown.length) + " of " + plural(rows.length, "question");
    offerMore(find("more"), shown.length - limit);
    mark(current);
  }

  function rowOf(id) {
    return [...body.rows].find((row) => row.dataset.id === id) || null;
  }

  function mark(id) {
    current = id;
    for (const row of body.rows) row.classList.toggle("current", row.dataset.id === id);
  }

  function choose(id) {
    mark(id);
    open(id);
  }

  function reveal(id) {
    const [row, box] = [rowOf(id), body.closest(".scroll")];
    if (!row) return;
    const head = find("question-table").tHead.offsetHeight;
    if (row.offsetTop - head < box.scrollTop) box.scrollTop = row.offsetTop - head;
    const low = row.offsetTop + row.offsetHeight - box.clientHeight;
    if (low > box.scrollTop) box.scrollTop = low;
  }

  // The question before or after the current one, as the table stands; null at either end.
  function neighbour(by) {
    const at = shown.findIndex((row) => row.id === current);
    const next = shown[at < 0 ? 0 : at + by];
    return next && shown.indexOf(next) < limit ? next.id : null;
  }

  // Chips and panels show one state, the kind that is chosen, in one order.
  function chips() {
    const counts = new Map();
    for (const row of rows) for (const kind of row.kinds) counts.set(kind, (counts.get(kind) || 0) + 1);
    const kinds = [...document.querySelectorAll("[data-kind]")].map((panel) => panel.dataset.kind);
    find("kinds").replaceChildren(...kinds.filter((kind) => counts.has(kind)).map((kind) =>
      element("button", { type: "button", class: "chip", "aria-pressed": String(kind === chosen), "data-chip": kind, onclick: () => filter(kind) },
        kind + " ", element("b", {}, counts.get(kind)))));
  }

  // A second click takes the filter off.
  function filter(kind) {
    chosen = kind === chosen ? null : kind;
    for (const chip of find("kinds").children) chip.setAttribute("aria-pressed", String(chip.dataset.chip === chosen));
    told(chosen);
    update();
  }

  find("search").addEventListener("input", update);
  find("more").addEventListener("click", () => { limit += MORE; update(); });
  chips();
  update();
  return { mark, reveal, neighbour, filter, current: () => current, kind: () => chosen, onfilter: (tell) => { told = tell; } };
}
