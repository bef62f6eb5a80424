"""The command line. Each command's module is imported when that command runs, and not before."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Sequence

from cyclopts import App, Parameter

from cot.errors import ConsilienceError, InputError
from cot.registry import ANALYSES, REGISTERED, load_plugin, names

__all__ = ["app", "main"]

COMMANDS = {
    "demo": ("analysis.commands.run:demo", "The whole pipeline on the bundled model."),
    "sample": ("cot.commands.sample:sample", "Sample chains of thought into a run."),
    "prompts": ("cot.commands.prompts:show_prompts", "List prompts, or show one rendered."),
    "import": ("cot.commands.imports:import_file", "Make a run from traces that exist already."),
    "merge": ("cot.commands.merge:merge_runs", "Join runs that were sampled in parts."),
    **{name: (f"analysis.commands:{name}", line) for name, (_, line) in ANALYSES.items()},
    "show": ("analysis.commands.show:show", "Show a run, or one question, in the terminal."),
    "run": ("analysis.commands.run:run", "Run an experiment file."),
    "export": ("analysis.commands.run:export", "Write tables as parquet, csv or jsonl."),
}
"""Name to where the command is, and a line of help."""


def _version() -> str:
    """The distribution's name and version."""
    from importlib.metadata import version

    return f"consilience {version('consilience')}"


app = App(
    name="cot",
    version=_version,
    help="Do answers, reasoning and hidden states of a model's chains of thought agree?",
    help_format="plaintext",
    help_epilogue="Start with: cot demo. --plugin package.module, before the command, adds an "
    "analysis of your own.",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative=()),  # no --no-json, no --empty-rule
)
for _name, (_target, _help) in COMMANDS.items():
    app.command(_target, name=_name, help=_help)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    from cyclopts import CycloptsError

    given = list(sys.argv[1:] if arguments is None else arguments)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where `module:function` plug-ins lie; behind all else
    try:
        given = _with_plugins(given)
        code = app(given, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(" ".join(str(error).split()), 2)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from here", 130)
    except BrokenPipeError:
        sys.stderr.close()
        return 128 + signal.SIGPIPE
    except Exception as error:
        if "--debug" in given:
            raise
        return _explain(error)
    return code if isinstance(code, int) else 0


def _with_plugins(given: list[str]) -> list[str]:
    """Import the modules that `--plugin` names before the command, and add their commands."""
    while given and given[0].split("=")[0] == "--plugin":
        _, equals, module = given.pop(0).partition("=")
        if not equals:
            if not given:
                raise InputError("--plugin needs a module: cot --plugin package.module COMMAND")
            module = given.pop(0)
        load_plugin(module)
    for name in set(names("analyses")) - set(COMMANDS) - set(app):
        loaded = REGISTERED.get("analyses", {}).get(name)
        line = (inspect.getdoc(loaded) or "").split("\n")[0] or "An analysis of a plug-in."
        app.command(f"analysis.commands:{name}", name=name, help=line)
    return given


def _explain(error: Exception) -> int:
    from prompts import PromptError

    if isinstance(error, InputError | PromptError):
        return _fail(str(error), 2)
    if isinstance(error, ConsilienceError):
        return _fail(str(error), 1)
    return _fail(f"{type(error).__name__}: {error} (--debug shows where)", 1)


def _fail(message: str, code: int) -> int:
    from cot.console import printable

    print(f"cot: {printable(message)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
