"""What `cot sample` can be told: one dataclass for the command line, experiments and Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from cot.errors import InputError
from cot.types import Sampling

__all__ = ["SampleSettings"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How a run is sampled; the field names are the options and the keys of an experiment file."""

    model: str = "smollm2-135m-instruct"
    """A folder, a hub id, or the bundled model's name."""
    engine: str | None = None
    """transformers, vllm or replay; by default the run's own, else vllm where it is installed."""
    dtype: str = "auto"
    """Weights' type: auto is float32 on a CPU and the checkpoint's own on a GPU."""
    engine_arg: tuple[str, ...] = ()
    """key=value for the engine's constructor; may be given again."""
    verbose: bool = False
    """Let the engine print what it has to say."""
    prompt: str = "few_shot_cot"
    """A prompt's name (see `cot prompts`) or file."""
    form: str = "auto"
    """chat, text, or auto: chat where the model has a chat template."""
    exemplars: str | None = None
    """Set of exemplars or .toml or .jsonl file, for a few-shot prompt."""
    shots: int | None = None
    """How many exemplars to show; all by default."""
    n: Annotated[int, Parameter(name=("-n", "--n"))] = 10
    """Traces a question."""
    adaptive: str | None = None
    """A stopping rule, such as asc_beta or esc:window=4 (see `cot stop`): n at most, and no more
    than it needs."""
    ahead: int = 0
    """With --adaptive, samples asked for beyond those it surely needs, to keep a large engine busy;
    what comes of them after it stops is surplus and doesn't vote."""
    temperature: float = 0.7
    """0 is greedy."""
    top_p: float = 0.95
    """Nucleus size in (0, 1]."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    max_tokens: int = 256
    """Most tokens a trace."""
    stop: tuple[str, ...] = ()
    """A string that ends a trace, beside the prompt's own; may be given again."""
    top_logprobs: int = 0
    """k >= 2 stores the mean of the k largest log-probabilities of each token."""
    seed: int = 0
    """Every trace's own seed is hashed from it."""
    limit: int | None = None
    """Only the first questions."""
    shuffle: int | None = None
    """Shuffle the questions by this seed before --limit."""
    subset: str | None = None
    """Configuration of a hub dataset."""
    split: str | None = None
    """Split of a hub dataset; test, validation or train by default."""
    preset: str | None = None
    """A known layout: gsm8k, svamp or aqua."""
    question_column: str | None = None
    """Column that holds the question."""
    answer_column: str | None = None
    """Column that holds the gold answer."""
    choices_column: str | None = None
    """Column that holds the options."""
    id_column: str | None = None
    """Column that holds the question's id."""
    greedy: Annotated[bool, Parameter(negative="--no-greedy")] = True
    """Sample one greedy trace a question under samples/greedy too."""

    def __post_init__(self) -> None:
        """Check every number's range.

        Raises:
            InputError: naming the option, its value and the valid range.
        """
        for name, low in (
            ("n", 1),
            ("max_tokens", 1),
            ("top_k", 0),
            ("temperature", 0),
            ("ahead", 0),
        ):
            if getattr(self, name) < low:
                raise InputError(f"{_option(name)} is {getattr(self, name)}: at least {low}")
        for name in ("limit", "shots"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{_option(name)} is {value}: at least 1")
        if not 0 < self.top_p <= 1:
            raise InputError(f"--top-p is {self.top_p}: above 0 and at most 1")
        if self.top_logprobs == 1 or self.top_logprobs < 0:
            raise InputError(f"--top-logprobs is {self.top_logprobs}: 0, or at least 2")
        if self.ahead and self.adaptive is None:
            raise InputError(f"--ahead is {self.ahead}: it goes with --adaptive")
        if self.form not in ("auto", "chat", "text"):
            raise InputError(f"unknown --form {self.form!r}: choose from auto, chat, text")

    def sampling(self, stop: tuple[str, ...]) -> Sampling:
        """The settings that an engine needs, with all stop strings."""
        return Sampling(
            n=self.n,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop=stop,
            top_logprobs=self.top_logprobs,
        )


def _option(name: str) -> str:
    return "-n" if name == "n" else "--" + name.replace("_", "-")
