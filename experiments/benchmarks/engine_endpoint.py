"""Tokens/s of the endpoint engine against a bare asyncio client, and of two servers against one.

    python experiments/benchmarks/engine_endpoint.py --rounds 8
    python experiments/benchmarks/engine_endpoint.py --url http://127.0.0.1:8000/v1

Both sides send the same bodies to one server at the same concurrency, in turns; the bare client
is asyncio's own streams. Without --url the server is a made one in a process of its own: it answers
as vLLM does, a token each --seconds-per-token, so that what is measured is the client. Client and
servers share the machine's cores; processor time of each client stands beside the rates. One server
is compared with two of them at --slow-seconds-per-token, so that three processes on two cores have
time left: there what is measured is whether both are kept busy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

PROMPT = (
    "Q: Tom has 3 apples and gets 4 more. How many apples has he?\n"
    "A: He starts with 3. 3 + 4 = 7. The answer is 7.\n\n"
    "Q: Ben reads {} pages a day for 5 days and then 10 more. How many pages does he read?\nA:"
)


def main() -> None:
    """Measure, and end with one line of JSON; or serve, for a process of this script's own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--url", help="a real server that serves the model")
    parser.add_argument("--requests", type=int, default=512)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--seconds-per-token", type=float, default=0.005)
    parser.add_argument("--slow-seconds-per-token", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options))
        return
    paces = [options.seconds_per_token, *[options.slow_seconds_per_token] * 2]
    servers = [] if options.url else [start(options, pace) for pace in paces]
    try:
        measure(options, [options.url] if options.url else [url for _, url in servers])
    finally:
        for process, _ in servers:
            process.kill()
            process.wait()


def measure(options: argparse.Namespace, urls: list[str]) -> None:
    """The rates of both sides at the first server, and of the second against it and the third."""
    from cot.engines.endpoint import EndpointEngine
    from cot.types import Request, Sampling

    sampling = Sampling(max_tokens=options.max_tokens, stop=("\n\n", "Q:"))
    groups = {"engine": urls[:1]} | ({"one": urls[1:2], "two": urls[1:]} if urls[1:] else {})
    engines = {
        name: EndpointEngine(options.model, url=some, concurrency=options.concurrency)
        for name, some in groups.items()
    }
    plain = engines["engine"]
    ids = [tuple(plain.tokenizer(PROMPT.format(n))["input_ids"]) for n in range(8)]

    def requests(turn: int) -> list[Request]:
        return [
            Request(
                question_id=str(n),
                sample_index=n,
                prompt=ids[n % len(ids)],
                sampling=sampling,
                seed=turn * 10**6 + n,
            )
            for n in range(options.requests)
        ]

    def ours(turn: int, name: str = "engine") -> tuple[float, float]:
        began, cpu = time.perf_counter(), time.process_time()
        found = engines[name].generate(iter(requests(turn)))
        n = sum(len(got.token_ids or ()) for _, got in found)
        return n / (time.perf_counter() - began), time.process_time() - cpu

    def bare(turn: int) -> tuple[float, float]:
        client = plain._client
        bodies = []
        for request in requests(turn):
            pending = plain._pending(request)
            assert pending is not None
            prompt = list(pending.prompt)
            bodies.append(client.dialect.body(client.served, request, prompt, pending.settings()))
        began, cpu = time.perf_counter(), time.process_time()
        n = asyncio.run(ask_all(f"{urls[0]}/completions", bodies, options.concurrency))
        return n / (time.perf_counter() - began), time.process_time() - cpu

    for engine in engines.values():
        print(engine.facts.kind, engine.facts.version, flush=True)
    sides: dict[str, Any] = {"engine": ours, "bare": bare}
    rates: dict[str, list[float]] = {"engine": [], "bare": [], "one": [], "two": []}
    seconds: dict[str, list[float]] = {"engine": [], "bare": []}
    for turn in range(options.rounds + 1):
        for name in sides if turn % 2 else reversed(sides):
            rate, cpu = sides[name](turn)
            rates[name].append(rate)
            seconds[name].append(cpu)
        for name in [each for each in ("one", "two") if each in engines]:
            rates[name].append(ours(turn, name)[0])
        print({name: round(values[-1]) for name, values in rates.items() if values}, flush=True)
    for engine in engines.values():
        engine.close()
    # the first round warms connections
    pairs = list(zip(rates["engine"], rates["bare"], strict=True))[1:]
    result = {
        "engine_tokens_per_second": round(statistics.median(rates["engine"][1:]), 1),
        "bare_tokens_per_second": round(statistics.median(rates["bare"][1:]), 1),
        "engine_cpu_seconds": round(statistics.median(seconds["engine"][1:]), 3),
        "bare_cpu_seconds": round(statistics.median(seconds["bare"][1:]), 3),
        "rounds": options.rounds,
        "cores": os.cpu_count(),
    }
    if len(urls) > 1:
        two = zip(rates["two"][1:], rates["one"][1:], strict=True)
        result |= {"two_servers_ratio": round(statistics.median(a / b for a, b in two), 3)}
        result |= {"two_servers_goal": 1.8}
    ratio = statistics.median(a / b for a, b in pairs)
    print(json.dumps({**result, "ratio": round(ratio, 3), "goal": 0.97}))


