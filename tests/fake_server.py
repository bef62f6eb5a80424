"""A small real HTTP server that stands for vLLM, SGLang, llama.cpp or another, and misbehaves.

    with FakeServer(kind="vllm", tokenizer=tokenizer) as server:
        EndpointEngine(str(tiny), url=server.url)

Its model is a table of made logits, from which it really samples: temperature, truncation,
penalties and seeds count as in the engines here. `mishap` says what goes wrong with a request.

    python tests/fake_server.py --kind vllm --model DIR --port 8000     # a process to kill
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

OWNERS = {"vllm": "vllm", "sglang": "sglang", "llama.cpp": "llamacpp", "other": "someone"}
PROBE = "A random number, then three random words:"
CONTEXT = 4096


class FakeModel:
    """Logits that follow from the tokens before them."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.size = len(tokenizer)
        plain = [tokenizer.decode([token]) for token in range(self.size)]
        # it writes plain letters, and seldom anything else
        self.base = np.array(
            [0.0 if each.isascii() and each.isprintable() and each else -9.0 for each in plain]
        )
        self.end = tokenizer.eos_token_id
        self.base[self.end] = -1.5

    def logits(self, ids: Sequence[int]) -> Any:
        content = repr((len(ids), list(ids[-6:]))).encode()
        number = int.from_bytes(hashlib.blake2b(content, digest_size=4).digest())
        return self.base + np.random.default_rng(number).normal(size=self.size) * 2.5

    def decode(self, ids: Sequence[int]) -> str:
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def complete(self, prompt: Sequence[int], asked: Mapping[str, Any]) -> dict[str, Any]:
        """Ids, their raw log-probabilities, all raw ones at each, the text, and why it ended."""
        ids: list[int] = []
        chances: list[Any] = []
        reason = "length"
        text = ""
        while len(ids) < asked["max_tokens"]:
            raw = self.logits([*prompt, *ids])
            chances.append(raw - np.log(np.exp(raw - raw.max()).sum()) - raw.max())
            ids.append(draw(raw, prompt, ids, asked))
            text = self.decode(ids)
            if ids[-1] == self.end:
                reason = "stop"
                break
            found = [text.find(stop) for stop in asked.get("stop") or () if stop in text]
            if found:
                text, reason = text[: min(found)], "stop word"
                break
        logprobs = [float(each[token]) for each, token in zip(chances, ids, strict=True)]
        return {"ids": ids, "logprobs": logprobs, "all": chances, "text": text, "reason": reason}


def draw(logits: Any, prompt: Sequence[int], ids: Sequence[int], asked: Mapping[str, Any]) -> int:
    """One token, as `cot.engines.decoding` defines it."""
    if allowed := asked.get("allowed_token_ids"):
        return int(allowed[0])
    logits = logits.copy()
    counts = np.bincount(np.array(ids, dtype=int), minlength=len(logits)).astype(float)
    seen = counts > 0
    seen[list(prompt)] = True
    factor = asked.get("repetition_penalty") or 1.0
    logits[seen] = np.where(logits[seen] > 0, logits[seen] / factor, logits[seen] * factor)
    logits -= (asked.get("frequency_penalty") or 0.0) * counts
    logits -= (asked.get("presence_penalty") or 0.0) * (counts > 0)
    if asked["temperature"] == 0:
        return int(logits.argmax())
    chance = np.exp((logits - logits.max()) / asked["temperature"])
    chance[chance < (asked.get("min_p") or 0.0)] = 0
    order = np.argsort(-chance)
    if k := asked.get("top_k"):
        chance[order[max(k, 0) or None :]] = 0
    mass = np.cumsum(chance[order]) / chance.sum()
    chance[order[1:][mass[:-1] >= asked.get("top_p", 1.0)]] = 0
    seed = asked.get("seed")
    dice = np.random.default_rng(None if seed is None else [seed, len(ids)])
    return int(np.searchsorted(np.cumsum(chance), dice.random() * chance.sum(), side="right"))


