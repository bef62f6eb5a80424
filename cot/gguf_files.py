"""GGUF files: a quantised model in one file, unpacked once to a folder that every engine loads.

Weights are dequantised and kept as the file's main type is: float32 or float16 as they stand,
all else (quantised, bfloat16) in bfloat16, the type of the checkpoints that are quantised. A
7B model in 4 bits (4 GB) becomes a folder of 15 GB.

    unpack(Path("qwen2.5-0.5b-instruct-q4_k_m.gguf"), Path("unpacked"))
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from cot.errors import InputError
from cot.store.atomic import new_folder

__all__ = ["unpack"]

log = logging.getLogger("cot")


def unpack(gguf: Path, folder: Path) -> None:
    """Write the file's model and tokenizer to `folder`, whole or not at all.

    Raises:
        InputError: transformers knows no such architecture, or the file is broken or not whole.
    """
    with new_folder(folder) as unpacked:
        from transformers import AutoTokenizer, GenerationConfig

        source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
        try:
            model = _filled(gguf, source)
            tokenizer = AutoTokenizer.from_pretrained(**source)
        except (ValueError, KeyError, NotImplementedError) as error:
            raise InputError(
                f"{gguf}: transformers can't read this GGUF file ({error}): give the model as a "
                "folder or a hub id"
            ) from None
        model.generation_config = GenerationConfig.from_model_config(model.config)
        model.save_pretrained(unpacked)
        tokenizer.save_pretrained(unpacked)


def _filled(gguf: Path, source: dict[str, Any]) -> Any:
    """The model with the file's weights; none is left as it was initialised."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(**source))
    with redirect_stderr(StringIO()):  # a progress bar that heeds no setting
        read = load_gguf_checkpoint(str(gguf), return_tensors=True, model_to_load=model)
    missing = model.load_state_dict(read["tensors"], strict=False).missing_keys
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    if lost := [name for name in missing if name not in tied]:
        raise InputError(
            f"{gguf}: {len(lost)} of the model's weights are not in this file ({lost[0]}, ...): "
            "join the parts of a split file first, or give the model as a folder"
        )
    model.tie_weights()
    state = model.state_dict()
    if apart := [name for name in missing if not state[name].equal(state[tied[name]])]:
        raise RuntimeError(f"{gguf}: {apart[0]} is not tied to {tied[apart[0]]}, as it should be")
    return model.to(_dtype(gguf))


def _dtype(gguf: Path) -> Any:
    """The type that the weights are kept in."""
    import torch
    from gguf import GGMLQuantizationType as Type
    from gguf import GGUFReader

    sizes: Counter[Any] = Counter()
    for tensor in GGUFReader(gguf).tensors:
        sizes[tensor.tensor_type] += int(tensor.n_elements)
        if tensor.name.startswith("rope_"):
            log.warning(
                "%s: transformers does not read %s: positions far into a long context may be "
                "encoded otherwise than by the original model",
                gguf.name,
                tensor.name,
            )
    kept = {Type.F32: torch.float32, Type.F16: torch.float16}
    return kept.get(sizes.most_common(1)[0][0], torch.bfloat16)
