// LaTeX as MathML, by Temml (vendor/), which is compiled when the first formula is shown. Where a formula can't be
// read, or holds what no formula needs, its source stands as it is.
//
// A dollar opens a formula where no white space follows it, and closes one on the same line where none precedes it and
// no digit follows, as in pandoc; so "$5 or $6" is money. Words in it ("$5 and 10$") are money too.

const DELIMITED = /\\\[([^]*?)\\\]|\\\(([^]*?)\\\)|(?<![\\$])\$\$([^]+?)\$\$|(?<![\\$])\$(?![\s$])((?:\\.|[^$\\\n])*?)(?<!\s)\$(?![\d$])/gd;
const LONGEST_FORMULA = 3000; // characters
const LIMITS = { maxExpand: 500, maxSize: [8, 100] }; // expansions of macros; lengths in em, and in points
const MATHML = "http://www.w3.org/1998/Math/MathML";
const formulas = { source: false }; // whether formulas stay as the model wrote them
const NONCE = "m" + [...crypto.getRandomValues(new Uint32Array(2))].map((each) => each.toString(36)).join("");
let typesetter = null; // Temml; undefined where the page carries none

function temmlOf() {
  if (typesetter === null) {
    const carried = find("temml");
    if (carried) {
      const script = document.createElement("script");
      script.textContent = carried.textContent;
      document.head.append(script);
    }
    typesetter = window.temml;
  }
  return typesetter;
}

function isMoney(body) {
  const plain = body.replace(/\\(?:text|mathrm|textbf|operatorname|mbox)\s*\{[^}]*\}/g, "").replace(/\\[a-z]+/gi, "");
  return !body.trim() || /[a-z]{2,}[\s,]+[a-z]{2,}/i.test(plain) || /^[\d.,]+\s+[a-z]{2,}/i.test(plain);
}

// The formulas of a text: [{start, end, from, to, display}], from and to those of the source within its delimiters.
function formulasIn(text) {
  if (formulas.source || !/[$\\]/.test(text)) return [];
  const found = [];
  for (const match of text.matchAll(DELIMITED)) {
    const which = [1, 2, 3, 4].find((i) => match[i] !== undefined);
    const [from, to] = match.indices[which];
    if (to - from > LONGEST_FORMULA || !match[which].trim() || (which === 4 && isMoney(match[which]))) continue;
    if (which === 3 && /\n\s*\n/.test(match[3])) continue;
    found.push({ start: match.index, end: match.index + match[0].length, from: from, to: to, display: which === 1 || which === 3 });
  }
  return found;
}

// Whether a part of a formula can be put in braces.
function isBalanced(source) {
  let depth = 0;
  for (const brace of source.replace(/\\[^]/g, "  ").match(/[{}]/g) || []) {
    depth += brace === "{" ? 1 : -1;
    if (depth < 0) return false;
  }
  return depth === 0;
}

// The source with its marks, [{start, end, dress}] within it, as classes that no model can name; null where they can't be set.
function withMarks(source, marks) {
  const places = [];
  for (const [i, mark] of marks.entries()) {
    if (!isBalanced(source.slice(mark.start, mark.end))) return null;
    if (marks.some((other) => other.start < mark.start && mark.start < other.end && other.end < mark.end)) return null; // they cross
    places.push([mark.start, 1, mark.end - mark.start, "\\class{" + NONCE + "-" + i + "}{"], [mark.end, 0, mark.start - mark.end, "}"]);
  }
  // Put from the end. At one place the text closes the inner ones first, then opens the outer ones first.
  places.sort((a, b) => b[0] - a[0] || b[1] - a[1] || a[2] - b[2]);
  return places.reduce((text, [at, , , put]) => text.slice(0, at) + put + text.slice(at), source);
}

// Temml makes MathML only, but for references; what else there is would be a link or a picture.
function isInert(node) {
  return [node, ...node.querySelectorAll("*")].every((each) => each.namespaceURI === MATHML
    && [...each.attributes].every(({ name, value }) => !/^(?:on|href|src|xlink|id$|data)/i.test(name) && !/url\s*\(/i.test(value)));
}

// One formula as a node, or null where it can't be shown but as source. `marks` are places in it, with `dress` for their nodes.
function typeset(source, display, marks) {
  const marked = withMarks(source, marks || []);
  const temml = marked === null ? undefined : temmlOf();
  if (!temml) return null;
  const node = element("span", { class: display ? "formula display" : "formula", title: visible(source.trim()) });
  const names = new Set((marks || []).map((_, i) => NONCE + "-" + i));
  try {
    temml.render(visible(marked).trim(), node, { ...LIMITS, displayMode: display, throwOnError: true, trust: (asked) => asked.command === "\\class" && names.has(asked.class) });
  } catch (error) {
    return null; // no formula: the source is shown
  }
  if (!node.firstElementChild || !isInert(node.firstElementChild)) return null;
  for (const [i, mark] of (marks || []).entries()) {
    const place = node.querySelector("." + NONCE + "-" + i);
    if (!place) return null;
    place.classList.remove(NONCE + "-" + i);
    mark.dress(place);
  }
  return node;
}

// A text as nodes, its formulas typeset.
function withFormulas(text) {
  const nodes = [];
  let at = 0;
  for (const each of formulasIn(String(text))) {
    const node = typeset(text.slice(each.from, each.to), each.display);
    if (!node) continue;
    nodes.push(text.slice(at, each.start), node);
    at = each.end;
  }
  return [...nodes, String(text).slice(at)];
}

// An answer, which stands without delimiters: typeset where it has a command, a power or an index.
function answerText(answer) {
  if (answer === null || formulas.source || !/\\[a-z]|\w[\^_][\w{\\(-]/i.test(answer) || answer.length > LONGEST_FORMULA) return answer;
  const found = formulasIn(answer);
  return found.length ? withFormulas(answer) : typeset(answer, false) || answer;
}