async def ask_all(url: str, bodies: list[dict[str, Any]], concurrency: int) -> int:
    """The plainest client: so many connections, each with one request after the other, and the
    tokens of the replies counted."""
    parts = urlsplit(url)
    left = iter(bodies)

    async def ask() -> int:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        n = 0
        for body in left:
            content = json.dumps(body).encode()
            head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
            length = 0
            while (line := await reader.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            reply = json.loads(await reader.readexactly(length))
            n += len(reply["choices"][0]["token_ids"])
        writer.close()
        return n

    return sum(await asyncio.gather(*(ask() for _ in range(concurrency))))


def start(options: argparse.Namespace, pace: float) -> tuple[subprocess.Popen[str], str]:
    """A made server in a process of its own, and its address."""
    command = [sys.executable, __file__, "--serve", "--model", options.model]
    command += ["--seconds-per-token", str(pace)]
    command += ["--concurrency", str(options.concurrency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


async def serve(options: argparse.Namespace) -> None:
    """Answer as vLLM does, with made tokens that spell their text, a token at a time.

    At most `concurrency` completions run at once, as in a server whose batch is full: the others
    wait, and two servers do twice the work of one.
    """
    from cot import models

    tokenizer = models.load_tokenizer(models.resolve(options.model))
    word = tokenizer(" seven", add_special_tokens=False)["input_ids"][:1]
    spelled = tokenizer.decode(word)
    slots = asyncio.Semaphore(options.concurrency // 2)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            path = line.split()[1].decode()
            length = 0
            while (line := await reader.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = json.loads(await reader.readexactly(length) or b"{}")
            if path.endswith("/models"):
                card = {"id": options.model, "owned_by": "vllm", "max_model_len": 2048}
                reply: dict[str, Any] = {"data": [card]}
            elif path.endswith("/version"):
                reply = {"version": "made"}
            else:
                drawn = body["temperature"] > 1 and body["top_k"] != 1
                n = 1 + body["seed"] % 7 if drawn else body["max_tokens"]
                async with slots:
                    await asyncio.sleep(n * options.seconds_per_token)
                ids, token = word * n, f"token_id:{word[0]}"
                logprobs = {
                    "tokens": [token] * n,
                    "token_logprobs": [-0.5] * n,
                    "top_logprobs": [{token: -0.5}] * n,
                    "text_offset": list(range(n)),
                }
                choice = {
                    "text": spelled * n,
                    "token_ids": ids,
                    "logprobs": logprobs,
                    "finish_reason": "length",
                    "prompt_token_ids": body["prompt"],
                }
                reply = {"choices": [choice], "model": options.model}
            content = json.dumps(reply).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    main()
