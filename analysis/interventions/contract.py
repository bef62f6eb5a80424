"""What an intervention is: which states of which forward pass are changed, and what is a control.

An intervention is a class with a few parameters. For each trace it says what is changed; the
laboratory runs it and reads the log-odds of the trace's own answer against another one.

    class Silence(Intervention):
        \"\"\"Set the state before the answer to zero.\"\"\"

        def measure(self, case, lab):
            if (pair := lab.rivals.other_answer(case)) is None:
                return
            zero = Put(np.zeros((1, lab.d_model)))
            here = range(pair.read, pair.read + 1)
            branches = [
                Branch(changes=(Change(layer=k, tokens=here, edit=zero),)) for k in lab.layers
            ]
            before, after = lab.log_odds(case, branches, [pair] * len(branches))
            for layer, own, changed in zip(lab.layers, before, after):
                yield Row(layer=layer, position="pre_answer", pair=pair,
                          before=own, after=changed, effect=own - changed)

`cot intervene RUN --method package.module:Silence` runs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.changed_pass import Branch
from analysis.hidden_states.edits import Edit
from analysis.interventions.cases import Case, Pair, Rivals
from analysis.interventions.directions import Direction

__all__ = ["Arm", "Intervention", "Lab", "Profile", "Row"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """One change of one trace, and what became of the log-odds: a row of `interventions`."""

    pair: Pair
    """The answers that are compared."""
    before: float
    """Log P(own) − log P(other) without the change, nats."""
    after: float
    """The same with it."""
    effect: float
    """What the method calls its effect, nats: the change, turned so that what the method is after
    is positive."""
    measure: str = "log_odds"
    """What kind of effect it is."""
    target: str = ""
    """What a direction tells apart; empty where there is no direction."""
    layer: int | None = None
    """Where the change was made; None is all layers."""
    position: str
    """At which tokens."""
    step: int | None = None
    """The step that it belongs to."""
    strength: float | None = None
    """Of a direction, in mean norms of the states there."""
    control: str = ""
    """Which control it is; empty for the change itself."""
    draw: int = 0
    """Number of the random direction or span."""
    gap: float | None = None
    """The whole distance of which the effect is a share, nats."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """What hiding a step does to a later one: a row of `intervention_steps`."""

    step: int
    """The step that was hidden."""
    later: int | None
    """A step after it; None is the answer."""
    kl: float
    """Mean over the later one's tokens of KL(unchanged ‖ changed), nats."""
    control_kl: float | None
    """The same where a random span of as many tokens is hidden; None where there is no room."""
    effect: float | None = None
    """What the own answer loses, nats; of the answer only."""
    control_effect: float | None = None
    """The same where the random span is hidden."""
    n_tokens: int
    """Tokens of the later one that were read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arm:
    """A change under which traces are sampled on, at every generated token of a layer."""

    target: str
    """What its direction tells apart."""
    layer: int
    """Where it acts."""
    strength: float | None
    """Of a direction, in mean norms; None where there is none."""
    control: str
    """Which control it is; empty for the change itself."""
    draw: int
    """Number of the random direction."""
    edit: Edit
    """What becomes of each state."""
    questions: frozenset[str]
    """The questions that it may act on: none that its direction was fitted on."""


class Lab(Protocol):
    """The run's traces, its model, and what was asked for."""

    layers: Sequence[int]
    """At which states are exchanged, ascending."""
    n_blocks: int
    """The model's last layer."""
    d_model: int
    """Width of a state."""
    positions: Sequence[str]
    """Where states are exchanged: some of `prompt_end`, `step_end`, `pre_answer`."""
    strengths: Sequence[float]
    """Of directions, in mean norms of the states; without 0."""
    n_random: int
    """Random directions."""
    most_steps: int
    """Steps of a trace that are looked at; 0 is all."""
    seed: int
    """Of all that is drawn."""
    rivals: Rivals
    """Which traces are compared."""
    directions: Sequence[Direction]
    """What tells the target's labels apart, one a layer; none that a method didn't ask for."""

    def states(self, case: Case, layer: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        """The unchanged trace's states, shape [token, d_model]."""
        ...

    def direct_states(self, case: Case, layer: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        """The states of the cue right after the prompt, without any reasoning; tokens as they are
        counted in the whole trace, shape [token, d_model]."""
        ...

    def donor_odds(self, case: Case, read: int, pair: Pair) -> float:
        """Log P(own) − log P(other) of a pair, read in another unchanged trace, nats."""
        ...

    def log_odds(
        self,
        case: Case,
        branches: Sequence[Branch],
        pairs: Sequence[Pair],
        direct: bool = False,
    ) -> tuple[Floats, Floats]:
        """Log P(own) − log P(other) of each branch's pair: unchanged, and changed; nats, [branch].

        Args:
            direct: change the pass of prompt and cue instead of the trace's; its tokens are counted
                as in the whole trace.
        """
        ...

    def divergence(
        self, case: Case, branches: Sequence[Branch], pair: Pair, tokens: Sequence[int]
    ) -> tuple[Floats, Floats, Floats]:
        """What `log_odds` gives for one pair, and KL(unchanged ‖ changed) of the model's prediction
        of each of these tokens, nats, shape [branch, token]."""
        ...


class Intervention:
    """The plug-in, to be extended: group `cot.interventions`, or package.module:Class.

    The first paragraph of its docstring says what it does, on the page and in the help.
    """

    title: ClassVar[str] = ""
    """Heading on the page; by default the name of its class."""
    directed: ClassVar[bool] = False
    """Whether it acts along directions, so that the run's probes are needed."""
    controls: ClassVar[tuple[str, ...]] = ()
    """Its controls; an effect is causal only where it exceeds each of them."""
    share: ClassVar[bool] = False
    """Whether effects are given as shares of the gap."""
    trivial: ClassVar[bool] = False
    """Whether a change of the last layer right before the answer is an effect by construction."""

    def measure(self, case: Case, lab: Lab) -> Iterable[Row | Profile]:
        """What the change does to a trace; nothing where it can't be made."""
        raise NotImplementedError

    def arms(self, lab: Lab) -> Iterable[Arm]:
        """Changes under which traces are sampled on."""
        return ()

    def about(self) -> Mapping[str, Any]:
        """Its parameters, by name."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}
