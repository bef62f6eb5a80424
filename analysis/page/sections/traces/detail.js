// One question in depth: its votes, the prompt, every trace; then answers against clusters, a map, and medoids.

function showQuestion(node, id, question, step) {
  const chosen = nothingChosen();
  const traces = element("div", { class: "traces" });
  const refresh = () => traces.replaceChildren(...traceSection(id, question, chosen, refresh));
  const showChosen = () => { refresh(); traces.scrollIntoView({ block: "start" }); };
  const open = (index, equation) => {
    if (isChosen(chosen)) {
      Object.assign(chosen, nothingChosen(), { pair: chosen.pair });
      refresh();
    }
    const trace = traces.querySelector('[data-index="' + index + '"]');
    if (!trace) return;
    history.replaceState(null, "", addressOf(id, index, equation));
    trace.open = true;
    trace.fill();
    const equations = markEquation(traces, trace, equation);
    (equations[0] || trace).scrollIntoView({ block: equations[0] || !trace.matches(".long") ? "center" : "start" });
    trace.firstChild.focus({ preventScroll: true });
  };
  eraseMap();
  node.replaceChildren(...[
    heading(id, question, step),
    element("div", { class: "columns" }, votes(question), ballots(question)),
    promptSection(question), traces,
    element("div", { class: "columns" }, crossing(question, chosen, showChosen), flowSection(question)),
    mapSection(question), medoidSection(question, open),
  ].filter(Boolean));
  refresh();
  drawMap(question, open);
  return open;
}

// The equation that a link speaks of stands out until another is linked to; its pieces, none where there is none.
function markEquation(traces, trace, equation) {
  for (const node of traces.querySelectorAll(".arrived")) {
    node.classList.remove("arrived");
    node.removeAttribute("aria-current");
  }
  if (equation === undefined || equation === null) return [];
  trace.querySelector(".reading").revealEquation(equation);
  const pieces = [...trace.querySelectorAll('.text [data-equation="' + equation + '"]')];
  for (const node of pieces) {
    node.classList.add("arrived");
    node.setAttribute("aria-current", "true");
  }
  return pieces;
}

// The prompt as the model got it, folded.
function promptSection(question) {
  if (!question.prompts.length) return null;
  const turns = (prompt) => prompt.map(([role, said]) => [role === null ? null : element("h5", {}, role), element("pre", { class: "said", dir: "auto" }, said)]);
  const several = question.prompts.length > 1;
  return element("details", { class: "prompt" }, element("summary", {}, several ? "What was asked: " + question.prompts.length + " prompts" : "What was asked: the prompt"),
    element("div", {}, question.prompts.map((prompt, i) => [several ? element("p", { class: "aside" }, "Prompt " + (i + 1)) : null, turns(prompt)])));
}

// The suspicion's main reason, and the false equations that the majority's traces state.
function reason(id, agreed) {
  const links = agreed.doubts.flatMap((doubt, i) => [i ? ", " : null,
    element("a", { href: addressOf(id, doubt.trace, doubt.equation) }, "#" + doubt.trace + ": " + doubt.text),
    doubt.value === null ? null : element("span", { class: "note" }, " (is " + doubt.value + ")")]);
  return element("p", { class: "why" }, "What weighs most in the suspicion: ", agreed.why, ".",
    links.length ? [" False equations of the majority’s traces: ", links, "."] : null);
}

function heading(id, question, step) {
  const vote = question.vote;
  const facts = [["Gold", question.gold === null ? "none" : question.gold]];
  if (vote) facts.push(["Majority", vote.answer === null ? "no valid answer" : vote.answer], ["Share", percent(vote.share)]);
  const agreed = question.agreement;
  if (agreed) {
    facts.push(["Suspicion", fixed(agreed.suspicion, 2)]);
    for (const [pair, value] of Object.entries(agreed.ami)) facts.push(["AMI " + pair, fixed(value, 2)]);
    if (agreed.moved !== null) facts.push(["States moved the answer", percent(agreed.moved) + " of " + plural(agreed.n_patched, "trace")]);
  }
  const choices = question.choices && element("ol", { class: "choices", type: "A" },
    question.choices.map((choice) => element("li", {}, withFormulas(choice))));
  return element("header", {},
    element("div", { class: "steer" },
      element("h3", {}, "Question ", element("span", { class: "id" }, id)),
      element("button", { type: "button", onclick: () => step(-1), "aria-label": "Previous question" }, "← previous"),
      element("button", { type: "button", onclick: () => step(1), "aria-label": "Next question" }, "next →"),
      element("a", { href: "#questions" }, "table ↑")),
    element("p", { class: "asked" }, withFormulas(question.text)), choices,
    element("dl", { class: "facts" }, facts.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, answerText(value), name === "Majority" ? [" ", verdict(vote.right)] : null)))),
    agreed && element("div", {}, kindTags(agreed.kinds)),
    agreed && reason(id, agreed),
  );
}

