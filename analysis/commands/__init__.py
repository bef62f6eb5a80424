"""Commands of analyses, made from their declarations.

`cot.cli` names `analysis.commands:NAME` for each analysis; the command is made when it is used: its
options are the function's parameters, their help comes from its docstring, and `Shown` says what is
printed.
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pandas as pd
from cyclopts import Parameter, Token
from docstring_parser import parse

from analysis.catalogue import find
from analysis.declaration import Analysis, Shown, is_list
from cot.console import Output, emit, listen
from cot.errors import InputError
from cot.registry import describe
from cot.store.run import Run, open_run

__all__ = ["command"]

OUTPUT = Output()
COLUMNS = ["measure", "subject", "baseline", "estimate", "low", "high", "p"]
COLUMNS += ["n_questions", "n_traces", "n_excluded"]
"""What is printed of findings."""
OWN = {
    "attributions": "package.module:Class\n  One of your own: see analysis.attribution.contract.",
    "clusterers": "dataflow\n  No embedding: traces that compute the same are one.\n"
    "module:Class\n  A scikit-learn clusterer of your own.",
    "faithfulness": "package.module:Class\n  A test of your own.",
    "features": "package.module:function\n  One of your own: see analysis.state_features.contract.",
    "interventions": "package.module:Class\n"
    "  One of your own: see analysis.interventions.contract.",
    "probes": "module:Class\n  An estimator of your own.",
    "stops": "package.module:name\n  A stopping rule of your own: see cot.stopping.",
    "votes": "all\n  Every one that asks no model and whose inputs the run has.\n"
    "package.module:function\n  A rule of your own: see analysis.voting.rule.",
}
"""How a plug-in of a user's is named, by kind."""


def __getattr__(name: str) -> Callable[..., None]:
    if name.startswith("_"):
        raise AttributeError(name)
    return command(find(name))


def command(analysis: Analysis) -> Callable[..., None]:
    """The command of an analysis, as cyclopts takes it."""
    views = {name: _view(function) for name, function in analysis.views.items()}
    placed = [name for name, each in analysis.parameters.items() if each.default is each.empty]
    placed += [name for name, function in analysis.views.items() if _is_positional(function)]

    def run_command(run: Path, /, *arguments: Any, output: Output = OUTPUT, **named: Any) -> None:
        listen()
        opened = open_run(run)
        named |= dict(zip(placed, arguments, strict=False))
        chosen = {name: named.pop(name, None) for name in views}
        bound = analysis.bind(**named)
        for name, value in chosen.items():
            if value:
                _print(output, analysis.views[name](opened, value, **bound))
                return
        result = analysis.function(opened, **bound)
        _print(output, (analysis.show or default_show(analysis))(opened, result))

    documented = parse(inspect.getdoc(analysis.function) or "")
    helps = {each.arg_name: each.description or "" for each in documented.params}
    parameters = [_positional("run", Path, "The run's folder.")]
    options = []
    for name, given in analysis.parameters.items():
        text = _help(helps.get(name, ""), analysis.choices.get(name))
        kind = analysis.types[name]
        if given.default is given.empty:
            parameters.append(_positional(name, kind, text))
        else:
            options.append(_option(name, kind, given.default, text))
    for name, (kind, text) in views.items():
        if name in placed:
            parameters.append(_positional(name, kind, text, default=None))
        else:
            options.append(_option(name, kind, None, text))
    output = inspect.Parameter(
        "output", inspect.Parameter.KEYWORD_ONLY, default=OUTPUT, annotation=Output
    )
    made = [*parameters, *options, output]
    run_command.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]
    run_command.__annotations__ = {each.name: each.annotation for each in made}
    run_command.__name__ = analysis.name
    run_command.__doc__ = _summary(documented)
    return run_command


