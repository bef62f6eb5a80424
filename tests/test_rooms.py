"""Every module imports, exports what it says, and shadows nothing; imports point one way."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("prompts", "cot", "analysis")
HEAVY = ("torch", "transformers", "pandas", "sklearn", "vllm", "sentence_transformers", "plotly")


def modules():
    for room in ROOMS:
        package = importlib.import_module(room)
        yield room
        for info in pkgutil.walk_packages(package.__path__, f"{room}."):
            yield info.name


MODULES = sorted(modules())


@pytest.mark.parametrize("name", MODULES)
def test_all_is_explicit_and_true(name):
    module = importlib.import_module(name)
    if Path(module.__file__).name != "__init__.py" or module.__dict__.get("__all__") is not None:
        assert module.__all__
    for each in getattr(module, "__all__", ()):
        assert getattr(module, each) is not None


def test_public_functions_survive_the_import_of_every_module():
    import analysis
    import cot

    for name in MODULES:
        importlib.import_module(name)
    for package in (cot, analysis):
        for name in set(package.__all__) - {"figures"}:
            assert callable(getattr(package, name)), f"{package.__name__}.{name}"
    assert analysis.figures.votes


def loaded_by(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split("\n")[-2].split())


def test_help_loads_nothing_heavy():
    loaded = loaded_by("from cot.cli import main\nassert main(['--help']) == 0")
    assert not loaded & set(HEAVY)


def test_importing_the_packages_loads_nothing_heavy():
    loaded = loaded_by("import cot, prompts, analysis")
    assert not loaded & {"torch", "transformers", "sklearn", "vllm", "sentence_transformers"}


def test_every_registered_name_can_be_found():
    from cot.registry import BUILT_IN, find, names

    for kind in BUILT_IN:
        for name in names(kind):
            if (kind, name) != ("engines", "vllm"):
                assert callable(find(kind, name)), f"{kind} {name}"


@pytest.mark.parametrize("name", ["prompts", "analysis"])
def test_a_folder_that_hides_a_room_is_named(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("x = 1")
    done = subprocess.run(
        [sys.executable, "-c", "import cot"], capture_output=True, text=True, cwd=tmp_path
    )
    assert f"package '{name}' is hidden by" in done.stderr
    assert f"{name}.py" in done.stderr
