"""Progress is seen where somebody looks: a bar in a terminal and a notebook, lines in a log."""

import sys
from types import SimpleNamespace

import pytest

from cot.progress import track


class Clock:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self):
        return self.now


def lines(capsys):
    captured = capsys.readouterr()
    assert captured.out == "", "results alone go to stdout"
    return captured.err.splitlines()


def test_a_log_gets_a_line_every_thirty_seconds_and_one_at_the_end(capsys):
    clock = Clock()
    with track("sampling", total=1600, unit="traces", done=400, clock=clock) as advance:
        for _ in range(12):
            clock.now += 7.5
            advance(100)
    assert lines(capsys) == [
        "cot: sampling: 800 of 1,600 traces, 13.3/s, 0:01:00 left",
        "cot: sampling: 1,200 of 1,600 traces, 13.3/s, 0:00:30 left",
        "cot: sampling: 1,600 of 1,600 traces, 13.3/s, 0:00:00 left",
        "cot: sampling: 1,600 of 1,600 traces, 13.3/s, after 0:01:30",
    ]


def test_what_is_soon_done_leaves_no_line(capsys):
    clock = Clock()
    with track("reading", total=3, unit="traces", clock=clock) as advance:
        for _ in range(3):
            clock.now += 9.9
            advance(1)
    assert lines(capsys) == []


def test_what_fails_says_how_far_it_came(capsys):
    clock = Clock()

    def fail():
        with track("reading", total=30, unit="traces", clock=clock) as advance:
            advance(1)
            clock.now += 31
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert lines(capsys) == ["cot: reading: 1 of 30 traces, 31.0 s each, after 0:00:31"]


def test_an_unknown_total(capsys):
    clock = Clock()
    with track("reading", total=None, unit="traces", clock=clock) as advance:
        clock.now += 40
        advance(1000)
    assert lines(capsys)[0] == "cot: reading: 1,000 traces, 25.0/s"


def test_nothing_moved_yet(capsys):
    clock = Clock()
    with track("reading", total=9, unit="traces", clock=clock) as advance:
        clock.now += 40
        advance(0)
    assert lines(capsys)[0] == "cot: reading: 0 of 9 traces"


@pytest.mark.parametrize("total", [10, None])
def test_a_terminal_gets_a_bar(monkeypatch, capsys, total):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with track("sampling", total=total, unit="traces", done=2) as advance:
        advance(3)
    assert f"5{' of 10' if total else ''} traces" in capsys.readouterr().err


def test_a_notebook_gets_a_bar_of_tqdm(monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **named):
            self.named, self.moves = named, []
            bars.append(self)

        def update(self, count):
            self.moves.append(count)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.moves.append("closed")

    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    with track("sampling", total=10, unit="traces", done=2) as advance:
        advance(3)
    (bar,) = bars
    assert bar.moves == [3, "closed"]
    assert {"total": 10, "initial": 2, "desc": "sampling"}.items() <= bar.named.items()


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch, capsys):
    shell = SimpleNamespace(config={"TerminalIPythonApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    clock = Clock()
    with track("sampling", total=1, unit="traces", clock=clock) as advance:
        clock.now += 31
        advance(1)
    assert len(lines(capsys)) == 2


def test_the_bar_of_a_notebook_without_widgets_works(monkeypatch, capsys):
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with track("sampling", total=10, unit="traces", done=2) as advance:
        advance(8)
    assert "10/10" in capsys.readouterr().err
