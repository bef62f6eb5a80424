"""An analysis is one function with one declaration; everything else follows from the two.

    @analysis(makes={"lengths": "one row a trace: its characters"})
    def lengths(run: Run, strip: bool = True) -> pd.DataFrame:
        \"\"\"Count the characters of each trace.

        Args:
            strip: leave out white space at both ends.
        \"\"\"
        traces = run.traces(["text"])
        ...
        run.write_table("lengths", table)
        return table

From it follow the command (`cot lengths RUN --strip`) with its help, the section of an experiment
file (`[lengths]`), the run's lock, the parameters and inputs that are stored with each table, what
`need("lengths")` calls, and what `cot show`, the page and its downloads say of each table.

A parameter that is a list takes the same form everywhere: `--rule a --rule b`, `rule=["a", "b"]`,
`rule = ["a", "b"]`.
"""

from __future__ import annotations

import functools
import inspect
import json
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from cot import registry
from cot.errors import InputError
from cot.store.run import Run
from cot.store.tables import versions

__all__ = ["DECLARED", "Analysis", "Shown", "analysis", "declared"]

P = ParamSpec("P")
T = TypeVar("T")
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a command prints of a result."""

    json: Mapping[str, Any]
    """The object that `--json` prints."""
    tables: Sequence[Rows] = ()
    """Tables, one mapping a row; all rows of a table have the same keys."""
    note: str = ""
    """A line under the tables."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """A declared analysis."""

    name: str
    """Of the function, the command and the section of an experiment file."""
    function: Callable[..., Any]
    """What a user calls: it takes the run and the parameters, and holds the run's lock."""
    makes: Mapping[str, str]
    """Tables that it writes, and a sentence on each. The first is the main one."""
    choices: Mapping[str, str | Callable[[], str]] = field(default_factory=dict)
    """Parameter to the kind of plug-in that it names (see `cot.registry`), or to a function that
    gives a text for its help."""
    show: Callable[[Run, Any], Shown] | None = None
    """What the command prints of the run and the result; by default findings, or the main table."""
    views: Mapping[str, Callable[..., Shown]] = field(default_factory=dict)
    """Options that show something instead of doing the analysis, such as `dry_run`: a function of
    the run, the option's value, and the analysis's parameters. Where the value is positional-only,
    it stands behind the run on the command line: `cot agree RUN OTHER`."""
    reader: Callable[..., AbstractContextManager[Any]] | None = None
    """For an analysis that looks inside the model: a function of the run and the parameters that
    gives a `Reader` of a teacher-forced pass (see `analysis.hidden_states.shared_pass`). What it
    stores is there when the analysis runs, so that several analyses share a pass."""

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The function's parameters, without the run, by name."""
        _, *others = inspect.signature(self.function).parameters.values()
        return {each.name: each for each in others}

    @property
    def types(self) -> dict[str, Any]:
        """Each parameter's type; that of its default where it is not annotated."""
        hints = get_type_hints(inspect.unwrap(self.function))
        return {
            name: hints.get(name, str if each.default in (None, each.empty) else type(each.default))
            for name, each in self.parameters.items()
        }

    def bind(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Parameter to value, defaults included; a text that stands for a list becomes one.

        Raises:
            InputError: a parameter that there is not (the message lists those there are), or one
                without a default that is not given.
        """
        signature = inspect.Signature(list(self.parameters.values()))
        try:
            bound = signature.bind(*arguments, **named)
        except TypeError as error:
            known = ", ".join(self.parameters) or "no parameters"
            raise InputError(f"{self.name}: {error}; it takes: {known}") from None
        bound.apply_defaults()
        lists = {name for name, kind in self.types.items() if is_list(kind)}
        return {
            name: (value,) if name in lists and isinstance(value, str | int) else value
            for name, value in bound.arguments.items()
        }

    def read_pass(self, run: Run, **named: Any) -> AbstractContextManager[Any]:
        """The reader with these parameters; of those given, such as the analysis has."""
        assert self.reader is not None
        given = {name: value for name, value in named.items() if name in self.parameters}
        return self.reader(run, **self.bind(**given))

    def is_current(self, run: Run, arguments: Mapping[str, Any]) -> bool:
        """Whether the main table follows from the run as it is, with these arguments and
        versions."""
        main = next(iter(self.makes), None)
        if main is None or main not in run.tables() or run.stale(main):
            return False
        made = run.provenance(main)
        same = stored(self.bind(**arguments)) == dict(made.parameters)
        return same and made.command == self.name and dict(made.versions) == versions()


DECLARED: dict[str, Analysis] = {}
"""Every analysis whose module was imported, by name."""


def analysis(
    *,
    makes: Mapping[str, str],
    choices: Mapping[str, str | Callable[[], str]] | None = None,
    show: Callable[[Run, Any], Shown] | None = None,
    views: Mapping[str, Callable[..., Shown]] | None = None,
    reader: Callable[..., AbstractContextManager[Any]] | None = None,
) -> Callable[[Callable[Concatenate[Run, P], T]], Callable[Concatenate[Run, P], T]]:
    """Declare a function of a run as an analysis; see `Analysis` for what is given.

    The declared function holds the run's lock while it runs. The run that it gets knows what it
    reads and stores that, with the parameters, in each table that it writes.
    """

    def declare(function: Callable[Concatenate[Run, P], T]) -> Callable[Concatenate[Run, P], T]:
        @functools.wraps(function)
        def call(run: Run, /, *arguments: P.args, **named: P.kwargs) -> T:
            bound = made.bind(*arguments, **named)
            maker = run.made_by(made.name, stored(bound), tuple(makes))
            with run.lock():
                return function(maker, **bound)  # type: ignore[call-arg]  # bound has them all

        made = Analysis(
            name=function.__name__,
            function=call,
            makes=makes,
            choices=choices or {},
            show=show,
            views=views or {},
            reader=reader,
        )
        home = registry.ANALYSES.get(made.name, (call.__module__,))[0].split(":")[0]
        before = DECLARED[made.name].function.__module__ if made.name in DECLARED else home
        if not call.__module__.startswith(before):
            raise InputError(
                f"{call.__module__} declares an analysis {made.name!r}, which {before} has "
                "declared already: give it another name"
            )
        DECLARED[made.name] = made
        registry.register("analyses", made.name, call)
        return call

    return declare


def declared(function: Callable[..., Any]) -> Analysis:
    """The declaration of an analysis's function.

    Raises:
        InputError: the function is not an analysis.
    """
    made = DECLARED.get(function.__name__)
    if made is None or made.function is not function:
        raise InputError(f"{function.__module__}:{function.__name__} is not declared an analysis")
    return made


def is_list(kind: Any) -> bool:
    """Whether a parameter of this type is a list of values, or None."""
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [each for each in get_args(kind) if each is not type(None)]
        return len(kinds) == 1 and is_list(kinds[0])
    return get_origin(kind) in (Sequence, list, tuple)


def stored(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them: paths as text, sequences as lists."""
    return dict(json.loads(json.dumps(parameters, default=_plain)))


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else list(value)
