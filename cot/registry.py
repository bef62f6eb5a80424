"""Names of plug-ins, and how a name becomes a callable.

A name is looked up among the built-ins, then among installed entry points (group `cot.<kind>`);
`package.module:attribute` works too. Nothing is imported until it is asked for.

    >>> find("engines", "transformers").__name__
    'TransformersEngine'

Where a user types a name, parameters may follow it: `cisc:T=2,confidence=confidence`.

    >>> build("datasets", "arithmetic:level=1-3").keywords
    {'level': '1-3'}
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from typing import Any

from cot.errors import InputError

__all__ = ["ANALYSES", "BUILT_IN", "build", "describe", "find", "load_plugin", "names", "register"]

ANALYSES = {
    "answers": (
        "analysis.answer_table:answers",
        "Extract the traces' answers and group equal ones.",
    ),
    "segment": ("analysis.steps:segment", "Split each trace into steps."),
    "vote": ("analysis.voting:vote", "Vote on each question's answer."),
    "curve": ("analysis.curves:curve", "Accuracy against the number of samples."),
    "stop": ("analysis.stopping:stop", "Simulate stopping rules on the stored traces."),
    "calibrate": ("analysis.calibration:calibrate", "Does confidence predict correctness?"),
    "paths": ("analysis.clusters:paths", "Check equations and cluster reasoning paths."),
    "capture": ("analysis.hidden_states:capture", "Store hidden states of the stored traces."),
    "probe": ("analysis.probes:probe", "Fit probes on hidden states, with controls."),
    "lens": ("analysis.logit_lens:lens", "Read each layer's latent answer with the logit lens."),
    "states": ("analysis.state_geometry:states", "Cluster each question's hidden states."),
    "geometry": ("analysis.state_geometry:geometry", "Measure the shape of the hidden states."),
    "faithfulness": (
        "analysis.faithfulness_tests:faithfulness",
        "Does changing the reasoning change the answer?",
    ),
    "intervene": (
        "analysis.interventions:intervene",
        "Change hidden states: does the answer follow?",
    ),
    "attribute": (
        "analysis.attribution:attribute",
        "Which step carries the answer's log-odds?",
    ),
    "attention": (
        "analysis.step_attention:attention",
        "Which steps do later steps attend to? Receiver heads.",
    ),
    "features": (
        "analysis.state_features:features",
        "Features of the hidden states: do any tell right from wrong?",
    ),
    "agree": ("analysis.agreement:agree", "Do answers, reasoning and hidden states agree?"),
    "compare": ("analysis.comparison:compare", "Compare runs, question by question."),
    "report": ("analysis.page:report", "Write report.html."),
}
"""Each analysis's function and a line of help, in the order of `cot --help`."""

