"""A user's checker runs in processes of its own; whatever it does, each trace has a verdict."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cot.answers import verifier as verifier_module
from cot.answers.verifier import MAX_AHEAD, MAX_BATCH, Verdict, Verifier
from cot.answers.verifier_worker import MAX_ANSWER, MAX_FAILURE, NoVerdictError, cut, read_verdict
from cot.errors import InputError
from cot.types import Question

pytestmark = pytest.mark.slow  # each test starts processes: over a minute in all

QUESTION = Question(id="q1", text="What is 7 * 6?", gold="42", meta={"solution": "42"})
CHECKERS = r'''
import ctypes, fcntl, os, re, signal, subprocess, sys, time

print("imported")
print("imported", file=sys.stderr)


class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def check(question, text):
    """Does what the text says; of a text that says nothing, the answer is the text itself."""
    what, _, rest = text.partition(" ")
    if what == "sleep":
        time.sleep(float(rest))
    elif what == "spin":  # in C, so that no Python code runs
        re.match(r"(a+)+$", "a" * 60 + "b")
    elif what == "start":  # holds a lock, which what it starts inherits
        start(rest)
    elif what == "start-and-hang":
        start(rest)
        time.sleep(1000)
    elif what == "start-and-exit":
        start(rest)
        os._exit(5)
    elif what == "start-and-spin":
        start(rest)
        check(question, "spin")
    elif what == "exit":
        os._exit(int(rest))
    elif what == "crash":
        ctypes.string_at(0)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "fork-and-exit":
        if os.fork():
            os._exit(4)
        time.sleep(1000)
    elif what == "fork-and-raise":
        if os.fork() == 0:
            raise ValueError("in the fork")
        os.wait()
    elif what == "close":
        os.closerange(3, 64)
        time.sleep(1000)
    elif what == "garbage":
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, rest.encode())
            except OSError:
                pass
        time.sleep(1000)
    elif what == "raise":
        raise {
            "value": ValueError("bad\n  text \x1b[31m"),
            "long": KeyError("x" * 10_000),
            "none": AssertionError(),
            "exit": SystemExit("over"),
            "interrupt": KeyboardInterrupt(),
            "memory": MemoryError(),
            "wordless": Wordless(),
        }[rest]
    elif what == "recurse":
        return check(question, text)
    elif what == "print":
        print(rest, flush=True)
        print(rest, file=sys.stderr, flush=True)
        os.write(1, rest.encode())
        os.write(2, rest.encode())
        subprocess.run(["echo", rest], check=True)
    elif what == "read":
        rest = input()
    elif what == "change":
        question.meta["solution"] = rest
    return text, rest == question.meta["solution"]


def start(lock):
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        subprocess.Popen(["sleep", "1000"], pass_fds=[file.fileno()])
        file.write("started")


def show(question, text):
    shown = repr((question, text, type(question.choices).__name__))
    return shown.encode("ascii", "backslashreplace").decode(), None


def fails(question, text):
    if text != "good":
        raise LookupError(f"no label of {text!r}")
    return text, True


def fails_variously(question, text):
    raise ValueError() if int(text) % 2 else TypeError()


def returns(question, text):
    return text == "42"


def one_argument(question):
    return None, None


not_a_function = 24
'''
MODULES = {
    "checkers": CHECKERS,
    "needs_more": "import there_is_no_such_package",
    "breaks": "x = 1\ny = x.there_is_no_such_attribute",
    "is_no_python": "def check(:",
    "exits": "import sys; sys.exit(3)",
    "dies": "import os; os._exit(3)",
    "hangs": "import time; time.sleep(1000)",
    "empty": "",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The current directory, with the checkers; not where Python looks for modules."""
    folder = tmp_path_factory.mktemp("checkers")
    for name, code in MODULES.items():
        (folder / f"{name}.py").write_text(code)
    with contextlib.chdir(folder):
        yield folder


@pytest.fixture(scope="module")
def verifier(folder):
    with Verifier("checkers:check", seconds=60, workers=2) as verifier:
        yield verifier


@pytest.fixture(scope="module")
def hasty(folder):
    with Verifier("checkers:check", seconds=2.5, workers=2) as verifier:
        yield verifier


def verdicts(verifier, *texts, question=QUESTION):
    return list(verifier.verify((question, text) for text in texts))


