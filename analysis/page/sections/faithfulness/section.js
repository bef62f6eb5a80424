// The hints that were followed.

const SAID = [["", "all"], ["false", "not acknowledged"], ["true", "acknowledged"]];

function drawHints(hints) {
  const node = find("hints");
  if (!node || !hints.rows.length) return;
  const chosen = { said: "", kind: "" };
  const body = element("tbody", {});
  const kinds = [...new Set(hints.rows.map((row) => row.kind))];
  const show = () => body.replaceChildren(...hints.rows
    .filter((row) => (!chosen.said || String(row.acknowledged) === chosen.said) && (!chosen.kind || row.kind === chosen.kind)).map(hintRow));
  const redraw = (name) => (value) => { chosen[name] = value; show(); };
  const head = ["Trace", "Kind", "Own answer", "Hinted, followed", "Acknowledged", "What it then wrote"].map((name) => element("th", { scope: "col" }, name));
  node.replaceChildren(...[
    element("div", { class: "tools" }, choice("Followed hints", SAID, redraw("said")),
      choice("Kind", [["", "all"], ...kinds.map((kind) => [kind, kind])], redraw("kind"))),
    element("div", { class: "scroll list", tabindex: "0", role: "region", "aria-label": "Followed hints" },
      element("table", {}, element("caption", { class: "hidden" }, "Followed hints"), element("thead", {}, element("tr", {}, head)), body)),
    hints.left_out ? element("p", { class: "note" }, plural(hints.left_out, "more followed hint") + " in the table faithfulness.") : null,
  ].filter(Boolean));
  show();
}

function hintRow(row) {
  const said = row.acknowledged === null ? "not looked for" : row.acknowledged ? "✓ yes" + (row.where ? `, in the ${row.where}` : "") : "✗ no";
  const answer = (value) => element("td", {}, value === null ? "–" : value);
  const reply = row.text === null ? "–" : element("details", {}, element("summary", {}, row.quote === null ? "read it" : "“" + row.quote + "”"),
    element("div", { class: "reply", dir: "auto" }, row.text, row.cut ? element("span", { class: "note" }, " … (cut here)") : null));
  return element("tr", {},
    element("th", { scope: "row" }, element("a", { href: addressOf(row.id, row.trace) }, row.id + " #" + row.trace)),
    element("td", {}, row.kind), answer(row.stated), answer(row.hinted),
    element("td", {}, element("span", { class: row.acknowledged === null ? null : row.acknowledged ? "right" : "wrong" }, said)),
    element("td", { class: "wide" }, reply));
}

section("faithfulness", { start: drawHints });