def default_show(analysis: Analysis) -> Callable[[Run, Any], Shown]:
    """Shows the findings where there are some, else the main table."""

    def show(run: Run, result: Any) -> Shown:
        json: dict[str, Any] = {}
        shown: pd.DataFrame | None = None
        if isinstance(result, pd.DataFrame):
            json[next(iter(analysis.makes))] = result.to_dict("records")
            shown = result
        for table in analysis.makes:
            if table.startswith("findings_") and table in run.tables():
                findings = run.table(table)
                json["findings"] = findings.to_dict("records")
                shown = findings[[name for name in COLUMNS if name in findings]]
        return Shown(json=json, tables=[] if shown is None else [shown.to_dict("records")])

    return show


def _print(output: Output, shown: Shown) -> None:
    if output.json:
        emit(output, shown.json)
        return
    for rows in shown.tables[:-1]:
        emit(output, {}, rows=rows)
    emit(output, {}, rows=shown.tables[-1] if shown.tables else (), note=shown.note)


def _summary(documented: Any) -> str:
    """The docstring without arguments, errors and what the tables hold."""
    short, long = documented.short_description or "", documented.long_description or ""
    first = long.split("\n\n")[0] if long and not long.startswith("Columns") else ""
    return f"{short}\n\n{first}".strip()


def _help(text: str, choices: str | Callable[[], str] | None) -> str:
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    if choices is None:
        return text
    listed = choices() if callable(choices) else f"{describe(choices)}\n{OWN[choices]}"
    return f"{text}\n\n{listed}"


def _view(function: Callable[..., Shown]) -> tuple[Any, str]:
    """The type of a view's option, and its help."""
    _, value, *_ = inspect.signature(function).parameters
    kind = get_type_hints(function)[value]
    return (bool if kind is bool else kind | None), (inspect.getdoc(function) or "").split("\n")[0]


def _is_positional(view: Callable[..., Shown]) -> bool:
    """Whether a view's value stands behind the run, without its name before it."""
    _, value, *_ = inspect.signature(view).parameters.values()
    return value.kind is value.POSITIONAL_ONLY


def _positional(
    name: str, kind: Any, text: str, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_ONLY,
        default=default,
        annotation=Annotated[_typed(kind), Parameter(help=text, show_default=False)],
    )


def _option(name: str, kind: Any, default: Any, text: str) -> inspect.Parameter:
    kind = _typed(kind)
    if kind is bool and default is None:
        default = False
    names = (f"--{name.replace('_', '-')}",) if len(name) > 1 else (f"-{name}", f"--{name}")
    about = Parameter(
        name=names,
        negative=f"--no-{name.replace('_', '-')}" if default is True else (),
        help=text,
        show_default=False if default in (None, ()) else _shown,
        converter=_integers if _holds_integers(kind) else None,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, about]
    )


def _shown(default: Any) -> str:
    """A default, as one types it."""
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _typed(kind: Any) -> Any:
    """A parameter's type, as the command line reads it."""
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [_typed(each) for each in get_args(kind)]
        if str in kinds and any(is_list(each) for each in kinds):
            return str  # a text says all that the list can
        return functools.reduce(operator.or_, kinds)
    if is_list(kind) and get_origin(kind) is not Literal:
        (of, *_) = get_args(kind) or (str,)
        return tuple[_typed(of), ...]  # type: ignore[misc]  # made at run time
    return kind


def _holds_integers(kind: Any) -> bool:
    return tuple[int, ...] in (kind, *get_args(kind))


def _integers(kind: Any, tokens: Sequence[Token]) -> Any:
    """Whole numbers, given again or with commas between: `--n 1,5 --n 10`; where the type has
    texts too, a text that is no numbers."""
    texts = [part for token in tokens for part in token.value.split(",")]
    try:
        return tuple(int(text) for text in texts)
    except ValueError:
        if str in get_args(kind) and len(tokens) == 1:
            return tokens[0].value
        given = " ".join(token.value for token in tokens)
        raise InputError(
            f"{tokens[0].keyword} is {given!r}: whole numbers, with commas between or given again"
        ) from None