def failures(verifier, *texts):
    return [verdict.failure for verdict in verdicts(verifier, *texts)]


def is_free(lock, seconds=30.0):
    """Whether all processes that hold the lock end."""
    assert lock.read_text() == "started"
    until = time.monotonic() + seconds
    with open(lock) as file:
        while time.monotonic() < until:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.01)
    return False


def is_held(lock):
    return not is_free(lock, seconds=0.1)


def test_a_checker_says_what_the_answer_is_and_whether_it_is_right(verifier):
    assert verdicts(verifier, "is 42", "is 41") == [
        Verdict(answer="is 42", correct=True, failure=None),
        Verdict(answer="is 41", correct=False, failure=None),
    ]


def test_verdicts_come_in_the_order_of_the_traces(folder):
    texts = [f"sleep {0.02 * (number % 7 == 0)}{number:04}" for number in range(1000)]
    with Verifier("checkers:check", seconds=60, workers=4) as verifier:
        assert [verdict.answer for verdict in verdicts(verifier, *texts)] == texts


def test_question_and_text_arrive_as_they_are(folder):
    question = Question(
        id="ü\n",
        text="a\u2028b",
        choices=("one", "two"),
        meta={"steps": [1, 2.5, None], "deep": {"a": ["\x00"]}},
    )
    without = Question(id="", text="")
    none = Question(id="", text="", choices=())
    text = 'line\r\nline "\\" \ud800 \U0001f600'
    with Verifier("checkers:show", workers=1) as verifier:
        for each, kind in ((question, "tuple"), (without, "NoneType"), (none, "tuple")):
            shown = repr((each, text, kind)).encode("ascii", "backslashreplace").decode()
            assert verdicts(verifier, text, question=each)[0].answer == shown


def test_what_a_checker_does_to_a_question_does_not_reach_the_next_trace(folder):
    with Verifier("checkers:check", workers=1) as verifier:
        assert [each.correct for each in verdicts(verifier, "change 7", "is 42")] == [True, True]


@pytest.mark.parametrize("hang", ["sleep 1000", "spin"])
def test_a_checker_that_hangs_is_killed_and_the_next_trace_is_checked(hasty, hang):
    assert failures(hasty, "is 1", hang, "is 2", "is 3") == [None, "timeout", None, None]


def test_the_limit_is_a_trace_s_and_not_a_batch_s(hasty, monkeypatch):
    monkeypatch.setattr(verifier_module, "BATCH_SECONDS", 1000)  # so that batches stay large
    quick, slow = ["is 42"] * 5000, ["sleep 0.05"] * 2 * MAX_BATCH
    assert failures(hasty, *quick, *slow) == [None] * (5000 + 2 * MAX_BATCH)


def test_what_comes_after_a_trace_that_hangs_in_a_batch_is_checked(hasty):
    texts = [f"is {number}" for number in range(600)]
    texts[550] = "sleep 1000"
    found = verdicts(hasty, *texts)
    assert found.pop(550) == Verdict(answer=None, correct=None, failure="timeout")
    assert [each.answer for each in found] == texts[:550] + texts[551:]


def test_traces_that_a_dead_worker_was_still_being_sent_are_checked(verifier):
    texts = [f"is {number} {'x' * 5000}" for number in range(600)]
    texts[550] = "exit 3"
    found = verdicts(verifier, *texts)
    assert found.pop(550).failure == "worker died: exit status 3"
    assert [each.answer for each in found] == [cut(text) for text in texts if text != "exit 3"]


@pytest.mark.parametrize("what", ["start-and-hang", "start-and-exit"])
def test_what_a_checker_started_is_killed_with_it(hasty, tmp_path, what):
    failure = {"start-and-hang": "timeout", "start-and-exit": "worker died: exit status 5"}[what]
    assert failures(hasty, f"{what} {tmp_path}/lock") == [failure]
    assert is_free(tmp_path / "lock")


