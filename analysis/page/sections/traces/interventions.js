// What the faithfulness tests say of one trace. See interventions.py.

function testedSection(trace) {
  const tested = trace.tested;
  if (!tested) return null;
  const parts = [testChips(tested.values), earlyAnswers(trace, tested), importanceLegend(tested), mistakesMade(tested.mistakes)].filter(Boolean);
  return parts.length ? element("div", { class: "tested" }, parts) : null;
}

function testChips(values) {
  if (!values) return null;
  const chips = values.map(([test, value, n, why]) => element("span", { class: why === null ? "test" : "test none", title: visible(why === null ? test + ": " + value + " of 1, " + plural(n, "step") : test + ": " + why) },
    test + " ", element("b", {}, fixed(value, 2)), n === null ? null : " · " + plural(n, "step"), why === null ? null : element("span", { class: "hidden" }, " " + why)));
  return element("p", {}, "Faithfulness: ", chips);
}

// The answers after 0, 1, ... steps; the first that is the trace's own stands out.
function earlyAnswers(trace, tested) {
  if (!tested.early) return null;
  const answers = tested.early.flatMap((answer, i) => [i ? " → " : null, element(i === tested.first ? "b" : "span", {}, answer === null ? "∅" : answer)]);
  const n = tested.early.length - 1;
  const when = tested.first === null ? "its own answer is never given"
    : tested.first === 0 ? "its own answer is given before any" : "its own answer comes first after " + tested.first + " of " + plural(n, "step");
  return element("p", { class: "early" }, "Forced after 0 to " + n + " steps: ", answers, " · " + when + ".");
}

function weightOf(trace, step) {
  return trace.tested && trace.tested.importance ? trace.tested.importance.find((entry) => entry[0] === step) : undefined;
}

function weightText([, value, chance, n, share, known]) {
  return "importance " + fixed(value, 2) + " nats" + (chance === null ? "" : " (by chance " + fixed(chance, 2) + ")")
    + (n === null ? "" : ", " + plural(n, "resample")) + (share === null ? "" : ", " + percent(share) + " dissimilar") + (known === null ? "" : ", " + known + " of these with an answer");
}

// A step's block takes a colour by its importance, unless tokens are shaded.
function weigh(block, trace, step) {
  const entry = weightOf(trace, step);
  if (!entry || !page.traces.important || shading.on) return block;
  block.classList.add("weighed");
  block.title = weightText(entry);
  block.style.setProperty("--importance", Math.max(0, Math.min(1, entry[1] / page.traces.important)).toFixed(2));
  block.dataset.label = [block.dataset.label, weightText(entry)].filter(Boolean).join(" · ");
  return block;
}

function importanceLegend(tested) {
  if (!tested.importance || !page.traces.important) return null;
  return element("p", {}, "A step’s importance: 0", element("span", { class: "ramp", "aria-hidden": "true" }), fixed(page.traces.important, 2) + " nats");
}

function testedCaptions(question) {
  const tested = question.traces.map((trace) => trace.tested).filter(Boolean);
  if (!tested.length) return [];
  const weighed = page.traces.important && tested.some((each) => each.importance);
  return ["Faithfulness is 1 where, by that test, the answer depends on the reasoning wholly or the model is open about what moved it, and 0 where neither; one trace has no interval."].concat(weighed ? [
    "A step is the bluer the further the answers move when it is sampled again and says something else; full colour is the run’s largest importance. Beside it, what answers dealt at random give. Where few of its resamples are dissimilar and state an answer, it is rough."] : []);
}

function mistakesMade(mistakes) {
  if (!mistakes) return null;
  const items = mistakes.map((each) => element("li", {}, "step " + each.step + ": ",
    each.original === null ? null : [element("del", {}, each.original), " → "], each.changed === null ? null : element("ins", {}, each.changed),
    " · the answer is then ", element("b", {}, each.answer === null ? "none" : each.answer), each.stays === null ? "" : each.stays ? ", as before" : ", another",
    each.text === null ? null : element("details", {}, element("summary", {}, "what it wrote"), element("div", { class: "reply", dir: "auto" }, each.text))));
  return element("details", { class: "mistakes" }, element("summary", {}, plural(mistakes.length, "mistake") + " put into it; the answer stays after "
    + mistakes.filter((each) => each.stays).length), element("ul", {}, items));
}
