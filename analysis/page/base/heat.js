// Heat maps as tables: text in cells, a colour by value, and a line below that says what a cell holds.
// A cell is shown by pointing at it, or by the arrow keys once the map has the focus.

// A cell is {text, heat, words, mark}: heat from -1 (orange) over 0 (bare) to 1 (blue), null for none.
// Maps beside each other may share a line, `readout`; else the map makes its own.
function heatMap(node, { label, corner, columns, rows, cell, hint, readout }) {
  const line = readout || element("p", { class: "readout", "aria-live": "polite" });
  line.textContent = hint;
  const head = element("tr", {}, element("td", { class: "corner" }, corner),
    columns.map((name) => element("th", { scope: "col", title: visible(name) }, name)));
  const body = rows.map((name, i) => element("tr", {}, element("th", { scope: "row" }, name),
    columns.map((_, j) => {
      const { text, heat, mark } = cell(i, j);
      const side = heat === null ? "none" : heat < 0 ? "under" : "over";
      const place = element("td", { class: side + (mark ? " best" : ""), tabindex: i || j ? "-1" : "0" }, text);
      if (heat !== null) place.style.setProperty("--heat", Math.min(1, Math.abs(heat)).toFixed(3));
      return place;
    })));
  const table = element("table", { class: "heat", "aria-label": label }, element("thead", {}, head), element("tbody", {}, body));
  const where = (target) => {
    const place = target.closest && target.closest("tbody td");
    return place && [place.parentNode.rowIndex - 1, place.cellIndex - 1, place];
  };
  const say = (event) => {
    const at = where(event.target);
    if (at) line.textContent = visible(cell(at[0], at[1]).words);
  };
  table.addEventListener("mouseover", say);
  table.addEventListener("focusin", say);
  table.addEventListener("keydown", (event) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const at = where(event.target);
    if (!by || !at) return;
    const row = table.tBodies[0].rows[at[0] + by[0]];
    const next = row && row.cells[at[1] + by[1] + 1];
    event.preventDefault();
    if (!next || next.tagName !== "TD") return;
    at[2].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  node.replaceChildren(element("div", { class: "scroll" }, table), ...(readout ? [] : [line]));
}

// A labelled list of choices; options are [value, text].
function choice(label, options, change) {
  const select = element("select", { onchange: () => change(select.value) },
    options.map(([value, text]) => element("option", { value: value }, text)));
  return element("label", { class: "choice" }, label + " ", select);
}
