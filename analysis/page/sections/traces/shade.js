// Tokens shaded by log-probability: runs of two characters each, laid along a trace's text.
// (length 0 to 63, level 0 to 62 or GAP); logprob = -(level / STEPS)². See shades.py.

const VALUES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const STEPS = 15.75;
const [LOWEST, GAP, LONGEST] = [62, 63, 63];
const shading = { on: false };

// A function that cuts the next piece of the text at its tokens: [[text, level], ...].
function tokenCutter(shade) {
  let at = 0;
  let [left, level] = [0, GAP];
  const next = () => {
    let length = LONGEST;
    [left, level] = [0, at < shade.length ? VALUES.indexOf(shade[at + 1]) : GAP];
    if (at >= shade.length) left = Infinity;
    while (length === LONGEST && at < shade.length && VALUES.indexOf(shade[at + 1]) === level) {
      length = VALUES.indexOf(shade[at]);
      left += length;
      at += 2;
    }
  };
  return (text) => {
    const found = [];
    for (let place = 0; place < text.length;) {
      if (!left) next();
      const end = Math.min(text.length, place + left);
      found.push([text.slice(place, end), level]);
      left -= end - place;
      place = end;
    }
    return found;
  };
}

function shaded([text, level]) {
  if (level === GAP) return document.createTextNode(visible(text));
  const logprob = -((level / STEPS) ** 2);
  const p = Math.exp(logprob);
  const said = level === LOWEST ? "p < 0.000001" : "p ≈ " + (p < 0.1 ? p.toPrecision(1) : fixed(p, 2)) + ", " + fixed(logprob, 1) + " nats";
  const node = element("span", { class: "token", title: said }, text);
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

function shadeCaption(question, reason) {
  if (reason) return "Tokens can't be shaded: " + reason + ".";
  if (!question.traces.some((trace) => trace.shade)) return "No token of these traces has a stored log-probability.";
  return "Shaded, a token is the darker the less probable the model held it, before temperature and top-p; an improbable token is no error.";
}
