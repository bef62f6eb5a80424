// Building the page: elements are made one by one and text is only ever set as text.

const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

// Control characters, and those that reorder a line, are shown as codes (\\x1b) instead of obeyed.
function visible(text) {
  return String(text).replace(/\r\n/g, "\n").replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0).toString(16);
    return code.length > 2 ? "\\u" + code : "\\x" + code.padStart(2, "0");
  });
}

// element("td", {class: "num", onclick: open}, "text", child, ...); null children are left out.
function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined) continue;
    node.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return node;
}

function find(id) {
  return document.getElementById(id);
}

function read(id) {
  return JSON.parse(find(id).textContent);
}

function fixed(value, digits) {
  return value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");
}

function percent(value) {
  return value === null || value === undefined ? "–" : (100 * value).toFixed(0) + "%";
}

function grouped(n) {
  return n.toLocaleString("en");
}

function plural(n, noun) {
  return grouped(n) + " " + noun + (n === 1 ? "" : "s");
}

const MORE = 5000; // rows that a browser adds in a moment

// What the button below a long table does with the rows that are not in it yet.
function offerMore(button, left) {
  button.hidden = left <= 0;
  button.textContent = left <= MORE ? "Show all" : "Show " + grouped(MORE) + " more";
}

// Traces that a clusterer gave to no cluster are noise, -1.
function clusterName(cluster) {
  return cluster === -1 ? "noise" : "cluster " + cluster;
}

// Right and wrong differ in sign, word and colour.
function verdict(right) {
  if (right === null || right === undefined) return null;
  return element("span", { class: right ? "right" : "wrong" }, right ? "✓ right" : "✗ wrong");
}

// The kind that people come for, which the page's first panel names, stands out.
function kindTags(kinds) {
  const first = document.querySelector(".kind-panel.first");
  return kinds.map((kind) => element("span", { class: first && first.dataset.kind === kind ? "kind first" : "kind" }, kind));
}

// What plotly would read as markup (<b>, <br>, <a>, &lt;), as text. Nothing else goes into its labels.
function literal(text) {
  return visible(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

// A section's script says what becomes of what the section sends: section("lens", (data) => ...).
// `drawing` is done with plotly, once that is there, and again when the colours change.
const starts = [];
const drawings = [];

function section(name, { start, drawing }) {
  if (start) starts.push([name, start]);
  if (drawing) drawings.push([name, drawing]);
}
