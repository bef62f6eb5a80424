"""The commands and Python lines of the README and of docs/ do what they say, as written there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md")))]
BIN = Path(sys.executable).parent
MOST_WORDS, MOST_WORDS_IN_A_CELL = 1500, 25
FORKING = """
import os, shlex, sys
import pandas, plotly.graph_objects, sentence_transformers, torch, transformers
for line in sys.stdin:
    if (child := os.fork()) == 0:
        sys.argv = shlex.split(line)
        from cot.cli import main
        sys.exit(main())
    if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"{line.strip()}: exit code {code}")
"""
"""Each command in a process of its own, which finds the libraries loaded and nothing else."""


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


def modules(page):
    """File name to text: each block of Python or TOML that the page says is in a file."""
    return dict(re.findall(r"in `(\w+\.(?:py|toml))`:\n\n```(?:python|toml)\n(.*?)```", page, re.S))


def commands():
    """All commands of all pages, the README's first: the others use the run that it makes."""
    return [
        line[2:]
        for page in PAGES
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ cot ")
    ]


def links(page):
    return re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page)


def test_every_command_is_in_the_table_and_the_other_way_round():
    from cot.cli import COMMANDS

    rows = "".join(line for line in README.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`cot (\w+)", rows)) == set(COMMANDS)
    assert set(re.findall(r"`cot (\w+)", "".join(PAGES))) == set(COMMANDS)


def test_the_readme_is_short():
    """Words of prose, tables included; blocks of code are not counted."""
    prose = re.sub(r"```.*?```", "", README, flags=re.S)
    assert len(prose.split()) < MOST_WORDS
    cells = [cell for line in prose.splitlines() if line[:1] == "|" for cell in line.split("|")]
    assert cells
    assert [cell for cell in cells if len(cell.split()) >= MOST_WORDS_IN_A_CELL] == []


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "experiments/README.md", *sorted(ROOT.glob("docs/*.md"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_what_a_page_links_to_is_there(page):
    found = links(page.read_text(encoding="utf-8"))
    assert [link for link in found if not (page.parent / link).exists()] == []


def test_files_that_pages_name_are_there():
    named = {name for page in PAGES for name in re.findall(r"`((?:\w+/)+\w+\.py)`", page)}
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.model
@pytest.mark.longest
def test_the_commands(tmp_path):
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    assert len(commands()) >= 10
    for page in PAGES:
        for name, text in modules(page).items():
            (tmp_path / name).write_text(text)
    assert {"my_rules.py", "checker.py", "sweep.toml"} <= {path.name for path in tmp_path.iterdir()}
    first, *others = commands()
    done = subprocess.run(
        first, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{first}: {done.stderr}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", FORKING],
        input="\n".join(others),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/mine/report.html").stat().st_size > 10_000
    code = "".join(block for block in blocks(README, "python") if " = cot." in block)
    assert "cot.sample(" in code
    assert "cot.sweep(" in code
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
