"""Classes of equal answers, and math-verify in its worker, which nothing hostile survives in."""

import contextlib
import signal

import pytest

from analysis.answer_table import answers as extract_answers
from cot.answers import Classes, Judge, canonical, extract
from cot.answers import worker as worker_module
from cot.answers.judge import is_safe
from tests.answers.test_answers import HOSTILE
from tests.small import run_with_answers


@pytest.fixture(scope="module")
def judge():
    with Judge(seconds=1.0) as judge:
        yield judge


@pytest.fixture
def unasked(monkeypatch):
    """Starting the worker fails the test."""

    def refuse(self):
        raise AssertionError("the worker was started")

    monkeypatch.setattr(Judge, "_start", refuse)


EQUAL = [
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"\{1,2\}", r"\{2,1\}"),
    ("x+1", "1+x"),
    ("(x+1)^2", "x^2+2x+1"),
    ("[0,1)", r"\left[0, 1\right)"),
    (r"(-\infty,2]\cup[3,\infty)", r"[3,\infty)\cup(-\infty,2]"),
    ("x=5", "5"),
    ("x>1", "1<x"),
    ("x>1", r"(1,\infty)"),
    (r"(3,\frac{\pi}{2})", r"(3,\pi/2)"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}"),
    (r"\frac{4}{2x}", r"\frac{2}{x}"),
    (r"\sqrt{4}", "2"),
    (r"\lim_{x\to0}\frac{\sin x}{x}", "1"),
]
UNEQUAL = [
    ("(1,2)", "(2,1)"),
    ("(1,2)", "(1,2]"),
    ("x=5", "y=5"),
    ("x>1", r"[1,\infty)"),
    ("x+1", "x-1"),
    ("i", "-i"),
    (r"2\pi", "6.283185307"),  # as 1/3 and 0.333333
    (r"10\%", "x=10"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [(*pair, True) for pair in EQUAL] + [(*pair, False) for pair in UNEQUAL],
)
def test_pairs(judge, one, other, equal):
    one, other = canonical(one, "latex"), canonical(other, "latex")
    assert judge.equal(one, other) is equal
    asked = judge.asked
    assert judge.equal(other, one) is equal
    assert judge.asked == asked  # each unordered pair once
    assert judge.timed_out == judge.failed == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [("1/2", "0.5"), ("1/3", "0.333333"), ("12", "12.5"), ("Monday", "dynamo"), ("even", "x=2")],
)
def test_plain_forms_are_not_asked_about(unasked, one, other):
    one, other = canonical(one, "latex"), canonical(other, "latex")
    assert Judge().equal(one, other) is (one == other)


@pytest.mark.slow
def test_a_pair_that_hangs_is_killed_and_the_next_one_works(judge):
    judge.equal("x", "1+x-1")
    killed = judge._worker
    assert not judge.equal(r"\int_0^1 \frac{\ln(1+x)}{1+x^2} dx", r"\frac{\pi\ln 2}{8}")
    assert (judge.timed_out, judge.failed) == (1, 0)
    assert killed.poll() == -signal.SIGPROF
    assert judge.equal("y+1", "1+y")
    judge.timed_out = 0


@pytest.mark.slow
def test_a_worker_that_dies_is_counted_and_started_again(judge):
    judge.equal("x", "1+x-1")
    judge._worker.kill()
    judge._worker.wait()
    assert not judge.equal("z+1", "1+z")
    assert (judge.timed_out, judge.failed) == (0, 1)
    assert judge.equal("z+2", "2+z")
    judge.failed = 0


def test_what_went_wrong_is_said(caplog):
    judge = Judge()
    judge.timed_out = 2
    judge.close()
    assert "2 pairs of answers took math-verify more than 2 s, and on 0 it failed" in caplog.text


def test_an_answer_that_keeps_failing_is_not_asked_about_any_more(monkeypatch):
    judge = Judge()
    judge._failures.update(["x+1"] * 3)
    monkeypatch.setattr(judge, "_ask", lambda pair: pytest.fail("asked"))
    assert not judge.equal("x+1", "1+x")


HARMFUL = [
    "__import__('os').system('touch owned')",
    r"\text{__import__('os')}",
    "9**9**9**9",
    "9^{9^{9^{9}}}",
    "9" * 10_000,
    "1e999999",
    "99999!",
    "2^{1000000}",
    "(" * 100 + "x" + ")" * 100,
    "{" * 20 + "x" + "}" * 20,
    "x" * 1_000_000,
    "\u202e21\u202c",
    "1\u200b2",
    "open(x);x",
    "lambda:x",
    "x;y",
    "\x00",
]


