// The lens of one trace, token by token.

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

section("lens", { start: drawTokens });
