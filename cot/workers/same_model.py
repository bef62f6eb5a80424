"""A model that travels: each worker resolves it for itself, and must find the same one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cot import models
from cot.errors import InputError
from cot.models import ResolvedModel

__all__ = ["SameModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SameModel:
    """What names a model on any machine.

    >>> SameModel.of(resolve("smollm2-135m-instruct")).resolve()          # in a worker
    """

    model: ResolvedModel
    """As it is here."""
    name: str
    """What names it there: a path is a whole one."""

    @classmethod
    def of(cls, model: ResolvedModel) -> SameModel:
        """The model, to be sent."""
        paths = {"folder": model.path, "gguf": str(Path(model.name).resolve())}
        return cls(model=model, name=paths.get(model.source, model.name))

    def resolve(self) -> ResolvedModel:
        """The model where this runs.

        Raises:
            InputError: there is none, or another revision of it.
        """
        here, adapter = self.model, self.model.adapter
        named: dict[str, str] = {"quantize": here.quantize}
        if here.source == "hub":
            named["revision"] = here.checkpoint
        if adapter is not None and adapter.source == "hub":
            named |= {"adapter": adapter.name, "adapter_revision": adapter.revision}
        elif adapter is not None:
            named["adapter"] = adapter.path
        found = models.resolve(self.name, **named)
        for mine, theirs in ((here, found), (adapter, found.adapter)):
            if mine is not None and theirs is not None and mine.revision != theirs.revision:
                raise InputError(
                    f"{mine.name} is at {theirs.revision} on a worker, and at {mine.revision} "
                    "here: let all see the same files"
                )
        # the name is what a run and its queries are known by
        own = found.adapter and adapter and replace(found.adapter, name=adapter.name)
        return replace(found, name=here.name, adapter=own)
