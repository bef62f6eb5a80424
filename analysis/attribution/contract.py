"""What an attribution is: how a trace's log-odds are shared out among the parts of what was read.

An attribution is a class with a few parameters. For each trace it gives every part a value in nats:
positive where the part speaks for the trace's own answer, negative where it speaks for the other.

    class Length(Attribution):
        \"\"\"Share the log-odds out by the number of tokens.\"\"\"

        def measure(self, target, lab, seed):
            total = lab.odds(target)
            each = total / len(target.token_ids)
            values = {part: each * part.n_tokens for part in target.parts}
            return Values(parts=values, total=total, baseline=0.0)

`cot attribute RUN --method package.module:Length` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.attribution.parts import Part, Target
from cot.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Attribution", "Cost", "Lab", "Values", "need_captum"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Values:
    """One trace's attribution."""

    parts: Mapping[Part, float]
    """Nats of log-odds; a part that the method doesn't look at is missing."""
    total: float
    """The log-odds that are shared out, as the method computed them."""
    baseline: float | None = None
    """The log-odds that values are counted from: a complete attribution's values sum to the total
    less this. None where the method promises no sum."""
    tokens: Floats | None = None
    """Of each token of prompt and trace, shape [token], where the method has such values."""
    sampled: bool = False
    """Whether another seed would give other values."""

    @property
    def gap(self) -> float | None:
        """Completeness gap: what the values' sum lacks, nats."""
        if self.baseline is None:
            return None
        return self.total - self.baseline - sum(self.parts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a trace costs at most."""

    forward: int = 0
    """Tokens that are run forward."""
    backward: int = 0
    """Those of them through which a gradient is run back."""


class Lab(Protocol):
    """The model, and what was asked for."""

    most_steps: int
    """Steps of a trace that methods look at one by one; 0 is all."""

    def odds(self, target: Target) -> float:
        """The trace's log-odds, nats."""
        ...

    def hidden(self, target: Target, sets: Sequence[frozenset[Part]]) -> Floats:
        """The same where nothing later attends to the tokens of these steps, as in a knock-out;
        shape [set]."""
        ...

    def without(self, target: Target, parts: frozenset[Part]) -> float:
        """The same where these parts are taken out and the rest is forced again; no part may be the
        answer's cue, and some of the prompt must stay."""
        ...

    def embedded(self, target: Target) -> Tensor:
        """Embeddings of prompt and trace, float32, shape [1, token, d_model], with a gradient."""
        ...

    def baseline(self, name: str) -> Tensor:
        """An embedding that says nothing, float32, shape [d_model]: `mean` of the vocabulary, or
        `zero`."""
        ...

    def forward(self, target: Target) -> Callable[[Tensor], Tensor]:
        """A function of embeddings [row, token, d_model] that gives log-odds [row], through which
        gradients run back."""
        ...

    def rows(self, target: Target) -> int:
        """Rows through which a gradient may be run back at a time."""
        ...


class Attribution:
    """The plug-in, to be extended: group `cot.attributions`, or package.module:Class.

    The first paragraph of its docstring says what it does, on the page and in the help.
    """

    title: ClassVar[str] = ""
    """Heading on the page; by default the name of its class."""
    removes: ClassVar[bool] = False
    """Whether its values are what the deletion test measures, so that it passes by construction."""
    captum: ClassVar[bool] = False
    """Whether it needs captum."""

    def measure(self, target: Target, lab: Lab, seed: int) -> Values:
        """A trace's attribution.

        Args:
            seed: of all that is drawn.
        """
        raise NotImplementedError

    def cost(self, target: Target, most_steps: int) -> Cost:
        """What that costs at most, for a dry run."""
        return Cost()

    def about(self) -> Mapping[str, Any]:
        """Its parameters, by name."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


def need_captum() -> None:
    """InputError where captum is not installed."""
    try:
        import captum.attr  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"this attribution needs captum ({error}): pip install 'consilience[interp]', or give "
            "--method occlusion, which doesn't"
        ) from None