class FakeServer:
    """Serves a model in a thread of its own.

    Args:
        kind: whose behaviour it has.
        tokenizer: the model's.
        served: the model's name here.
        mishap: what goes wrong with a request: `(n, body) -> name of a mishap, or None`; n counts
            completions that were asked for. Questions about the server itself are answered well.
        delay: seconds before a completion is answered, of its body.
        tempered: log-probabilities are those after temperature.
        seeded: seeds count.
        thinks: chat's replies have reasoning in this field.
        refuses: fields that make a request a bad one.
    """

    def __init__(
        self,
        kind: str = "vllm",
        *,
        tokenizer: Any,
        served: str = "m",
        mishap: Callable[[int, Mapping[str, Any]], str | None] = lambda n, body: None,
        delay: Callable[[Mapping[str, Any]], float] = lambda body: 0.0,
        tempered: bool = False,
        seeded: bool = True,
        thinks: str = "",
        refuses: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        self.kind, self.served, self.model = kind, served, FakeModel(tokenizer)
        self.mishap, self.delay = mishap, delay
        self.tempered, self.seeded, self.thinks, self.refuses = tempered, seeded, thinks, refuses
        self.port = port
        self.asked: list[dict[str, Any]] = []
        """Bodies of completions, questions about the server left out."""
        self.last: tuple[str, dict[str, Any]] = ("", {})
        """Route and body of the last completion."""
        self.keys: set[str] = set()
        """Authorization headers."""
        self.flying = self.most = 0
        """Completions that it works on, and the most that it had at once."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> FakeServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._talk, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while line := await reader.readline():
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while (line := await reader.readline()).strip():
                    name, _, value = line.decode().partition(":")
                    headers[name.strip().lower()] = value.strip()
                content = await reader.readexactly(int(headers.get("content-length", 0)))
                self.keys.add(headers.get("authorization", ""))
                if not await self._reply(method, path, json.loads(content or b"{}"), writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._open.discard(task)

    async def _reply(
        self, method: str, path: str, body: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; False where the connection ends with it."""
        if method == "GET":
            found = self._about(path)
            await send(writer, 404 if found is None else 200, found or {"detail": "Not Found"})
            return True
        if any(name in body for name in self.refuses):
            await send(writer, 400, {"error": {"message": f"no such field: {self.refuses}"}})
            return True
        mishap = None
        if not self._is_probe(body):
            self.asked.append(body)
            mishap = self.mishap(len(self.asked) - 1, body)
            self.flying += 1
            self.most = max(self.most, self.flying)
        try:
            if seconds := self.delay(body):
                await asyncio.sleep(seconds)
            return await self._complete(path, body, mishap, writer)
        finally:
            if not self._is_probe(body):
                self.flying -= 1

    async def _complete(
        self, path: str, body: dict[str, Any], mishap: str | None, writer: asyncio.StreamWriter
    ) -> bool:
        if mishap == "drop":
            return False
        if mishap == "hang":
            await asyncio.sleep(3600)
        if mishap and mishap.startswith("429"):
            wait = {"Retry-After": mishap[4:]} if mishap[4:] else {}
            await send(writer, 429, {"error": {"message": "slow down"}}, wait)
            return True
        if mishap in ("500", "400", "401", "302"):
            # what a careless server repeats: the key that it was sent
            said = {"error": {"message": f"trouble with {sorted(self.keys)}"}}
            await send(writer, int(mishap), said, {"Location": "/elsewhere"})
            return True
        if mishap == "error object":
            await send(writer, 200, {"error": {"message": "out of memory", "code": 500}})
            return True
        if mishap == "no choices":
            await send(writer, 200, {"id": "x", "object": "text_completion"})
            return True
        self.last = (path, body)
        reply = self._write(path, body)
        if mishap == "half":
            content = json.dumps(reply).encode()
            await send(writer, 200, content[: len(content) // 2])
            return True
        if mishap in ("null", "-9999"):
            values = reply["choices"][0]["logprobs"]["token_logprobs"]
            values[len(values) // 2] = None if mishap == "null" else -9999.0
        if mishap == "other ids":
            own = reply["choices"][0]["token_ids"]
            own[0] = (own[0] + 7) % self.model.size
        await send(writer, 200, reply)
        return True

    def _is_probe(self, body: Mapping[str, Any]) -> bool:
        prompt = body.get("prompt", body.get("input_ids"))
        if isinstance(prompt, list):
            prompt = self.model.decode(prompt)
        return PROBE in (prompt or json.dumps(body.get("messages", "")))

    def _about(self, path: str) -> dict[str, Any] | None:
        card: dict[str, Any] = {"id": self.served, "owned_by": OWNERS[self.kind]}
        if self.kind in ("vllm", "sglang"):
            card |= {"max_model_len": CONTEXT, "root": self.served}
        routes: dict[str, dict[str, Any]] = {"/v1/models": {"object": "list", "data": [card]}}
        if self.kind == "vllm":
            routes["/version"] = {"version": "0.0.fake"}
        if self.kind == "sglang":
            routes["/get_server_info"] = {"version": "0.0.fake"}
        if self.kind == "llama.cpp":
            routes["/props"] = {
                "build_info": "b0-fake",
                "default_generation_settings": {"n_ctx": CONTEXT},
            }
        return routes.get(path)

    # -- the shapes of replies -------------------------------------------------------------------

    def _write(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if path == "/generate":
            return self._sglang(body)
        if path == "/completion":
            return self._llama_cpp(body)
        if path == "/v1/chat/completions":
            return self._chat(body)
        assert path == "/v1/completions", path
        return self._completions(body)

    def _sampled(self, prompt: Sequence[int], asked: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"temperature": 1.0, "max_tokens": 16, **asked}
        done = self.model.complete(prompt, asked if self.seeded else {**asked, "seed": None})
        if self.tempered and asked["temperature"] > 0:
            scaled = [each / asked["temperature"] for each in done["all"]]
            done["all"] = [each - np.log(np.exp(each).sum()) for each in scaled]
            pairs = zip(done["all"], done["ids"], strict=True)
            done["logprobs"] = [float(each[token]) for each, token in pairs]
        return done

    def _completions(self, body: Mapping[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"]
        ids = self.model.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt
        done = self._sampled(ids, body)
        k, chosen = body.get("logprobs") or 0, body.get("logprob_token_ids") or ()
        tops = []
        for chances, own in zip(done["all"], done["ids"], strict=True):
            shown = [own, *(chosen or np.argsort(-chances)[:k].tolist())]
            tops.append({f"token_id:{token}": float(chances[token]) for token in shown})
        choice = {
            "index": 0,
            "text": done["text"],
            "finish_reason": done["reason"].split()[0],
            "logprobs": {"token_logprobs": done["logprobs"], "top_logprobs": tops},
        }
        if body.get("return_token_ids"):
            choice["token_ids"] = done["ids"]
        return {"choices": [choice]}

    def _chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        prompt = "".join(f"{each['role']}: {each['content']}\n" for each in body["messages"])
        done = self._sampled(self.model.tokenizer(prompt)["input_ids"], body)
        message = {"role": "assistant", "content": done["text"]}
        if self.thinks:
            message[self.thinks] = "Let me see."
        logprobs = None
        if body.get("logprobs"):
            k = body.get("top_logprobs") or 0
            logprobs = {
                "content": [
                    {
                        "token": self.model.decode([token]),
                        "logprob": float(chances[token]),
                        "top_logprobs": [
                            {"token": str(each), "logprob": float(chances[each])}
                            for each in np.argsort(-chances)[:k].tolist()
                        ],
                    }
                    for chances, token in zip(done["all"], done["ids"], strict=True)
                ]
            }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": done["reason"].split()[0],
        }
        return {"choices": [choice]}

    def _sglang(self, body: Mapping[str, Any]) -> dict[str, Any]:
        asked = body["sampling_params"]
        settings = {**asked, "max_tokens": asked["max_new_tokens"], "seed": asked["sampling_seed"]}
        done = self._sampled(body["input_ids"], {**settings, "top_k": max(asked["top_k"], 0)})
        about: dict[str, Any] = {
            "finish_reason": {"type": done["reason"].split()[0]},
            "output_token_logprobs": [
                [value, token, None]
                for value, token in zip(done["logprobs"], done["ids"], strict=True)
            ],
        }
        if k := body.get("top_logprobs_num"):
            about["output_top_logprobs"] = [
                [[float(each[token]), token, None] for token in np.argsort(-each)[:k].tolist()]
                for each in done["all"]
            ]
        if chosen := body.get("token_ids_logprob"):
            about["output_token_ids_logprobs"] = [
                [[float(each[token]), token, None] for token in chosen] for each in done["all"]
            ]
        return {"text": done["text"], "output_ids": done["ids"], "meta_info": about}

    def _llama_cpp(self, body: Mapping[str, Any]) -> dict[str, Any]:
        assert body["seed"] < 2**32 - 1
        settings = {
            **body,
            "max_tokens": body["n_predict"],
            "repetition_penalty": body["repeat_penalty"],
        }
        done = self._sampled(body["prompt"], settings)
        entries = [
            {
                "id": token,
                "logprob": float(chances[token]),
                "top_logprobs": [
                    {"id": each, "logprob": float(chances[each])}
                    for each in np.argsort(-chances)[: body["n_probs"]].tolist()
                ],
            }
            for chances, token in zip(done["all"], done["ids"], strict=True)
        ]
        stop_types = {"length": "limit", "stop": "eos", "stop word": "word"}
        if done["reason"] == "stop word":
            entries = entries[:-1]  # it takes the stop string's tokens off
        return {
            "content": done["text"],
            "tokens": done["ids"],
            "stop_type": stop_types[done["reason"]],
            "completion_probabilities": entries,
            "truncated": False,
        }


async def send(
    writer: asyncio.StreamWriter,
    status: int,
    reply: Any,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Write one reply; bytes as they are, with the length that they have."""
    content = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    lines = [f"HTTP/1.1 {status} Said", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + content)
    await writer.drain()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="vllm", choices=list(OWNERS))
    parser.add_argument("--model", required=True, help="a folder with a tokenizer")
    parser.add_argument("--served", default=None)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    server = FakeServer(
        options.kind,
        tokenizer=tokenizer,
        served=options.served or options.model,
        delay=lambda body: options.delay,
        port=options.port,
    )
    with server:
        print(server.url, flush=True)
        while math.inf:
            server._thread.join(3600)


if __name__ == "__main__":
    main()
