"""The wheel holds the four rooms with their files, and works outside the checkout."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"
    kept = ("cot", "prompts", "analysis", "experiments", "pyproject.toml", "README.md", "LICENSE")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *kept],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    for name in listed.stdout.split("\n")[:-1]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_roots_and_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert roots == {"cot", "prompts", "analysis", "experiments"}
    for room, pattern in (
        ("prompts", "templates/*.md"),
        ("prompts", "exemplars/*.toml"),
        ("analysis", "page/base/*"),
        ("analysis", "page/sections/*/*"),
        ("analysis", "page/vendor/*"),
        ("experiments", "*.toml"),
        ("cot", "**/*.py"),
        ("analysis", "**/*.py"),
    ):
        found = list((ROOT / room).glob(pattern))
        assert found, pattern
        for path in found:
            if path.is_file() and path.suffix != ".pyc":
                assert path.relative_to(ROOT).as_posix() in names


@pytest.mark.slow
def test_works_outside_the_checkout(wheel, tmp_path):
    """Installed without its dependencies, which this environment lends."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    lent = next(path for path in sys.path if path.endswith("site-packages"))
    bare = tmp_path / "lent"
    bare.mkdir()
    for entry in os.listdir(lent):
        if "consilience" not in entry:
            (bare / entry).symlink_to(Path(lent) / entry)
    done = subprocess.run(
        [tmp_path / "env" / "bin" / "cot", "prompts", "few_shot_cot"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(bare)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("Answer:")
