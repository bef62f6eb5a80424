"""What vLLM's workers run to hand out hidden states: only those of the asked tokens leave.

vLLM keeps the asked layers' states of every token in a cache beside the keys and values
(speculative method `extract_hidden_states`). When a request ends, its spots' mean states are
written to a file.
vLLM's example connector, which this one builds on, writes every token's, through CUDA streams. vLLM
looks `SpotsConnector` up in this module by its name.

    asked = {"spots": [[7, 8]], "path": "/tmp/states/1.safetensors"}
    SamplingParams(max_tokens=1, extra_args={"kv_transfer_params": asked})
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cot.store.atomic import replace_file

__all__ = ["Save", "connector_class"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """A request whose states are to be written."""

    req_id: str
    """vLLM's name of it."""
    path: str
    """The file: safetensors, one tensor `vectors` [layer, spot, d_model], float32."""
    blocks: Sequence[int]
    """Blocks of the cache that hold its tokens."""
    spots: Sequence[tuple[int, int]]
    """(start, end) of each vector: the mean state of the request's tokens start to end - 1."""


def __getattr__(name: str) -> Any:
    if name == "SpotsConnector":
        return connector_class()
    raise AttributeError(name)


@cache
def connector_class() -> type:
    """The class; it needs vLLM."""
    import torch
    from safetensors.torch import save
    from vllm.distributed.kv_transfer.kv_connector.v1.example_hidden_states_connector import (
        ExampleHiddenStatesConnector,
    )

    class SpotsConnector(ExampleHiddenStatesConnector):  # type: ignore[misc]
        """Writes the files that requests name."""

        def request_finished(self, request: Any, block_ids: list[int]) -> tuple[bool, None]:
            """Keep the request's blocks until its states are written."""
            asked = request.kv_transfer_params
            scheduled = self._request_filenames.pop(request.request_id, None) is not None
            if not (asked and scheduled):
                return False, None
            self._pending_saves[request.request_id] = Save(
                req_id=request.request_id,
                path=asked["path"],
                blocks=list(block_ids),
                spots=asked["spots"],
            )
            return True, None

        def wait_for_save(self) -> None:
            """Nothing: files appear whole, so that no lock is needed."""

        def get_finished(self, finished_req_ids: set[str]) -> tuple[set[str] | None, None]:
            """Write what ended with the last step, and say that its blocks are free again."""
            there = self.has_connector_metadata()
            saves = self._get_connector_metadata().pending_saves if there else []
            if self._is_tp_rank_zero:
                for one in saves:
                    self._write(one)
            return {one.req_id for one in saves} or None, None

        def _write(self, asked: Save) -> None:
            states = self._kv_cache  # [block, layer, token in block, d_model]
            blocks, size = torch.tensor(asked.blocks, device=states.device), states.shape[2]
            vectors = torch.empty(states.shape[1], len(asked.spots), states.shape[3])
            for number, (start, end) in enumerate(asked.spots):
                token = torch.arange(start, end, device=states.device)
                own = states[blocks[token // size], :, token % size]
                vectors[:, number] = own.float().mean(dim=0).cpu()
            with replace_file(Path(asked.path)) as handle:
                handle.write(save({"vectors": vectors}))

    return SpotsConnector
