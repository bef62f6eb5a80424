"""The rules' agreement with labels, on files that can be counted by hand."""

import json

import pytest

from cot.errors import InputError
from experiments.benchmarks.step_kinds import evaluate, main


def write(folder, problem, rows):
    place = folder / "a-model" / "correct_base_solution" / problem
    place.mkdir(parents=True)
    items = [{"chunk": chunk, "function_tags": tags} for chunk, tags in rows]
    (place / "chunks_labeled.json").write_text(json.dumps(items), encoding="utf-8")


ROWS = [
    ("Okay, so I have this problem about books.", ["problem_setup"]),
    ("So 5 + 7 = 12.", ["active_computation"]),
    ("Wait, that is too much.", ["uncertainty_management"]),
    ("So 5 + 6 = 11.", ["self_checking"]),
    ("The answer is 11.", ["final_answer_emission"]),
]


def test_precision_and_recall_are_those_of_each_half(tmp_path, capsys):
    write(tmp_path, "problem_1", ROWS)
    write(tmp_path, "problem_2", ROWS[1:3])
    found = evaluate(tmp_path)
    first = found["development"]
    assert (first["n"], first["n_other"], first["agreement"]) == (5, 0, 0.8)
    assert first["kappa"] == pytest.approx((0.8 - 0.2) / (1 - 0.2))
    assert first["kinds"]["calculation"] == {"n": 1, "precision": 0.5, "recall": 1.0}
    assert first["kinds"]["check"] == {"n": 1, "precision": 0.0, "recall": 0.0}
    assert found["held out"]["n"] == 2
    main([str(tmp_path)])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["development"]["n"] == 5


def test_a_label_that_is_not_known_is_named(tmp_path):
    write(tmp_path, "problem_1", [("So it is.", ["magic"])])
    with pytest.raises(InputError, match=r"problem_1.*item 0.*magic.*problem_setup"):
        evaluate(tmp_path)
    with pytest.raises(InputError, match="no file"):
        evaluate(tmp_path / "none")
