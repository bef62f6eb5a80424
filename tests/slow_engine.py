"""Deterministic engines that take their time: what they write depends on the request alone."""

import hashlib
import time
from typing import ClassVar

import numpy as np

from cot.types import Completion


class SlowEngine:
    """One after another."""

    name = "slow"
    model = None
    dtype = ""
    tokenizer = None
    context = 2**20

    def __init__(self, model, *, dtype="auto", seconds=0.002):
        self.seconds = seconds

    def generate(self, requests, cancelled=lambda request: False):
        for request in requests:
            if request is None:
                continue
            time.sleep(self.seconds)
            yield request, self.complete(request)

    def complete(self, request):
        content = f"{request.question_id} {request.sample_index} {request.seed}"
        number = int(hashlib.sha256(content.encode()).hexdigest()[:4], 16) % 20
        return self.write(number, number + 1)

    def write(self, number, length):
        return Completion(
            text=f"The answer is {number}.",
            token_ids=tuple(range(length)),
            logprobs=-np.arange(length, dtype=np.float32),
            finish_reason="stop",
        )

    def close(self):
        pass


class JumbledEngine(SlowEngine):
    """Many at a time, the short ones done first, and the short ones all say 0."""

    rows = 7
    ended: ClassVar[list] = []
    """Keys in the order in which they ended, of all calls."""

    def generate(self, requests, cancelled=lambda request: False):
        source, running, exhausted = iter(requests), [], False
        while running or not exhausted:
            while len(running) < self.rows and not exhausted:
                request = next(source, self)
                exhausted = request is self
                if request is None:
                    assert running, "nothing runs that the next request could depend on"
                    break
                if not exhausted:
                    completion = self.complete(request)
                    running.append([len(completion.token_ids), request, completion])
            running = [row for row in running if not cancelled(row[1])]
            for row in running:
                row[0] -= 1
            done = [row for row in running if row[0] <= 0]
            running = [row for row in running if row[0] > 0]
            self.ended.extend((row[1].question_id, row[1].sample_index) for row in done)
            yield from ((request, completion) for _, request, completion in done)

    def write(self, number, length):
        return super().write(0 if number < 11 else 1 + number % 3, length)
