"""A key appears in no file, log, page or error, whatever the user types and the server repeats."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import analysis
from cot.cli import main
from cot.engines.endpoint_address import Key, address, addresses
from cot.errors import ConsilienceError, InputError
from tests.engines.endpoints import answers, requests, sample

SECRET = "sk-0123456789abcdef"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COT_ENDPOINT_KEY", f" {SECRET}\n")
    return SECRET


@pytest.fixture
def said() -> Any:
    """All that any logger says, at every level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream.getvalue
    root.removeHandler(handler)
    root.setLevel(level)


def written(folder: Path) -> str:
    """All text of all files of a folder, tables unpacked."""
    parts = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            table = pq.read_table(path, partitioning=None)
            parts += [str(table.schema.metadata), *map(str, table.to_pylist())]
        elif path.is_file():
            parts.append(path.read_bytes().decode("latin-1"))
    return "\n".join(parts)


def test_a_run_and_its_page_hold_no_key(
    serve: Any, tmp_path: Path, tiny: Path, key: str, said: Any
) -> None:
    """The server repeats the key in an error of its own, once."""
    server = serve(mishap=lambda n, body: "500" if n == 3 else None)
    run = sample(tmp_path / "run", server, model=tiny)
    assert server.keys == {f"Bearer {SECRET}"}
    analysis.answers(run)
    analysis.report(run)
    assert (tmp_path / "run" / "report.html").exists()
    assert "trouble with ['Bearer [key]']" not in written(tmp_path / "run")
    assert SECRET not in written(tmp_path / "run")
    assert SECRET not in said()


@pytest.mark.slow
@pytest.mark.parametrize("mishap", ["400", "401", "500", "302"])
def test_what_a_server_repeats_is_not_shown(
    serve: Any, tmp_path: Path, tiny: Path, key: str, said: Any, capsys: Any, mishap: str
) -> None:
    server = serve(mishap=lambda n, body: mishap)
    arguments = ["sample", "arithmetic", "--engine", "endpoint", "--url", server.url]
    arguments += ["--model", str(tiny), "-n", "2", "--limit", "2", "--shots", "1", "--no-greedy"]
    arguments += ["--engine-arg", "pause=0.001", "--out", str(tmp_path / "run")]
    assert main(arguments) == (2 if mishap in ("401", "302") else 1)
    captured = capsys.readouterr()
    shown = captured.out + captured.err + said()
    assert SECRET not in shown
    assert SECRET not in written(tmp_path / "run")
    if mishap == "400":
        assert "HTTP 400: trouble with ['Bearer [key]']" in shown
    if mishap == "401":
        assert "refuses the key (HTTP 401): set COT_ENDPOINT_KEY" in shown
    if mishap == "302":
        assert "sends requests elsewhere" in shown


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{SECRET}@host:8000/v1",
        f"http://{SECRET}@host/v1",
        f"https://host/v1?api_key={SECRET}",
        f"https://host/v1#{SECRET}",
    ],
)
def test_an_address_that_holds_a_secret_is_refused(
    tmp_path: Path, url: str, capsys: Any, said: Any
) -> None:
    for given, said_so in (
        (["--url", url], "COT_ENDPOINT_KEY"),
        (["--engine-arg", f"url={url}"], "as --url"),
    ):
        arguments = ["sample", "arithmetic", "--engine", "endpoint", *given]
        assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
        captured = capsys.readouterr()
        assert said_so in captured.err
        assert SECRET not in captured.err + captured.out + said()
        assert not (tmp_path / "run").exists()


def test_an_address_of_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COT_ENDPOINT_URL", f"http://a:1 http://me:{SECRET}@b:2")
    with pytest.raises(InputError) as refused:
        addresses(None)
    assert SECRET not in str(refused.value)
    monkeypatch.setenv("COT_ENDPOINT_URL", "http://a:1 http://b:2/v1/")
    assert [each.api for each in addresses(None)] == ["http://a:1/v1", "http://b:2/v1"]


@pytest.mark.parametrize("url", ["host:8000", "ftp://host", "http://", "http://host:x", "", "//h"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="no address"):
        address(url)


def test_an_address_is_given_once() -> None:
    with pytest.raises(InputError, match="given twice"):
        addresses(["http://a:1", "http://a:1/v1"])


def test_a_key_is_not_shown_by_what_holds_it(key: str) -> None:
    held = Key()
    assert SECRET not in f"{held!r} {held}"
    assert (
        held.hide(f"no such key: {SECRET}\x1b[2J")
        == "no such key: [key]\N{REPLACEMENT CHARACTER}[2J"
    )
    assert Key("").headers() == {}
    with pytest.raises(InputError) as refused:
        Key(f"{SECRET}\u2019")
    assert SECRET not in str(refused.value)


def test_the_key_goes_to_the_named_servers_alone(serve: Any, endpoint: Any, key: str) -> None:
    elsewhere = serve()
    server = serve(mishap=lambda n, body: "302")
    with pytest.raises(ConsilienceError, match="sends requests elsewhere"):
        answers(endpoint(server), requests(1))
    assert elsewhere.keys == set()
