// The lens: what each layer already says, over the run by layer and in one trace token by token.

function byLayer(line, shade, dash, show) {
  return {
    x: line.layer, y: line.y, name: line.name, mode: "lines", type: "scatter",
    line: { color: shade, dash: dash, width: 2.5 },
    customdata: line.layer.map((_, i) => show(line.low[i]) + " to " + show(line.high[i]) + ", n = " + line.n[i]),
    hovertemplate: "layer %{x}: %{y:.2f} (%{customdata})<extra>" + literal(line.name) + "</extra>",
  };
}

function lensLook(title, commitment) {
  const look = layout("layer", title, {
    showlegend: true, margin: { l: 48, r: 12, t: 48, b: 40 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("ink"), size: 11 } },
  });
  look.yaxis.range = [0, 1.03];
  if (commitment) {
    const grey = { color: colour("soft"), width: 1.5, dash: "longdash" };
    look.shapes = [
      { type: "rect", yref: "paper", y0: 0, y1: 1, x0: commitment.low, x1: commitment.high, fillcolor: faint(colour("soft")), opacity: 0.6, line: { width: 0 }, layer: "below" },
      { type: "line", yref: "paper", y0: 0, y1: 1, x0: commitment.median, x1: commitment.median, line: grey, layer: "below" },
    ];
  }
  return look;
}

function drawLens(figure) {
  const two = (value) => fixed(value, 2);
  const shades = ["blue", "green", "vermillion", "purple", "sky"].map(colour);
  if (find("lens-agreeing")) {
    const traces = figure.agreeing.flatMap((line, i) => [
      band(line.layer, line.low, line.high, shades[i]), byLayer(line, shades[i], DASHES[i % DASHES.length], two),
    ]);
    traces.push({
      x: figure.agreeing[0].layer, y: figure.others, name: "another trace’s final answer", mode: "lines", type: "scatter",
      line: { color: colour("soft"), width: 1.5, dash: "dot" }, hovertemplate: "layer %{x}: %{y:.2f}<extra>another trace’s final answer</extra>",
    });
    draw(find("lens-agreeing"), traces, lensLook("share as the last layer", figure.commitment));
  }
  if (find("lens-stated")) {
    const traces = figure.stated.flatMap((line, i) => [
      band(line.layer, line.low, line.high, shades[i]), byLayer(line, shades[i], DASHES[i % DASHES.length], two),
    ]);
    draw(find("lens-stated"), traces, lensLook("p(stated answer)", figure.commitment));
  }
}

const SHADES = [["p_stated", "stated answer’s first token"], ["p_top", "most probable token"]];

// Spaces and line ends are drawn, as they are part of a token.
function token(text) {
  return text === "" ? "∅" : text.replace(/\r?\n/g, "⏎").replace(/\t/g, "⇥").replace(/ /g, "·");
}

function tokenMap(node, map, shade) {
  heatMap(node, {
    label: "Lens of trace " + map.index + " of question " + map.id, corner: "layer",
    columns: map.tokens.map(token), rows: map.layers.map(String),
    hint: "Point at a cell, or move with the arrow keys, for its probabilities.",
    cell: (i, j) => {
      const top = map.top[i][j];
      if (top === null) return { text: "", heat: null, words: "", mark: false };
      const stated = map.p_stated[i][j];
      return {
        text: token(map.texts[top]), heat: map[shade][i][j] === null ? null : Math.sqrt(map[shade][i][j]), mark: false,
        words: "Layer " + map.layers[i] + " after " + (map.first + j < 0 ? "the prompt’s last token" : "token " + (map.first + j)) + " “" + token(map.tokens[j]) + "”: most probable “" + token(map.texts[top]) + "” " + fixed(map.p_top[i][j], 3)
          + (stated === null ? "" : ", stated answer’s first token " + fixed(stated, 4)) + ", entropy " + fixed(map.entropy[i][j], 2) + " nats",
      };
    },
  });
}

function drawTokens(maps) {
  const node = find("lens-tokens");
  if (!node || !maps.length) return;
  const known = (map) => map.p_stated.some((line) => line.some((p) => p !== null));
  const chosen = { map: maps[0], shade: known(maps[0]) ? "p_stated" : "p_top" };
  const grid = element("div", { class: "tokens" });
  const about = element("p", { class: "about" });
  const show = () => {
    const map = chosen.map;
    about.replaceChildren(...[
      element("a", { href: addressOf(map.id, map.index) }, map.id + " #" + map.index),
      map.answer === null ? " · states no answer" : " · states ", map.answer === null ? null : element("b", {}, map.answer), " ",
      map.answer === null ? null : verdict(map.right),
      map.tokens.length < map.n_tokens ? " · its last " + map.tokens.length + " of " + map.n_tokens + " tokens" : null,
    ].filter(Boolean));
    tokenMap(grid, map, chosen.shade);
  };
  const traces = maps.map((map, i) => [i, map.id + " #" + map.index + (map.answer === null ? "" : " · " + map.answer) + (map.right === null ? "" : map.right ? " ✓" : " ✗")]);
  const shades = known(maps[0]) ? SHADES : SHADES.slice(1);
  node.replaceChildren(
    element("div", { class: "tools" },
      choice("Trace", traces, (value) => { chosen.map = maps[Number(value)]; show(); }),
      choice("Colour: probability of the", shades, (value) => { chosen.shade = value; show(); })),
    about, grid);
  show();
}

section("lens", { start: (lens) => drawTokens(lens.tokens), drawing: (lens) => { if (lens.figure) drawLens(lens.figure); } });