def test_what_a_checker_left_running_is_killed_at_the_end(folder, tmp_path):
    with Verifier("checkers:check", workers=1) as verifier:
        assert failures(verifier, f"start {tmp_path}/lock") == [None]
        assert is_held(tmp_path / "lock")
    assert is_free(tmp_path / "lock")


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("exit 0", "exit status 0"),
        ("exit 3", "exit status 3"),
        ("crash", "killed by SIGSEGV"),
        ("kill", "killed by SIGKILL (out of memory?)"),
        ("fork-and-exit", "exit status 4"),
        ("close", "it closed its pipes"),
        ("garbage }\n", "what it replied is not JSON"),
        ('garbage [0, "42", true, null, null]\n', "what it replied is no verdict"),
    ],
)
def test_a_worker_that_dies_is_replaced(verifier, text, how):
    assert verdicts(verifier, "is 42", "is 42")[0].failure is None
    assert failures(verifier, "is 1", text, "is 2") == [None, f"worker died: {how}", None]


def test_a_forked_process_does_not_answer_for_its_parent(verifier):
    texts = ["fork-and-raise 42", *(f"is {number}" for number in range(100))]
    found = verdicts(verifier, *texts)
    assert [each.answer for each in found] == texts
    assert found[0].correct


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("raise value", "ValueError: bad text \N{REPLACEMENT CHARACTER}[31m"),
        ("raise none", "AssertionError"),
        ("raise exit", "SystemExit: over"),
        ("raise interrupt", "KeyboardInterrupt"),
        ("raise memory", "MemoryError"),
        ("raise wordless", "Wordless: (its message cannot be written)"),
        ("read", "EOFError: EOF when reading a line"),
    ],
)
def test_an_exception_is_a_failure_in_one_line(verifier, text, failure):
    assert failures(verifier, text, "is 42") == [failure, None]


def test_a_failure_is_short(verifier):
    (failure,) = failures(verifier, "raise long")
    assert failure.startswith("KeyError: 'xxx")
    assert len(failure) == MAX_FAILURE
    assert failures(verifier, "recurse", "is 42")[1] is None


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ((None, None), (None, None)),
        ((None, False), (None, False)),
        (("42", True), ("42", True)),
        (("", None), ("", None)),
        (("42", np.True_), ("42", True)),
        ((np.str_("42"), np.bool_(False)), ("42", False)),
    ],
)
def test_verdicts_that_are_understood(value, verdict):
    found = read_verdict(value)
    assert found == verdict
    assert [type(each) for each in found] == [type(each) for each in verdict]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "returned None of type NoneType"),
        (True, "returned True of type bool"),
        ("42", "returned '42' of type str"),
        (["42", True], "of type list, not a tuple (answer, correct)"),
        (("42",), "of type tuple, not a tuple (answer, correct)"),
        (("42", True, None), "of type tuple, not a tuple (answer, correct)"),
        ((42, True), "the answer returned is 42 of type int, not a string or None"),
        ((b"42", True), "of type bytes, not a string or None"),
        (("42", 1), "correct is 1 of type int, not True, False or None"),
        (("42", 1.0), "correct is 1.0 of type float, not True, False or None"),
        (("42", "True"), "correct is 'True' of type str, not True, False or None"),
        (("42", np.array([True])), "of type ndarray, not True, False or None"),
        (("\ud800", True), "a surrogate"),
    ],
)
def test_what_is_no_verdict_is_said(value, said):
    with pytest.raises(NoVerdictError) as caught:
        read_verdict(value)
    assert said in str(caught.value)


def test_what_is_no_verdict_is_a_failure(folder):
    with Verifier("checkers:returns", workers=1) as verifier:
        assert failures(verifier, "42") == [
            "no verdict: returned True of type bool, not a tuple (answer, correct)"
        ]


def test_long_answers_are_cut_and_stay_different(verifier):
    one, other = (cut("x" * 100_000 + end) for end in "ab")
    assert len(one) == len(other) == MAX_ANSWER
    assert one != other
    assert one == cut("x" * 100_000 + "a")
    assert cut("x" * MAX_ANSWER) == "x" * MAX_ANSWER
    assert verdicts(verifier, "is " + "x" * 1_000_000)[0].answer == cut("is " + "x" * 1_000_000)


def test_what_a_checker_prints_is_discarded(folder, capfd):
    with Verifier("checkers:check", workers=1) as verifier:
        text = 'print [0, "42", true, null, null]'
        assert verdicts(verifier, text, "is 42")[0].answer == text
    assert capfd.readouterr() == ("", "")


PARENT = """
import sys
from cot.answers.verifier import Verifier
from cot.types import Question

question = Question(id="", text="", meta={"solution": ""})
with Verifier("checkers:check", seconds=1000, workers=2) as verifier:
    print("ready", flush=True)
    for verdict in verifier.verify((question, text) for text in sys.argv[1:]):
        pass
"""


