"""Weights rounded to 8 or 4 bits: what quantisation changes, in every engine and analysis alike.

Each row of a linear layer's weight is cut into groups of GROUP values along the inputs, the last
one shorter where they don't divide. A group w becomes

    s round(w / s),    s = max |w| / (2^(bits-1) - 1)

so that a weight is one of 255 (int8) or 15 (int4) multiples of its group's step s, and moves by at
most s / 2. Embeddings, the output head, norms and biases stay as they are. This is symmetric
rounding to nearest by the group's largest value, as GGUF's Q8_0 does it (there with a step in
float16); methods that look at data while they round, such as GPTQ (arXiv 2210.17323), lose less.

    >>> round_weight(torch.tensor([[7.0, 3.4, -1.2]]), bits=4)
    tensor([[ 7.,  3., -1.]])

The rounded model is written once to a cache folder, in float32, which both engines and every
analysis load like any other. It shows what rounding does to answers, paths and states; it saves
neither memory nor time. (torchao rounds likewise, and its weights, on a CPU, are dequantised at
every pass; once it is installed, transformers imports it in every process that loads a model.)
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cot.errors import InputError
from cot.store.atomic import new_folder

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GROUP", "QUANTIZED", "check_quantize", "round_weight", "write_quantized"]

log = logging.getLogger("cot")

QUANTIZED = {"none": 0, "int8": 8, "int4": 4}
"""What `--quantize` takes, and the bits of a weight."""
GROUP = 32
"""Values that share a step."""
LEAST = 0.9
"""Share of a model's matrices that linear layers must hold, else most of it would stay as it is."""
WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx"}
"""Files that are not copied from the checkpoint."""


def check_quantize(given: str) -> None:
    """Raise InputError for a value that there is not."""
    if given not in QUANTIZED:
        raise InputError(f"unknown --quantize {given!r}: choose from {', '.join(QUANTIZED)}")


def round_weight(weight: Tensor, bits: int) -> Tensor:
    """The weight [output, input] on the grid of its groups, in its own type."""
    from torch.nn.functional import pad

    n_out, n_in = weight.shape
    grouped = pad(weight, (0, -n_in % GROUP)).reshape(n_out, -1, GROUP)
    step = grouped.abs().amax(dim=-1, keepdim=True) / (2 ** (bits - 1) - 1)
    step[step == 0] = 1  # a group of zeros
    rounded: Tensor = (grouped / step).round() * step
    return rounded.reshape(n_out, -1)[:, :n_in].contiguous()


def write_quantized(checkpoint: Path, folder: Path, quantize: str) -> None:
    """Write the checkpoint's model with rounded weights to `folder`, whole or not at all.

    Raises:
        InputError: the checkpoint is quantised already, brings its own code, or keeps its weights
            elsewhere than in linear layers.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    if "quantization_config" in config:
        method = config["quantization_config"].get("quant_method", "a method of its own")
        raise InputError(
            f"--quantize {quantize}: {checkpoint} is quantised already ({method}): leave it out, "
            "and the model is loaded as it is"
        )
    if "auto_map" in config:
        raise InputError(
            f"--quantize {quantize}: {checkpoint} brings its own code, whose layers are not known "
            "here: give a model of transformers' own classes"
        )
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    n_rounded, n_matrices = _round_model(model, QUANTIZED[quantize])
    if n_rounded < LEAST * n_matrices:
        raise InputError(
            f"--quantize {quantize}: only {n_rounded:,} of the {n_matrices:,} weights of "
            f"{checkpoint} are in linear layers, and the others would stay as they are"
        )
    log.info(
        "%s: %.1f of %.1f million weights are rounded; embeddings, the output head, norms and "
        "biases stay as they are",
        *(quantize, n_rounded / 1e6, model.num_parameters() / 1e6),
    )
    # many a checkpoint's own is refused on saving; its file is copied as it stands
    model.generation_config = GenerationConfig.from_model_config(model.config)
    with new_folder(folder) as scratch:
        model.save_pretrained(scratch)
        _copy_the_rest(checkpoint, scratch)
        _keep_type(scratch / "config.json", config)


def _round_model(model: Any, bits: int) -> tuple[int, int]:
    """Round linear layers in place; how many weights that was, and how many of matrices it could
    be: all but those of embeddings and the output head."""
    import torch

    head = model.get_output_embeddings()
    apart = {
        id(weight)
        for each in model.modules()
        if isinstance(each, torch.nn.Embedding)
        for weight in each.parameters()
    } | {id(each) for each in head.parameters()}
    n_rounded = 0
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.Linear) and id(layer.weight) not in apart:
                layer.weight.copy_(round_weight(layer.weight, bits))
                n_rounded += layer.weight.numel()
    n_matrices = sum(
        each.numel() for each in model.parameters() if each.dim() > 1 and id(each) not in apart
    )
    return n_rounded, n_matrices


def _copy_the_rest(checkpoint: Path, folder: Path) -> None:
    """The tokenizer, the chat template, generation_config.json: as the checkpoint has them."""
    for file in checkpoint.iterdir():
        ours = file.name == "config.json" or file.name.endswith(".index.json")
        if file.is_file() and file.suffix not in WEIGHTS and not ours:
            shutil.copyfile(file, folder / file.name)


def _keep_type(file: Path, checkpoint: dict[str, Any]) -> None:
    """Name the checkpoint's own type in config.json: a GPU computes in it, rounded or not."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config["dtype"] = checkpoint.get("dtype", checkpoint.get("torch_dtype"))
    file.write_text(json.dumps(config, indent=2), encoding="utf-8")
