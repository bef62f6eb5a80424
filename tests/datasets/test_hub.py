"""The hub's cache is read without a network, and an absent hub is said at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cot import datasets
from cot.datasets import dataset_hub as hub
from cot.errors import InputError

FILL_AND_READ = """
import json, sys
from pathlib import Path
from datasets import Dataset, DatasetInfo, SplitDict, SplitInfo
from datasets.arrow_writer import ArrowWriter
folder = Path(sys.argv[1], "openai___gsm8k", "main", "0.0.0", "0" * 40)
folder.mkdir(parents=True)
splits = SplitDict(dataset_name="gsm8k")
for split, count in (("train", 3), ("test", 2)):
    with ArrowWriter(path=str(folder / f"gsm8k-{split}.arrow")) as writer:
        for number in range(count):
            answer = f"It is <<1+{number}={1 + number}>>{1 + number}.\\n#### {1 + number},000"
            writer.write({"question": f"{split} {number}?", "answer": answer})
        writer.finalize()
    features = writer._features
    splits[split] = SplitInfo(name=split, num_examples=count, dataset_name="gsm8k")
info = DatasetInfo(
    builder_name="parquet", dataset_name="gsm8k", config_name="main", version="0.0.0",
    features=features, splits=splits,
)
info.write_to_directory(str(folder))

from cot import datasets
for split in (None, "train", "dev"):
    try:
        found = datasets.load("openai/gsm8k", split=split)
        print(json.dumps([[q.text, q.gold, q.dataset, dict(q.meta)] for q in found]))
    except ValueError as error:
        print(json.dumps(str(error)))
"""


@pytest.mark.slow
def test_cached_dataset_is_read_offline(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path)}

    command = [sys.executable, "-c", FILL_AND_READ, str(tmp_path)]
    printed = subprocess.run(command, env=environment, check=True, text=True, capture_output=True)
    unnamed, train, unknown = (json.loads(line) for line in printed.stdout.splitlines())
    assert unnamed == [
        [
            f"test {number}?",
            f"{1 + number}000",
            "openai/gsm8k",
            {"solution": f"It is {1 + number}.", "gold_steps": [1 + number]},
        ]
        for number in range(2)
    ]
    assert [text for text, *_ in train] == ["train 0?", "train 1?", "train 2?"]
    assert "has no split 'dev': give" in unknown


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library, which would try again for minutes, is not even imported."""
    monkeypatch.setitem(sys.modules, "datasets", None)


def test_hub_out_of_reach_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unasked: None
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"'no/such' is neither a file .* hub can't be reached"):
        datasets.load("no/such")


def test_silent_hub_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unasked: None
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
        monkeypatch.setattr(hub, "PATIENCE", 0.2)
        with pytest.raises(InputError, match="hub can't be reached"):
            datasets.load("no/such")
