// A panel a kind: one mark a question, which opens it; a button that filters the table.

// Arrow keys move between the marks of a panel, which is one stop for the Tab key.
function marks(rows) {
  const links = rows.map((row, i) => {
    const state = row.right === null ? "no gold" : row.right ? "majority right" : "majority wrong";
    const name = row.id + ", " + state;
    const classes = "mark" + (row.right === null ? "" : row.right ? " right" : " wrong");
    return element("a", {
      class: classes, href: "#q=" + encodeURIComponent(row.id), tabindex: i === 0 ? "0" : "-1",
      "aria-label": visible(name), title: visible(row.id + ": " + row.text),
    });
  });
  const move = (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const from = links.indexOf(event.target);
    const to = links[from + by];
    if (!by || from < 0) return;
    event.preventDefault();
    if (!to) return;
    links[from].tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  };
  return element("div", { class: "marks", role: "group", "aria-label": plural(rows.length, "question"), onkeydown: move }, links);
}

// rows come most suspicious first; past MOST_MARKS the table has the others.
const MOST_MARKS = 400;

function KindPanels(rows, list) {
  const panels = [...document.querySelectorAll("[data-kind]")];
  for (const panel of panels) {
    const kind = panel.dataset.kind;
    const own = rows.filter((row) => row.kinds.includes(kind));
    const dots = panel.querySelector(".dots");
    if (dots) dots.replaceChildren(marks(own.slice(0, MOST_MARKS)));
    if (own.length > MOST_MARKS) dots.append(element("p", { class: "note" }, (own.length - MOST_MARKS) + " more in the table"));
    const button = panel.querySelector("button.filter");
    if (button) button.addEventListener("click", () => {
      list.filter(kind);
      if (list.kind() === kind) find("questions").scrollIntoView({ block: "start" });
    });
  }
  list.onfilter((kind) => {
    for (const panel of panels) {
      const button = panel.querySelector("button.filter");
      if (button) button.setAttribute("aria-pressed", String(panel.dataset.kind === kind));
    }
  });
}
