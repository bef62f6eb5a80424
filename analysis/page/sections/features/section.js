// One feature: its strongest steps in their texts, where it is on along traces, rates and controls.

function drawFeatures(cards) {
  const node = find("feature-card");
  if (!node || !cards.length) return;
  const body = element("div", { class: "beside" });
  const names = cards.map((card, i) => [i, card.method + " · feature " + card.feature + " · AUROC " + fixed(card.auroc, 2) + (card.tells ? " ★" : "") + (card.chosen ? " · chosen on training questions" : "")]);
  node.replaceChildren(element("div", { class: "tools" }, choice("Feature", names, (value) => featureCard(body, cards[Number(value)]))), body);
  featureCard(body, cards[0]);
}

function featureCard(body, card) {
  const most = Math.max(1e-9, ...card.steps.map((step) => step.value));
  const items = card.steps.map((step) => {
    const item = element("li", {},
      element("span", { class: "said", dir: "auto" }, step.text || "(no text)"),
      element("span", { class: "whose" }, fixed(step.value, 2) + " · ", element("a", { href: addressOf(step.id, step.index) }, step.id + " #" + step.index), step.step === null ? "" : " · step " + step.step,
        step.right === null ? null : [" · ", verdict(step.right)], step.held_out ? "" : " · fitted on"));
    item.style.setProperty("--value", Math.max(0, step.value / most).toFixed(3));
    return item;
  });
  const steps = element("div", {}, element("h4", {}, "Strongest steps"),
    items.length ? element("ol", { class: "strongest", "aria-label": "Steps in which feature " + card.feature + " of " + card.method + " is strongest" }, items) : element("p", {}, "It is on in no state."));
  const aside = element("div", {}, element("h4", {}, "What it tells"), featureFacts(card), featureFifths(card), featureTraces(card));
  body.replaceChildren(steps, aside);
}

// What the two kinds of traces are called.
function featureSides(card) {
  return card.target === "correct" ? ["right", "wrong"] : [card.target, "not " + card.target];
}

function featureFacts(card) {
  const facts = [
    ["AUROC within questions", fixed(card.auroc, 2) + " (" + fixed(card.low, 2) + " to " + fixed(card.high, 2) + "), q " + card.q],
    ["Random direction, same rank", fixed(card.control, 2)],
    ["Principal component, same rank", fixed(card.control_pca, 2)],
    card.fires ? ["On in " + featureSides(card).join(" · ") + " traces", percent(card.rate_right) + " · " + percent(card.rate_wrong) + " of states"] : null,
    ["R² of token counts", fixed(card.token_r2, 2)],
    ["On its tokens in plain text", card.injected === null ? "not tested" : card.injected ? "fires" : "doesn't fire more than on random tokens"],
    ["Tokens", card.tokens.length ? card.tokens.map((token) => element("span", { class: "token" }, token.replace(/ /g, "·").replace(/\n/g, "⏎"))) : "–"],
  ];
  return element("dl", { class: "facts" }, facts.filter(Boolean).map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function featureFifths(card) {
  const all = card.fifths.flat().filter((value) => value !== null);
  if (!all.length) return null;
  const top = Math.max(1e-9, ...all.map(Math.abs));
  const show = (value) => (value === null ? "" : card.fires ? percent(value) : fixed(value, 2));
  const grid = element("div", {});
  const rows = featureSides(card);
  heatMap(grid, {
    label: card.fires ? "Share of states in which it is on, by fifth of the trace" : "Mean value by fifth of the trace", corner: "", rows,
    columns: ["first", "2nd", "3rd", "4th", "last"], hint: "Held-out traces, by fifth of their tokens.",
    cell: (i, j) => {
      const value = card.fifths[i][j];
      return { text: show(value), heat: value === null ? null : value / top, mark: false, words: value === null ? "No state there." : "Fifth " + (j + 1) + " of " + rows[i] + " traces: " + (card.fires ? "on in " + percent(value) + " of states." : "mean value " + fixed(value, 2) + ".") };
    },
  });
  return element("div", { class: "panel" }, element("h4", {}, "Where along traces"), grid);
}

function featureTraces(card) {
  const traces = card.traces.filter((trace) => trace.values.length);
  if (!traces.length) return null;
  const columns = [...new Set(traces.flatMap((trace) => trace.names))].sort((a, b) => Number(a.replace("token ", "")) - Number(b.replace("token ", "")));
  const top = Math.max(1e-9, ...traces.flatMap((trace) => trace.values.map((value) => Math.abs(value))));
  const grid = element("div", {});
  heatMap(grid, {
    label: "Where the feature is on along the traces of its strongest steps", corner: "trace", columns,
    rows: traces.map((trace) => trace.id + " #" + trace.index + (trace.right === null ? "" : trace.right ? " ✓" : " ✗")),
    hint: "A row is a trace, a column a state; empty where the feature is off.",
    cell: (i, j) => {
      const trace = traces[i];
      const at = trace.names.indexOf(columns[j]);
      const where = trace.id + " #" + trace.index + ", " + (columns[j].startsWith("token") ? columns[j] : "step " + columns[j]);
      if (at < 0) return { text: "", heat: null, mark: false, words: where + ": off, or no state." };
      return { text: fixed(trace.values[at], 1), heat: trace.values[at] / top, mark: false, words: where + ": " + fixed(trace.values[at], 2) + " · " + trace.texts[at] };
    },
  });
  return element("div", { class: "panel" }, element("h4", {}, "Along single traces"), grid);
}

section("features", { start: drawFeatures });