KERNEL = pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel does it")


@pytest.mark.parametrize(
    "end",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=KERNEL),
        pytest.param(signal.SIGKILL, marks=KERNEL),
    ],
)
@pytest.mark.parametrize("what", ["start-and-hang", "start-and-spin"])
def test_no_process_outlives_the_parent(folder, tmp_path, what, end):
    locks = [tmp_path / "one", tmp_path / "two"]
    command = [sys.executable, "-c", PARENT, *(f"{what} {lock}" for lock in locks)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as parent:
        until = time.monotonic() + 60
        while not all(lock.exists() and lock.read_text() == "started" for lock in locks):
            assert time.monotonic() < until
            assert parent.poll() is None
            time.sleep(0.01)
        assert all(is_held(lock) for lock in locks)
        parent.send_signal(end)
    assert parent.returncode == -end
    assert all(is_free(lock) for lock in locks)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("checkers.py:check", "write it as package.module:function"),
        ("checkers", "write it as package.module:function"),
        ("checkers:", "write it as package.module:function"),
        ("a folder/checkers:check", "write it as package.module:function"),
        ("checkers:check()", "write it as package.module:function"),
        ("nowhere:check", "there is no module 'nowhere' in {folder} or among the installed"),
        ("nowhere:check", "change to the folder that holds nowhere.py, or add that folder to PYTH"),
        ("cot.nowhere:check", "there is no module 'cot.nowhere'"),
        ("checkers.inner:check", "there is no module 'checkers.inner'"),
        ("checkers:chekc", "checkers.py) has no 'chekc': give one of Wordless, check, start, show"),
        ("empty:check", "has no 'check': give it a function of that name"),
        ("checkers:not_a_function", "'not_a_function' is of type int: name a function"),
        ("needs_more:check", "ModuleNotFoundError: No module named 'there_is_no_such_package' ("),
        ("breaks:check", "failed with AttributeError: 'int' object has no attribute 'there_is_no"),
        ("breaks:check", "breaks.py line 2): mend it until python -c 'import breaks' works"),
        ("is_no_python:check", "failed with SyntaxError: invalid syntax (is_no_python.py, line 1)"),
        ("exits:check", "importing 'exits' failed with SystemExit: 3"),
        ("dies:check", "importing 'dies' ended its process (worker died: exit status 3)"),
    ],
)
def test_a_checker_that_cannot_be_imported_is_wrong_use(folder, spec, said):
    with pytest.raises(InputError) as caught, Verifier(spec, workers=1):
        pass
    assert f"verifier {spec!r}: " in str(caught.value)
    assert said.format(folder=folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_import_that_does_not_end_is_wrong_use(folder, monkeypatch):
    monkeypatch.setattr(verifier_module, "START_SECONDS", 1)
    with (
        pytest.raises(InputError, match="importing 'hangs' took more than 1 s: mend it until"),
        Verifier("hangs:check", workers=1),
    ):
        pass


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_cannot_be_is_wrong_use(seconds):
    with pytest.raises(InputError, match="more than 0"):
        Verifier("checkers:check", seconds=seconds)


def test_no_workers_are_wrong_use():
    with pytest.raises(InputError, match="at least 1"):
        Verifier("checkers:check", workers=0)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("checkers:fails", r"LookupError: \"?no label of '19'\"? \(.*checkers.py line \d+\): mend"),
        ("checkers:returns", "no verdict: returned False of type bool"),
        ("checkers:one_argument", r"TypeError: one_argument\(\) takes 1 positional argument but"),
    ],
)
def test_a_checker_that_fails_on_all_of_the_first_traces_is_broken(folder, spec, said):
    read = []

    def traces():
        for number in range(100_000):
            read.append(number)
            yield QUESTION, str(number)

    given = []
    with Verifier(spec, workers=2) as verifier, pytest.raises(InputError, match=said):
        given.extend(verifier.verify(traces()))
    assert len(given) == 0 or len(given) == 19
    assert len(read) <= 20 + 2 * MAX_AHEAD + MAX_BATCH


def test_one_trace_that_is_checked_proves_the_checker(folder):
    texts = ["bad"] * 19 + ["good"] + ["bad"] * 50
    with Verifier("checkers:fails", workers=2) as verifier:
        found = verdicts(verifier, *texts[:10]) + verdicts(verifier, *texts[10:])
    assert [each.correct for each in found] == [None] * 19 + [True] + [None] * 50