function votes(question) {
  const excluded = Object.entries(question.excluded);
  const most = Math.max(1, ...question.answers.map((entry) => entry.n), ...excluded.map((entry) => entry[1]));
  const bar = (label, n, kind, mark) => {
    const fill = element("span", { class: "fill " + kind });
    fill.style.width = (100 * n) / most + "%";
    return element("li", {}, element("span", { class: "label" }, answerText(label), " ", mark),
      element("span", { class: "bar" }, fill), element("span", { class: "num" }, n));
  };
  const bars = question.answers.map((entry) => bar(entry.answer, entry.n,
    entry.right === null ? "plain" : entry.right ? "right" : "wrong", verdict(entry.right)));
  for (const [status, n] of excluded) bars.push(bar(status + ", no vote", n, "none", null));
  return element("section", {}, element("h4", {}, "Votes"),
    bars.length ? element("ul", { class: "bars" }, bars) : element("p", { class: "aside" }, "No answers have been read yet."),
    element("p", { class: "caption" }, "Traces by the answer class that they state. Traces without a valid answer don't vote."));
}

function ballots(question) {
  if (!question.ballots.length) return null;
  const rows = question.ballots.map((each) => element("tr", {},
    element("th", { scope: "row" }, each.name, each.rater ? element("span", { class: "note" }, " rater") : null),
    element("td", {}, each.answer === null ? "abstains" : answerText(each.answer), " ", each.answer === null ? null : verdict(each.right), each.tied ? " tie" : null),
    element("td", { class: "num" }, each.share === null ? "–" : percent(each.share))));
  const head = ["Rule", "Answer", "Share"].map((name, i) => element("th", { scope: "col", class: i === 2 ? "num" : null }, name));
  return element("section", {}, element("h4", {}, "Who names which answer"),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Who names which answer" },
      element("table", { class: "ballots" }, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows))),
    element("p", { class: "caption" }, "Every vote rule that was asked for, and every rater of the agreement: one vote on one question. What each is worth over the run stands among the findings."));
}

function crossing(question, chosen, refresh) {
  if (!question.clusters.length) return null;
  const most = Math.max(...question.clusters.flatMap((cluster) => cluster.counts), 1);
  const rows = question.answers.map((entry, i) => ({ name: entry.answer, mark: verdict(entry.right), counts: question.clusters.map((cluster) => cluster.counts[i]) }));
  if (question.clusters.some((cluster) => cluster.none)) rows.push({ name: null, mark: null, counts: question.clusters.map((cluster) => cluster.none) });
  const pick = (answer, cluster) => {
    const same = chosen.answer === answer && chosen.cluster === cluster;
    chosen.answer = same ? undefined : answer;
    chosen.cluster = same ? undefined : cluster;
    refresh();
  };
  const cell = (row, i) => {
    const n = row.counts[i];
    if (!n) return element("td", { class: "zero" }, "0");
    const label = plural(n, "trace") + ": answer " + (row.name === null ? "none" : row.name) + ", " + clusterName(question.clusters[i].cluster);
    const button = element("button", { type: "button", "aria-label": visible(label), onclick: () => pick(row.name, question.clusters[i].cluster) }, n);
    button.style.setProperty("--heat", 12 + Math.round((58 * n) / most) + "%");
    return element("td", {}, button);
  };
  const head = element("tr", {}, element("th", { scope: "col" }, "answer ╲ cluster"),
    question.clusters.map((cluster) => element("th", { scope: "col" },
      element("button", {
        type: "button", title: cluster.terms && visible(cluster.terms), "aria-label": clusterName(cluster.cluster) + ", " + plural(cluster.n, "trace"), onclick: () => pick(undefined, cluster.cluster),
      }, clusterShape(question, cluster.cluster)[1] + " " + (cluster.cluster === -1 ? "noise" : cluster.cluster)))));
  const body = rows.map((row) => element("tr", {},
    element("th", { scope: "row" }, row.name === null ? "no answer" : answerText(row.name), " ", row.mark), question.clusters.map((_, i) => cell(row, i))));
  return element("section", {}, element("h4", {}, "Answers by cluster"),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Answers by cluster" },
      element("table", { class: "crossing" }, element("thead", {}, head), element("tbody", {}, body))),
    element("p", { class: "caption" }, "Number of traces with each answer and reasoning cluster: the more, the darker. A cell or a cluster chooses the traces above."));
}