@pytest.mark.parametrize("form", HARMFUL)
def test_what_is_not_passed_on(unasked, form):
    if form not in ("9**9**9**9", "lambda:x"):
        assert not is_safe(form)
        assert not Judge().equal(form, "x+1")


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_are_cheap_and_inert(judge, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    form = extract(HOSTILE[name], "latex").canonical
    judge.equal("x", "1+x-1")
    alive = judge._worker.pid
    if form is not None:
        assert not judge.equal(form, "x+1")
    assert judge._worker.pid == alive  # a pair that takes too long costs the worker its life
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("os.system", (b"true",)),
        ("subprocess.Popen", ("true", [], None, None)),
        ("os.fork", ()),
        ("socket.connect", (None, None)),
        ("open", ("owned", "w", 577)),
        ("os.remove", ("owned", -1)),
        ("compile", (b"__import__ ('os' )", "<string>")),
        ("compile", ("Integer (1 )+open('x')", "<string>")),
        ("compile", ("1", "<lambdifygenerated-1>")),
    ],
)
def test_the_worker_forbids(event, arguments):
    with pytest.raises(worker_module.Forbidden):
        worker_module.forbid(event, arguments)


def test_the_worker_permits_what_reading_a_numeral_and_importing_take():
    worker_module.forbid("compile", (b"Integer (12 )", "<string>"))
    worker_module.forbid("compile", (b"Float ('1.5' )", "<string>"))
    worker_module.forbid("compile", (b"anything", "module.py"))
    worker_module.forbid("open", ("module.py", "rb", 0))
    worker_module.forbid("os.listdir", (".",))


def test_an_answer_joins_a_class_only_if_it_equals_every_member():
    def equal(one, other):
        return "5" in (one, other)  # x=5 equals 5, which equals y=5

    classes = Classes(equal)
    assert [classes.join(form) for form in ("x=5", "5", "y=5", "5")] == ["x=5", "x=5", "y=5", "x=5"]
    assert classes.find("z=5") == "z=5"
    assert classes.find("y=5") == "y=5"
    assert classes.join("z=5") == "z=5"


def test_asking_for_a_class_joins_none():
    classes = Classes(lambda one, other: one.lower() == other.lower())
    classes.join("a")
    assert classes.find("A") == "a"
    assert classes.find("b") == "b"
    assert classes.join("B") == "B"


def test_math_verify_is_not_transitive(judge):
    assert judge.equal("x=5", "5")
    assert judge.equal("5", "y=5")
    assert not judge.equal("x=5", "y=5")


def latex_run(path):
    given = {
        "a": (
            r"\frac{\sqrt{2}}{2}",
            [r"$\frac{1}{\sqrt 2}$", r"$\sqrt{2}/2$", r"$\sqrt 2$", None, "0.5", r"$\frac12$"],
        ),
        "b": ("7", ["x=7", "7.0", "seven hundred", r"$\boxed{7}$"]),
        "c": (None, ["x+1", "1+x"]),
    }
    return run_with_answers(path, given)


def test_a_run_in_classes_with_gold(tmp_path, judge, monkeypatch):
    monkeypatch.setattr("cot.answers.table.Judge", lambda: contextlib.nullcontext(judge))
    table = extract_answers(latex_run(tmp_path))
    half = r"\frac{1}{\sqrt{2}}"
    assert table["answer"].fillna("–").to_list() == [
        *(half, half, r"\sqrt{2}", "–", "1/2", "1/2"),
        *("x=7", "x=7", "seven hundred", "x=7"),
        *("x+1", "x+1"),
    ]
    assert table["canonical"][7] == "7"
    correct = [True, True, False, False, False, False, True, True, False, True]
    assert table["correct"].to_list()[:10] == correct
    assert table["correct"][10:].isna().all()
    assert table["correct"].dtype == "boolean"


def test_a_plain_run_starts_no_worker(tmp_path, unasked):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "7.0", "8"]), "b": ("1", [])})
    assert extract_answers(run)["correct"].to_list() == [True, True, False]


def test_text_never_asks(tmp_path, unasked):
    run = run_with_answers(tmp_path, {"a": ("x+1", ["1+x", "x+1", "nk", "kn"])})
    table = extract_answers(run, "text")
    assert table["correct"].to_list() == [False, True, False, False]
    assert table["answer"].nunique() == 4