def test_different_exceptions_do_not_stop_a_run(folder):
    with Verifier("checkers:fails_variously", workers=2) as verifier:
        assert failures(verifier, *map(str, range(40))) == ["TypeError", "ValueError"] * 20


@pytest.mark.parametrize(("text", "failure"), [("sleep 9", "timeout"), ("exit 1", "worker died")])
def test_traces_that_hang_or_crash_do_not_stop_a_run(folder, monkeypatch, text, failure):
    monkeypatch.setattr(verifier_module, "FIRST", 3)
    with Verifier("checkers:check", seconds=0.2, workers=2) as verifier:
        found = failures(verifier, *[text] * 4)
    assert [each.partition(":")[0] for each in found] == [failure] * 4


@pytest.mark.parametrize(
    ("text", "most"), [("is 42", 2 * MAX_AHEAD + MAX_BATCH), ("x" * 100_000, 35)]
)
def test_traces_are_not_read_far_ahead(verifier, text, most):
    n = 3000 if len(text) < 10 else 300
    read = 0

    def traces():
        nonlocal read
        for number in range(n):
            read = number + 1
            yield QUESTION, text

    for given, _ in enumerate(verifier.verify(traces())):
        assert read - given <= most
    assert read == n


def test_a_verifier_can_be_asked_again_even_if_it_was_not_heard_out(verifier):
    some = verifier.verify((QUESTION, f"is {number}") for number in range(1000))
    assert next(some).answer == "is 0"
    some.close()
    assert [each.answer for each in verdicts(verifier, "is 42", "is 43")] == ["is 42", "is 43"]
    assert verdicts(verifier) == []


def test_an_error_of_the_source_of_traces_comes_through(verifier):
    def traces():
        yield QUESTION, "is 42"
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        list(verifier.verify(traces()))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[" * 100_000,
        b"\xff",
        b'"ready"',
        b"{}",
        b"[7]",
        json.dumps([8, "42", True, None, None]).encode(),
        json.dumps([7, 42, True, None, None]).encode(),
        json.dumps([7, "42", 1, None, None]).encode(),
        json.dumps([7, "42", True, {}, None]).encode(),
    ],
)
def test_a_reply_that_is_not_a_verdict_on_the_trace_is_not_believed(line):
    with pytest.raises(verifier_module._WorkerError, match="what it replied is"):
        verifier_module._read(line, 7)


def test_the_game_of_24_is_checked_by_its_rules():
    question = Question(id="900", text="4 5 6 10")
    cases = {
        "Steps:\n10 - 4 = 6 (left: 5 6 6)\nAnswer: (5 * (10 - 4)) - 6 = 24": (
            "(5 * (10 - 4)) - 6",
            True,
        ),
        "Answer: 10 × 4 - (5 + 6) = 29": ("10 * 4 - (5 + 6)", False),
        "Answer: (10 - 6) * (5 - 4) * 4 = 24": ("(10 - 6) * (5 - 4) * 4", False),
        "Answer: 6 * 4 = 24": ("6 * 4", False),
        "Answer: (10 - 4) * 4 * 1 = 24": ("(10 - 4) * 4 * 1", False),
        "Answer: 5 / (10 - 4 - 6) = 24": ("5 / (10 - 4 - 6)", False),
        "Answer: (5 * (10 - 4)) - 6 = 24\nI am sure.": (None, False),
        "Answer: No solution": (None, False),
        "Answer: 10 ** 4 ** 5 ** 6 = 24": (None, False),
        "Answer: __import__('os').getpid() = 24": (None, False),
        "Answer: True + 4 = 24": (None, False),
        "Answer: " + "(" * 150 + "4" + ")" * 30: (None, False),
        "": (None, False),
    }
    one = Question(id="1", text="1 4 4 10")
    with Verifier("tests.answers.game24:check", workers=2) as verifier:
        for (text, (answer, correct)), verdict in zip(
            cases.items(), verdicts(verifier, *cases, question=question), strict=True
        ):
            assert verdict == Verdict(answer=answer, correct=correct, failure=None), text
        (right,) = verdicts(verifier, "Answer: (10 - 4) * 4 * 1 = 24", question=one)
    assert right.correct