BUILT_IN: dict[str, dict[str, str]] = {
    "analyses": {name: target for name, (target, _) in ANALYSES.items()},
    "engines": {
        "transformers": "cot.engines.transformers:TransformersEngine",
        "vllm": "cot.engines.vllm:VllmEngine",
        "endpoint": "cot.engines.endpoint:EndpointEngine",
        "ray": "cot.engines.ray_engine:RayEngine",
        "replay": "cot.engines.replay:ReplayEngine",
    },
    "datasets": {
        "arithmetic": "cot.datasets.arithmetic:load",
    },
    "votes": {
        "majority": "analysis.voting.majority:majority",
        "sum_prob": "analysis.voting.likelihood:sum_prob",
        "sum_prob_norm": "analysis.voting.likelihood:sum_prob_norm",
        "mean_prob": "analysis.voting.likelihood:mean_prob",
        "mean_prob_norm": "analysis.voting.likelihood:mean_prob_norm",
        "cisc": "analysis.voting.cisc:cisc",
        "deepconf": "analysis.voting.deepconf:deepconf",
        "borda": "analysis.voting.borda:borda",
        "rpc": "analysis.voting.rpc:rpc",
        "inverse_entropy": "analysis.voting.entropy:inverse_entropy",
        "distri": "analysis.voting.distri:distri",
        "universal": "analysis.voting.universal:universal",
        "centroid": "analysis.voting.centroid:centroid",
        "checked": "analysis.voting.checked:checked",
        "cluster": "analysis.voting.cluster:cluster",
        "probe": "analysis.voting.model_internals:probe",
        "internal_consistency": "analysis.voting.model_internals:internal_consistency",
        "faithful": "analysis.voting.faithful:faithful",
        "representation": "analysis.voting.representation:representation",
    },
    "stops": {
        "fixed": "cot.stopping.windows:Fixed",
        "asc_beta": "cot.stopping.asc:AscBeta",
        "asc_dirichlet": "cot.stopping.asc:AscDirichlet",
        "esc": "cot.stopping.windows:Esc",
        "cges": "cot.stopping.cges:Cges",
        "deepconf_online": "cot.stopping.deepconf:DeepConfOnline",
    },
    "clusterers": {
        "average_linkage": "analysis.clusters.clusterers:AverageLinkage",
        "hdbscan": "analysis.clusters.clusterers:HdbscanClusterer",
        "kmeans": "analysis.clusters.clusterers:KMeansClusterer",
    },
    "probes": {
        "logistic": "analysis.probes.estimators:LogisticProbe",
        "diff_means": "analysis.probes.estimators:DiffMeansProbe",
        "mlp": "analysis.probes.estimators:MlpProbe",
        "ridge": "analysis.probes.estimators:RidgeProbe",
    },
    "faithfulness": {
        "early_answering": "analysis.faithfulness_tests.early_answering:EarlyAnswering",
        "adding_mistakes": "analysis.faithfulness_tests.adding_mistakes:AddingMistakes",
        "no_cot": "analysis.faithfulness_tests.no_cot:NoCot",
        "filler": "analysis.faithfulness_tests.filler:Filler",
        "paraphrase": "analysis.faithfulness_tests.paraphrase:Paraphrase",
        "resampling": "analysis.faithfulness_tests.resampling:Resampling",
        "hint": "analysis.faithfulness_tests.hint:Hint",
        "biased_context": "analysis.faithfulness_tests.biased_context:BiasedContext",
        "reversed_pairs": "analysis.faithfulness_tests.reversed_pairs:ReversedPairs",
    },
    "interventions": {
        "patching": "analysis.interventions.patching:Patching",
        "mediation": "analysis.interventions.mediation:Mediation",
        "steering": "analysis.interventions.steering:Steering",
        "ablation": "analysis.interventions.ablation:Ablation",
        "erasure": "analysis.interventions.erasure:Erasure",
        "knockout": "analysis.interventions.knockout:Knockout",
    },
    "features": {
        "snmf": "analysis.state_features.snmf:snmf",
        "topk": "analysis.state_features.topk:topk",
        "pca": "analysis.state_features.linear:pca",
        "cav": "analysis.state_features.linear:cav",
    },
    "attributions": {
        "grad_x_input": "analysis.attribution.grad_x_input:GradXInput",
        "integrated_gradients": "analysis.attribution.integrated_gradients:IntegratedGradients",
        "shapley": "analysis.attribution.shapley:Shapley",
        "occlusion": "analysis.attribution.occlusion:Occlusion",
    },
}


NOUNS = {
    "analyses": "analysis",
    "votes": "vote rule",
    "stops": "stopping rule",
    "faithfulness": "faithfulness test",
    "features": "method of features",
}
"""What one plug-in of a kind is called, where it isn't the kind without its s."""
REGISTERED: dict[str, dict[str, Any]] = {}
"""Plug-ins that modules have registered as they were imported: kind to name to plug-in."""


def names(kind: str) -> list[str]:
    """All names of a kind of plug-in, built in, installed and registered, sorted."""
    return sorted({*_installed(kind).names, *BUILT_IN[kind], *REGISTERED.get(kind, ())})


