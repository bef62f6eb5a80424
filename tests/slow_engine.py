"""A deterministic engine that takes its time: what it writes depends on the request alone."""

import hashlib
import time

import numpy as np

from cot.types import Completion


class SlowEngine:
    name = "slow"
    model = None
    dtype = ""
    tokenizer = None
    context = 2**20

    def __init__(self, model, *, dtype="auto", seconds=0.002):
        self.seconds = seconds

    def generate(self, requests, cancelled=lambda request: False):
        for request in requests:
            time.sleep(self.seconds)
            content = f"{request.question_id} {request.sample_index} {request.seed}"
            number = int(hashlib.sha256(content.encode()).hexdigest()[:4], 16) % 20
            yield (
                request,
                Completion(
                    text=f"The answer is {number}.",
                    token_ids=tuple(range(number + 1)),
                    logprobs=-np.arange(number + 1, dtype=np.float32),
                    finish_reason="stop",
                ),
            )

    def close(self):
        pass
