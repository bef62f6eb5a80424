"""One page that shows a run: self-contained, without network, opened from disk.

Jinja2 (autoescaped) writes what can be read without scripts: findings, methods, notices. The rest
travels as JSON in `<script type="application/json">` and is put on the page with textContent only,
so that nothing a model wrote is ever markup. A Content-Security-Policy forbids all network and
runs only the scripts whose hashes it names. Above `MAX_BYTES`, what is shown of each question moves
to script files beside the page (see shards.py).

    >>> write_report(open_run("runs/demo"))                                      # doctest: +SKIP
    PosixPath('runs/demo/report.html')
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.declaration import Shown, analysis
from analysis.page.confidence import calibration_figure, stop_rows
from analysis.page.curve import curve_figure
from analysis.page.data import gather, overview
from analysis.page.decided import decided_figure
from analysis.page.downloads import pack
from analysis.page.faithfulness import test_groups
from analysis.page.geometry import dimension_figure, similarity_figure
from analysis.page.glossary import glossary
from analysis.page.headlines import headlines
from analysis.page.hints import followed_hints
from analysis.page.interventions import most_important
from analysis.page.kept import kept_figures
from analysis.page.kinds import kind_panels
from analysis.page.lens import lens_figure
from analysis.page.methods import fidelity, provenance
from analysis.page.opening import opening
from analysis.page.probes import probe_figures, regression_rows
from analysis.page.questions import question_details, question_rows
from analysis.page.raters import raters
from analysis.page.shades import shades_of
from analysis.page.shards import FOLDER, clear, shard, write_shards
from analysis.page.states import LINES, state_maps, trajectory_figures
from analysis.page.text import decimal, percent, visible
from analysis.page.tokens import left_out, token_maps
from cot.store.atomic import replace_file
from cot.store.run import Run

__all__ = ["as_json", "report", "write_report"]

SCRIPTS = ["dom.js", "heat.js", "charts.js", "confidence.js", "probes.js", "lens.js", "geometry.js"]
SCRIPTS += [
    "list.js",
    "kinds.js",
    "downloads.js",
    "address.js",
    "store.js",
    "map.js",
    "paths.js",
    "shade.js",
    "flow.js",
    "latent.js",
    "faithfulness.js",
    "interventions.js",
    "traces.js",
    "detail.js",
    "main.js",
]
"""Joined in this order into the page's own script."""
STYLES = ["report.css", "opening.css", "depth.css", "faithfulness.css"]


MAX_BYTES = 25_000_000
"""Of a page in one file."""


def _show(run: Run, path: Path) -> Shown:
    return Shown(json={"report": path}, note=str(path))


@analysis(makes={}, show=_show)
def report(run: Run) -> Path:
    """Write report.html: one page that opens from disk, without the network; returns its path."""
    return write_report(run)


def write_report(run: Run, *, max_bytes: int = MAX_BYTES) -> Path:
    """Write `run/report.html` from whatever tables exist; return its path.

    A section whose table is missing names the command that makes it; a stale table is said.

    Args:
        max_bytes: a page that would be larger has its questions' details in `report-data` beside
            it, loaded as questions are opened; both belong together.
    """
    page, files = _render(run, max_bytes)
    if files:
        write_shards(run.path / FOLDER, files)
    path = run.path / "report.html"
    with replace_file(path) as handle:
        handle.write(page.encode())
    clear(run.path / FOLDER, len(files))
    return path


def as_json(value: Any) -> Markup:
    """JSON that is safe inside a script element, whatever the strings hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _render(run: Run, max_bytes: int) -> tuple[str, list[str]]:
    """The page, and the texts of the files beside it; none where it is small enough."""
    evidence = gather(run)
    figures: dict[str, Any] = {
        "curve": curve_figure(evidence),
        "calibration": calibration_figure(evidence),
        "probes": probe_figures(evidence),
        "lens": lens_figure(evidence),
        "dimension": dimension_figure(evidence),
        "trajectories": trajectory_figures(evidence),
        "states": state_maps(evidence),
        "kept": kept_figures(evidence),
    }
    drawn = any(figures.values()) or len(evidence.get("path_map"))
    figures |= {"tokens": token_maps(evidence), "similarity": similarity_figure(evidence)}
    figures |= {"hints": followed_hints(evidence)}
    rows = question_rows(evidence)
    downloads = pack(evidence)
    scripts = [*([_plotly()] if drawn else []), _own_script()]
    shades, unshaded = shades_of(run)
    shown = question_details(evidence, [row["id"] for row in rows], shades=shades)
    details = [(as_json(key), as_json(detail)) for key, detail in shown.items()]
    del shown
    settings = dict(
        css=Markup("".join(map(_read, STYLES))),
        plotly=Markup(_plotly()) if drawn else None,
        script=Markup(_own_script()),
        overview=overview(evidence),
        headlines=headlines(evidence),
        opening=opening(evidence),
        panels=kind_panels(evidence),
        raters=raters(evidence),
        downloads=downloads,
        packed=as_json(downloads.packed),
        notices={
            "opening": evidence.notices("agreement", "findings_agree"),
            "curve": evidence.notices("curve"),
            "stops": evidence.notices("findings_stop"),
            "calibration": evidence.notices("calibration"),
            "probes": evidence.notices("probes"),
            "lens": evidence.notices("lens", "lens_traces", "lens_tokens"),
            "geometry": evidence.notices(
                "similarity", "dimension", "eigen_scores", "state_map", "trajectories"
            ),
            "faithfulness": evidence.notices("findings_faithfulness", "faithfulness_curves"),
            "questions": evidence.notices("answers", "votes", "paths", "agreement"),
            "traces": evidence.notices(
                "answers", "steps", "paths", "step_checks", "cluster_names", "path_map", "probe_scores"
            ),
        },
        **figures,
        tests=test_groups(evidence),
        decided=decided_figure(evidence),
        stops=stop_rows(evidence),
        regressions=regression_rows(evidence),
        tokens_left_out=left_out(evidence, figures["tokens"]),
        most_lines=LINES,
        fidelity=fidelity(evidence),
        provenance=provenance(evidence),
        glossary=glossary(evidence),
    )
    data = {"questions": rows, "shading": unshaded, "important": most_important(evidence)} | figures
    inside = Markup("{" + ",".join(f"{key}:{detail}" for key, detail in details) + "}")
    page = as_json({**data, "shards": None})
    whole: str = _template().render(csp=_policy(scripts), page=page, details=inside, **settings)
    if len(whole.encode("utf-8", "surrogatepass")) <= max_bytes:
        return whole, []
    shards, files = shard(details)
    page = as_json({**data, "shards": shards})
    csp = _policy(scripts, beside=True)
    return _template().render(csp=csp, page=page, details="{}", **settings), files


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("analysis.page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, decimal=decimal)
    return environment.get_template("report.html.jinja")


def _policy(scripts: list[str], beside: bool = False) -> str:
    """No network; only these scripts, and those beside the page; styles may be set, as plotly
    does."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    sources = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    sources += " 'self'" if beside else ""
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@cache
def _own_script() -> str:
    return '(function () {\n"use strict";\n' + "\n".join(map(_read, SCRIPTS)) + "})();\n"


def _read(name: str) -> str:
    folder = resources.files("analysis.page") / "templates"
    return (folder / name).read_text(encoding="utf-8")