def register(kind: str, name: str, plug_in: Any) -> None:
    """Add a plug-in by name, as its module is imported."""
    REGISTERED.setdefault(kind, {})[name] = plug_in


def load_plugin(module: str) -> None:
    """Import a module, which registers what it adds.

    Raises:
        InputError: there is no such module.
    """
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if not _is_part(error.name, module):
            raise
        raise InputError(f"plugin {module!r}: there is no module of this name to import") from None


def find(kind: str, name: str) -> Any:
    """The plug-in called `name`.

    Raises:
        InputError: no such name (the message lists the valid ones), or its module or attribute
            does not exist.
    """
    if name in REGISTERED.get(kind, {}):
        return REGISTERED[kind][name]
    target = BUILT_IN[kind].get(name)
    if target is None:
        if name in _installed(kind).names:
            return _installed(kind)[name].load()
        if ":" not in name:
            noun = NOUNS.get(kind, kind[:-1])
            raise InputError(f"unknown {noun} {name!r}: choose from {', '.join(names(kind))}")
        target = name
    module_name, _, attribute = target.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if not _is_part(error.name, module_name):
            raise  # the module is there; something that it imports is not
        raise InputError(f"{name!r}: there is no module {module_name!r} to import") from None
    if not hasattr(module, attribute):
        raise InputError(f"{name!r}: module {module_name!r} has no {attribute!r}")
    return getattr(module, attribute)


def _is_part(missing: str | None, module: str) -> bool:
    """Whether the module that is missing is the one asked for, or a package that holds it."""
    return missing is not None and f"{module}.".startswith(f"{missing}.")


def build(kind: str, spec: str) -> partial[Any]:
    """The plug-in that `NAME:key=value,...` names, with its parameters bound.

    A value takes the type of the parameter's default: a number, true or false, or text; where the
    default is None, a number if it reads as one, else text.

    Raises:
        InputError: as `find`; a parameter that there is not (the message lists those there are), or
            a value of another type.
    """
    first, *rest = spec.split(":", 1)
    if first not in names(kind) and rest:  # package.module:attribute
        attribute, *rest = rest[0].split(":", 1)
        first = f"{first}:{attribute}"
    plug_in = find(kind, first)
    known = {
        each.name: each.default
        for each in inspect.signature(plug_in).parameters.values()
        if each.default is not each.empty
    }
    bound = {}
    for pair in filter(None, ",".join(rest).split(",")):
        key, _, text = (part.strip() for part in pair.partition("="))
        if key not in known:
            there = ", ".join(known) or "no parameters"
            raise InputError(f"{spec}: {first} has no {key!r}: it takes {there}")
        try:
            bound[key] = _like(known[key], text)
        except ValueError as error:
            raise InputError(f"{spec}: {key} is {text!r}: give {error}") from None
    return partial(plug_in, **bound)


def describe(kind: str) -> str:
    """All plug-ins of a kind, for a help text: `NAME:key=default,...`, and what each is."""
    lines = []
    for name in names(kind):
        plug_in = find(kind, name)
        given = [
            each.name if each.default is None else f"{each.name}={_shown(each.default)}"
            for each in inspect.signature(plug_in).parameters.values()
            if each.default is not each.empty
        ]
        lines.append(f"{name}:{','.join(given)}" if given else name)
        lines.append("  " + " ".join((inspect.getdoc(plug_in) or "").split("\n\n")[0].split()))
    return "\n".join(lines)


@cache
def _installed(kind: str) -> EntryPoints:
    """Entry points of a kind; every distribution's files are read, and so once a process."""
    return entry_points(group=f"cot.{kind}")


def _shown(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _like(default: Any, text: str) -> Any:
    """The text as a value of the default's type; ValueError says what was wanted."""
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError("true or false")
        return text.lower() == "true"
    for kind in (int,) if isinstance(default, int) else (int, float):
        with suppress(ValueError):
            return kind(text)
    if default is None:
        return text
    raise ValueError("a whole number" if isinstance(default, int) else "a number")
