// Tokens shaded by log-probability: runs of two characters each, laid along a trace's text.
// (length 0 to 63, level 0 to 62 or GAP); logprob = -(level / STEPS)². See shades.py.

const VALUES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const STEPS = 15.75;
const [LOWEST, GAP, LONGEST] = [62, 63, 63];
const shading = { on: false };

// The ends and levels of a trace's tokens, read once, when one is first shaded.
function tokensOf(trace) {
  const layout = layoutOf(trace);
  if (layout.tokens === null) {
    const [ends, levels] = [[], []];
    let at = 0;
    let runs = false; // whether the last run was of the greatest length, so that this one goes on with it
    for (let i = 0; i < trace.shade.length; i += 2) {
      const [length, level] = [VALUES.indexOf(trace.shade[i]), VALUES.indexOf(trace.shade[i + 1])];
      at += length;
      if (runs && level === levels[levels.length - 1]) ends[ends.length - 1] = at;
      else { ends.push(at); levels.push(level); }
      runs = length === LONGEST;
    }
    layout.tokens = { ends, levels };
  }
  return layout.tokens;
}

// A part of the trace, from a place of its text on, cut at its tokens: [[text, level], ...].
function tokensBetween(trace, from, text) {
  const { ends, levels } = tokensOf(trace);
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > from) high = middle;
    else low = middle + 1;
  }
  const found = [];
  for (let at = 0; at < text.length; low += 1) {
    const end = low < ends.length ? Math.min(text.length, ends[low] - from) : text.length;
    found.push([text.slice(at, end), low < ends.length ? levels[low] : GAP]);
    at = end;
  }
  return found;
}

function shaded([text, level]) {
  const node = level === GAP ? document.createTextNode(visible(text)) : element("span", { class: "token" }, text);
  node.raw = text.length;
  if (level === GAP) return node;
  const logprob = -((level / STEPS) ** 2);
  const p = Math.exp(logprob);
  node.title = level === LOWEST ? "p < 0.000001" : "p ≈ " + (p < 0.1 ? p.toPrecision(1) : fixed(p, 2)) + ", " + fixed(logprob, 1) + " nats";
  node.style.setProperty("--heat", (level / LOWEST).toFixed(2));
  return node;
}

// The switch, where any trace of the question has tokens to shade.
function shadeSwitch(question, refresh) {
  if (!question.traces.some((trace) => trace.shade)) return null;
  const box = element("input", { type: "checkbox", onchange: () => {
    shading.on = box.checked;
    refresh();
    document.querySelector("#question .switch input").focus();
  } });
  box.checked = shading.on;
  return element("label", { class: "switch" }, box, " shade tokens by log-probability");
}

// The switch between formulas and their source, where a trace or the question has any.
function sourceSwitch(question, refresh) {
  const any = /\$|\\[[(a-z]/;
  if (!find("temml") || !(any.test(question.text) || question.traces.some((trace) => trace.pieces.some((piece) => any.test(piece[1]))))) return null;
  const box = element("input", { type: "checkbox", onchange: () => {
    formulas.source = box.checked;
    refresh();
    document.querySelector("#question .source input").focus();
  } });
  box.checked = formulas.source;
  return element("label", { class: "switch source" }, box, " formulas as source");
}

function shadeCaption(question, reason) {
  if (reason) return "Tokens can't be shaded: " + reason + ".";
  if (!question.traces.some((trace) => trace.shade)) return "No token of these traces has a stored log-probability.";
  return "Shaded, a token is the darker the less probable the model held it, before temperature and top-p; an improbable token is no error.";
}
