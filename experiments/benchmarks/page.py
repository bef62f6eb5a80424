"""A run's page: its size, and the seconds until Chromium shows a question of it, opened from disk.

    python experiments/benchmarks/page.py runs/svamp

The page is written again first, as `cot report` does. Seconds run from the start of the navigation
to the load of the document's content, and to the first frame with the most suspicious question (its
link is what is opened); medians of five loads, each in a new browser without a cache.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from analysis.page import write_report
from analysis.page.evidence import gather
from analysis.page.sections.questions import question_rows
from analysis.page.shards import FOLDER
from cot.store.run import open_run

GOAL = {"megabytes": 25.0, "seconds": 3.0}
ROUNDS = 5
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
  if (window.shownAfter === undefined) { setTimeout(look, 50); return; }
  const [entry] = performance.getEntriesByType("navigation");
  done([entry.domContentLoadedEventEnd / 1000, window.shownAfter / 1000]);
}
look();
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = open_run(parser.parse_args().run)
    started = time.perf_counter()
    page = write_report(run)
    written = time.perf_counter() - started
    beside = sum(file.stat().st_size for file in (run.path / FOLDER).glob("*.js"))
    megabytes = page.stat().st_size / 1e6
    rows = question_rows(gather(run))
    print(
        f"{page}: {megabytes:.1f} MB, {beside / 1e6:.1f} MB beside it, written in {written:.1f} s"
    )
    loads = [load(f"{page.resolve().as_uri()}#q={quote(rows[0].id)}") for _ in range(ROUNDS)]
    content, shown = (statistics.median(column) for column in zip(*loads, strict=True))
    print(f"content loaded after {content:.2f} s, a question shown after {shown:.2f} s")
    result = {
        "benchmark": "page",
        "traces": len(run.traces(["finish_reason"])),
        "megabytes": round(megabytes, 2),
        "megabytes_beside": round(beside / 1e6, 2),
        "content_seconds": round(content, 3),
        "seconds": round(shown, 3),
        "first_seconds": round(loads[0][1], 3),
        "goal": GOAL,
        "met": megabytes <= GOAL["megabytes"] and shown <= GOAL["seconds"],
    }
    print(json.dumps(result))


def load(address: str) -> tuple[float, float]:
    """Seconds to the document's content and to the question, in a browser of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options: Any = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    with tempfile.TemporaryDirectory() as folder:
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            browser.get("about:blank")
            time.sleep(SETTLE)
            browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            browser.get(address)
            content, shown = browser.execute_async_script(READ)
        finally:
            browser.quit()
    return float(content), float(shown)


if __name__ == "__main__":
    main()
