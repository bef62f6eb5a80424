"""Pages: their size, and the seconds until Chromium shows a question and a trace, opened from disk.

    python experiments/benchmarks/page.py [RUN ...] [--long 160 16000] [--short 40000] [--rounds 5]

Without a run, two are made of seeded text: 160 traces of 16,000 tokens (`long_text.py`), with their
tokens and made-up log-probabilities, and 40,000 short ones, 25 a question. The page is written as
`cot report` does. Seconds run from the start of the navigation to the load of the document's
content, and to the first frame with the most suspicious question (its link is what is opened);
then from a click on its first trace that is closed to the frame that shows it, and from the last
key of a search in all traces to its count. Medians, each load in a new browser without a cache.

The last line is JSON: by page, megabytes and seconds; the largest share of a goal, in seconds or
megabytes, is the ratio, and its goal is at most 1.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from long_text import reasoning  # type: ignore[import-not-found]  # beside this file

import analysis
from analysis.page import FOLDER, write_report
from analysis.page.evidence import gather
from analysis.page.sections.questions import question_rows
from cot.store.run import Run, create_run, open_run
from cot.types import Completion, Question, Trace

GOAL = {"megabytes": 25.0, "shown": 3.0, "trace": 1.0}
"""Of the page itself, without the files beside it; seconds."""
MODEL = "smollm2-135m-instruct"
WORDS_PER_TOKEN = 0.6
"""To write text of about the length that is asked for, as in `long.py`."""
PER_QUESTION = {"long": 16, "short": 25}
SETTLE = 2.0
"""Seconds that a new browser is given to finish its own start."""
WATCH = """
new MutationObserver((_, observer) => {
  const traces = document.querySelector("#question .traces");
  if (!traces) return;
  observer.disconnect();
  new ResizeObserver(() => { window.shownAfter ??= performance.now(); }).observe(traces);
}).observe(document, { childList: true, subtree: true });
"""
"""Notes when a question has been laid out, which is in the frame that paints it."""
READ = """
const done = arguments[0];
function look() {
  if (window.shownAfter === undefined || document.documentElement.dataset.drawing !== undefined) {
    setTimeout(look, 50);
    return;
  }
  const [entry] = performance.getEntriesByType("navigation");
  done([entry.domContentLoadedEventEnd / 1000, window.shownAfter / 1000]);
}
look();
"""
OPEN = """
const done = arguments[0];
const node = document.querySelector("#question .trace[data-index]:not([open])");
if (!node) { done(0); return; }
const start = performance.now();
node.firstElementChild.click();
function look() {
  if (node.children.length < 2) { requestAnimationFrame(look); return; }
  requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000)));
}
look();
"""
SEARCH = """
const done = arguments[0];
const status = document.getElementById("trace-status");
const start = performance.now();
new MutationObserver(() => done([(performance.now() - start) / 1000, status.textContent]))
  .observe(status, { childList: true });
const input = document.getElementById("trace-search");
input.value = "double-check";
input.dispatchEvent(new Event("input"));
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="*")
    parser.add_argument("--long", type=int, nargs=2, default=[160, 16_000])
    parser.add_argument("--short", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = {str(path): open_run(path) for path in asked.run}
        if not runs:
            made = Path(folder)
            runs = {
                "long": long_run(made / "long", *asked.long),
                "short": short_run(made / "short", asked.short),
            }
        found = {name: measure(run, asked.rounds) for name, run in runs.items()}
    ratio = max(each[name] / goal for each in found.values() for name, goal in GOAL.items())
    print(json.dumps({"benchmark": "page", **found, "ratio": round(ratio, 3), "goal": 1.0}))


def long_run(folder: Path, n: int, tokens: int) -> Run:
    """Seeded traces of about so many tokens, answered, voted on and cut in steps."""
    from cot.models import load_tokenizer, resolve

    tokenizer = load_tokenizer(resolve(MODEL))
    rng = random.Random(tokens)
    traces = []
    for _ in range(n):
        text = reasoning(rng, int(tokens * WORDS_PER_TOKEN))
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        logprobs = np.array([-rng.expovariate(2.0) for _ in ids], np.float32)
        traces.append((text, tuple(ids), logprobs))
    run = made_run(folder, traces, PER_QUESTION["long"])
    analysis.segment(run)
    return run


def short_run(folder: Path, n: int) -> Run:
    """Seeded traces of three lines, answered and voted on."""
    rng = random.Random(n)
    traces = []
    for _ in range(n):
        a, b = rng.randint(2, 99), rng.randint(2, 99)
        text = (
            f"She starts with {a}.\nShe gets {b} more: {a} + {b} = {a + b}.\nThe answer is {a + b}."
        )
        traces.append((text, None, None))
    return made_run(folder, traces, PER_QUESTION["short"])


def made_run(folder: Path, traces: list[Any], each: int) -> Run:
    """A run of (text, token ids, log-probabilities)."""
    run = create_run(folder, {"model": MODEL, "dataset": "made", "seed": 0})
    with run.lock():
        numbers = range(-(-len(traces) // each))
        run.add_questions([Question(id=f"q{i:05d}", text=f"Case {i}?", gold="7") for i in numbers])
        with run.writer() as writer:
            for i, (text, ids, logprobs) in enumerate(traces):
                completion = Completion(
                    text=text, finish_reason="stop", token_ids=ids, logprobs=logprobs
                )
                writer.add(
                    Trace(
                        question_id=f"q{i // each:05d}",
                        sample_index=i % each,
                        seed=None,
                        prompt_sha=None,
                        completion=completion,
                    )
                )
    analysis.answers(run)
    analysis.vote(run)
    return run


def measure(run: Run, rounds: int) -> dict[str, Any]:
    """Megabytes and seconds of a run's page."""
    started = time.process_time()
    page = write_report(run)
    written = time.process_time() - started
    beside = sum(file.stat().st_size for file in (run.path / FOLDER).glob("*.js"))
    address = f"{page.resolve().as_uri()}#q={quote(question_rows(gather(run))[0].id)}"
    loads = [load(address) for _ in range(rounds)]
    median = {name: statistics.median(each[name] for each in loads) for name in loads[0]}
    result = {
        "traces": len(run.traces(["finish_reason"])),
        "written": round(written, 2),
        "megabytes": round(page.stat().st_size / 1e6, 2),
        "megabytes_beside": round(beside / 1e6, 2),
        **{name: round(seconds, 3) for name, seconds in median.items()},
    }
    print(json.dumps(result), flush=True)
    return result


def load(address: str) -> dict[str, float]:
    """Seconds to the document's content, a question, a trace of it, and the end of a search, in a
    browser of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options: Any = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    with tempfile.TemporaryDirectory() as folder:
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            browser.set_script_timeout(120)
            browser.get("about:blank")
            time.sleep(SETTLE)
            browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            browser.get(address)
            content, shown = browser.execute_async_script(READ)
            trace = browser.execute_async_script(OPEN)
            search, said = browser.execute_async_script(SEARCH)
            if "of" not in said:
                raise SystemExit(f"the search ended in {said!r}")
        finally:
            browser.quit()
    return {"content": content, "shown": shown, "trace": trace, "search": search}


if __name__ == "__main__":
    main()
