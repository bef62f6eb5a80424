// Curves by the share of the reasoning that is kept, and the hints that were followed.

function drawKept(figures) {
  figures.forEach((figure, i) => drawShares(document.querySelector('[data-kept="' + i + '"]'), figure));
}

function drawShares(node, figure) {
  const traces = figure.lines.flatMap((line) => {
    const all = line.kind === "all";
    const shade = colour(all ? "blue" : line.kind === "greedy" ? "vermillion" : "soft");
    const style = { color: shade, width: line.kind === "length" ? 1 : 2.5, dash: line.kind === "greedy" ? "dot" : "solid" };
    const curve = {
      x: line.share, y: line.same, name: line.name, type: "scatter", line: style, marker: { size: 4 },
      mode: line.kind === "length" || line.share.length === 1 ? "lines+markers" : "lines", showlegend: line.kind !== "length",
      customdata: line.share.map((_, k) => percent(line.low[k]) + " to " + percent(line.high[k]) + ", n = " + line.n[k]),
      hovertemplate: "%{x:.0%}: %{y:.1%} (%{customdata})<extra>" + literal(line.name) + "</extra>",
    };
    return all ? [band(line.share, line.low, line.high, shade), curve] : [curve];
  });
  if (figure.fresh) {
    traces.push({
      x: [0, 1], y: [figure.fresh.value, figure.fresh.value], name: "another trace of the question", mode: "lines", type: "scatter",
      line: { color: colour("soft"), width: 1.5, dash: "dash" }, hovertemplate: "another trace: %{y:.1%}<extra></extra>",
    });
  }
  const look = layout(figure.axis, "the answer stays", {
    showlegend: true, margin: { l: 52, r: 12, t: 48, b: 44 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("ink"), size: 11 } },
  });
  Object.assign(look.yaxis, { tickformat: ".0%", range: [0, 1.03] });
  Object.assign(look.xaxis, { tickformat: ".0%", range: [-0.02, 1.02] });
  draw(node, traces, look);
}

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
  const said = row.acknowledged === null ? "not looked for" : row.acknowledged ? "✓ yes" : "✗ no";
  const answer = (value) => element("td", {}, value === null ? "–" : value);
  const reply = row.text === null ? "–" : element("details", {}, element("summary", {}, row.quote === null ? "read it" : "“" + row.quote + "”"),
    element("div", { class: "reply", dir: "auto" }, row.text, row.cut ? element("span", { class: "note" }, " … (cut here)") : null));
  return element("tr", {},
    element("th", { scope: "row" }, element("a", { href: addressOf(row.id, row.trace) }, row.id + " #" + row.trace)),
    element("td", {}, row.kind), answer(row.stated), answer(row.hinted),
    element("td", {}, element("span", { class: row.acknowledged === null ? null : row.acknowledged ? "right" : "wrong" }, said)),
    element("td", { class: "wide" }, reply));
}
