// Search in the texts of traces: of all questions where the page holds them, else of the question that is opened.

const MOST_HITS = 50;
const AROUND = 60; // characters shown on each side of what was found
const PAUSE = 150; // milliseconds after the last key

function TraceSearch(store, opened) {
  const [input, verdicts, status, hits] = ["trace-search", "trace-verdict", "trace-status", "trace-hits"].map(find);
  let timer = null;
  let last = 0; // number of the latest search: an older one that still unpacks questions ends

  // [[[id, detail], ...], ...] of what is searched, in the order of the table.
  async function* searched() {
    if (store.whole) yield* store.held();
    else if (opened() !== null) yield [[opened()[0], opened()[1]]];
  }

  function hit(id, trace, text, at, length) {
    const start = Math.max(0, at - AROUND);
    const end = Math.min(text.length, at + length + AROUND);
    return element("li", {},
      element("a", { href: addressOf(id, trace.index) }, id + " #" + trace.index), " ", trace.status === "ok" ? verdict(trace.right) : null, " ",
      element("span", { class: "snippet", dir: "auto" }, start ? "…" : "", text.slice(start, at), element("mark", {}, text.slice(at, at + length)), text.slice(at + length, end), end < text.length ? "…" : ""));
  }

  async function update() {
    last += 1;
    const own = last;
    const words = input.value.trim();
    if (!words) { hits.replaceChildren(); status.textContent = scope(); return; }
    const pattern = patternOf(words, "iu");
    const found = [];
    const questions = new Set();
    let n = 0;
    const searchIn = (id, trace) => {
      const text = textOf(trace);
      const match = pattern.exec(text);
      if (match === null) return;
      n += 1;
      questions.add(id);
      if (found.length < MOST_HITS) found.push(hit(id, trace, text, match.index, match[0].length));
    };
    for await (const pairs of searched()) {
      if (own !== last) return;
      for (const [id, detail] of pairs) {
        (detail.traces || []).filter((trace) => !verdicts.value || verdictOf(trace) === verdicts.value).forEach((trace) => searchIn(id, trace));
      }
    }
    if (own !== last) return;
    hits.replaceChildren(...found);
    status.textContent = plural(n, "trace") + " of " + plural(questions.size, "question") + (n > MOST_HITS ? "; the first " + MOST_HITS + " are shown" : "") + ". " + scope();
  }

  function scope() {
    if (store.whole) return "";
    return opened() === null
      ? "The traces are in files beside this page: open a question to search in its traces."
      : "The traces are in files beside this page: only the opened question is searched.";
  }

  const search = () => update().catch((error) => { status.textContent = error.message; });
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, PAUSE); });
  verdicts.addEventListener("change", search);
  search();
  return { update: search };
}
