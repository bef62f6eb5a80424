"""A tiny random model, saved as any model folder is: real code paths in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cot import models
from cot.engines.endpoint import EndpointEngine
from tests.engines.endpoints import FAST
from tests.fake_server import FakeServer

SENTENCES = [
    "Q: Tom has 3 apples and gets 4 more. How many has he?",
    "A: 3 + 4 = 7. The answer is 7.",
    "The capital of France is Paris, and café costs 5 €.",
    "1, 2, 3, 4, 5, 6, 7, 8, 9",
]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a two-layer Llama with random weights and a byte-level tokenizer."""
    return make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Mistral whose attention reaches back only 16 tokens."""
    return make_model(tmp_path_factory.mktemp("sliding"), sliding_window=16)


@pytest.fixture(scope="session")
def tokenizer(tiny: Path) -> Any:
    return models.load_tokenizer(models.resolve(str(tiny)))


@pytest.fixture
def serve(tiny: Path, tokenizer: Any) -> Iterator[Any]:
    """Starts servers of the tiny model."""
    servers: list[FakeServer] = []

    def start(**settings: Any) -> FakeServer:
        server = FakeServer(tokenizer=tokenizer, **({"served": str(tiny)} | settings))
        servers.append(server.__enter__())
        return server

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def endpoint(tiny: Path) -> Iterator[Any]:
    """Makes engines of the tiny model that ask servers."""
    made: list[EndpointEngine] = []

    def make(*servers: FakeServer, **settings: Any) -> EndpointEngine:
        settings = {"url": [each.url for each in servers], **FAST} | settings
        made.append(EndpointEngine(settings.pop("model", str(tiny)), **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def make_model(folder: Path, sliding_window: int | None = None) -> Path:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
        PreTrainedTokenizerFast,
    )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    if sliding_window:
        config = MistralConfig(**sizes, head_dim=8, sliding_window=sliding_window)
        model: torch.nn.Module = MistralForCausalLM(config)
    else:
        model = LlamaForCausalLM(LlamaConfig(**sizes))
    model.save_pretrained(folder)
    return folder
