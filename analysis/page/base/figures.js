// The figures. Colours are the page's own (Okabe-Ito), read again when the colour scheme changes.

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function faint(hex) {
  return hex + "33"; // 20% opaque
}

function layout(x, y, extra) {
  const axis = {
    gridcolor: colour("rule"), linecolor: colour("rule"), zeroline: false,
    tickfont: { color: colour("soft"), size: 11 }, fixedrange: true,
  };
  return Object.assign({
    margin: { l: 48, r: 12, t: 8, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, color: colour("ink"), size: 12 },
    hoverlabel: { bgcolor: colour("card"), font: { color: colour("ink") } },
    xaxis: Object.assign({ title: { text: x, font: { size: 12 } } }, axis),
    yaxis: Object.assign({ title: { text: y, font: { size: 12 } } }, axis),
    showlegend: false,
  }, extra);
}

function band(places, lows, highs, shade) {
  const known = places.map((_, i) => i).filter((i) => lows[i] !== null && highs[i] !== null);
  const [x, low, high] = [places, lows, highs].map((values) => known.map((i) => values[i]));
  return {
    x: x.concat(x.slice().reverse()), y: high.concat(low.slice().reverse()),
    fill: "toself", fillcolor: faint(shade), line: { width: 0 }, mode: "lines",
    hoverinfo: "skip", showlegend: false, type: "scatter",
  };
}

function draw(node, traces, look) {
  Plotly.react(node, traces, look, { displayModeBar: false, responsive: true });
}

const DASHES = ["solid", "dash", "dashdot", "longdash"];

// Colours that figures are drawn in (analysis/figures/look.py) to those of the page, light or dark.
const PALETTE = { "#0072b2": "blue", "#b84e00": "vermillion", "#007a5a": "green", "#a8558a": "purple", "#b67f00": "orange", "#2f88c4": "sky", "#7a7a7a": "soft" };

// The same drawing in the page's colours; two digits after a colour are how opaque it is.
function recoloured(value, key) {
  if (Array.isArray(value)) return value.map((each) => recoloured(each, key));
  if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, recoloured(each, name)]));
  if (typeof value !== "string" || !/color$/i.test(key || "") || !/^#[0-9a-f]{6}([0-9a-f]{2})?$/.test(value)) return value;
  const name = PALETTE[value.slice(0, 7)];
  return name ? colour(name) + value.slice(7) : value;
}

// What analysis/figures/look.py escaped for plotly, as it was: it is set as text here.
function unescaped(text) {
  return String(text).replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&#36;/g, "$").replace(/&amp;/g, "&");
}

// A heat map of plotly is an image, which the page's policy forbids; as a table it can be read, and moved in by keys.
function drawTables(node, figure) {
  const names = (figure.layout.annotations || []).map((each) => unescaped(each.text));
  const readout = element("p", { class: "readout", "aria-live": "polite" });
  const panels = figure.data.map((map, place) => {
    const grid = element("div", {});
    const middle = map.zmid === undefined ? map.zmin : map.zmid;
    heatMap(grid, {
      readout: readout, label: node.getAttribute("aria-label") + " " + (names[place] || ""), corner: "layer",
      columns: map.x.map(unescaped), rows: map.y.map(unescaped), hint: "Point at a cell, or move with the arrow keys, for its interval.",
      cell: (i, j) => {
        const [z, text] = [map.z[i][j], unescaped(map.text[i][j])];
        return { text: text, heat: z === null ? null : (z - middle) / (map.zmax - middle), words: unescaped(map.customdata[i][j]), mark: text.endsWith("★") };
      },
    });
    return element("div", { class: "panel" }, names[place] ? element("p", {}, names[place]) : null, grid);
  });
  node.className = "maps" + (panels.length && figure.data[0].x.length > 6 ? " similar" : "");
  node.removeAttribute("role");
  node.replaceChildren(...panels, readout);
}

function isTable(figure) {
  return figure.data.length > 0 && figure.data.every((each) => each.type === "heatmap");
}

function drawFigure(node, figure) {
  const { data, layout: given } = recoloured(figure);
  const look = layout("", "", {});
  delete look.showlegend; // as plotly does it: where several series have a name
  for (const [key, value] of Object.entries(given)) {
    if (/^[xy]axis\d*$/.test(key)) {
      const { title, ...axis } = look[key[0] + "axis"];
      look[key] = Object.assign({}, axis, value, { gridcolor: axis.gridcolor, linecolor: axis.linecolor });
      if (value.title) look[key].title = { ...value.title, font: { size: 12 } };
    } else look[key] = value;
  }
  look.font = layout("", "", {}).font;
  for (const each of look.annotations || []) each.font = Object.assign({ color: colour("soft") }, each.font, { size: 12 });
  look.legend = Object.assign({ orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("ink"), size: 11 } }, given.legend);
  if (node.dataset.height) node.style.height = node.dataset.height + "px";
  draw(node, data, look);
}

function figureNodes(figures, wanted) {
  const nodes = [...document.querySelectorAll("[data-figure]")];
  return nodes.filter((node) => figures[node.dataset.figure] && wanted(figures[node.dataset.figure]));
}

function drawAllTables(figures) {
  for (const node of figureNodes(figures, isTable)) drawTables(node, figures[node.dataset.figure]);
}

// What draws each figure. One inside of a closed element has no width: it waits.
function figureDrawings(figures) {
  return figureNodes(figures, (figure) => !isTable(figure)).map((node) => () => {
    const closed = node.closest("details:not([open])");
    const show = () => drawFigure(node, figures[node.dataset.figure]);
    if (closed) closed.addEventListener("toggle", show, { once: true });
    else show();
  });
}

// One after the other, so that the page can be read and used in between.
function drawInTurn(tasks) {
  const root = document.documentElement;
  root.dataset.drawing = tasks.length;
  if (!tasks.length) { delete root.dataset.drawing; return; }
  setTimeout(() => { tasks[0](); drawInTurn(tasks.slice(1)); });
}

// What can be read is on the screen before Plotly is compiled, which takes longer than all else. `drawings` gives what draws.
function startPlotly(drawings) {
  if (!find("plotly")) return;
  const start = () => {
    const script = document.createElement("script");
    script.textContent = find("plotly").textContent;
    document.head.append(script);
    const all = drawings();
    drawInTurn(all);
    recolourings.push(() => all.forEach((drawOne) => drawOne()));
  };
  document.documentElement.dataset.drawing = "waiting";
  if (document.hidden) setTimeout(start);
  else requestAnimationFrame(() => setTimeout(start));
}
