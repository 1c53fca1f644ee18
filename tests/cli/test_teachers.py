"""``dcmq teachers``."""

import pytest
from commands import dcmq, run_command

from dcmq.teachers.base import TEACHERS
from dcmq.teachers.check import Check
from dcmq.teachers.registry import teacher_names


def test_list_has_every_name_and_what_is_known_of_it():
    header, *rows = run_command("teachers", "list").splitlines()
    assert header.split() == ["teacher", "size", "licence", "embedding", "checked", "source"]
    assert [row.split()[0] for row in rows] == list(teacher_names())
    assert any(
        "in the package, for scenes only" in row and TEACHERS["clip-wide"].description.size in row for row in rows
    )


def test_check_of_right_and_of_wrong_weights(monkeypatch):
    for answers, code, word in ((Check(0.0, 1.0, 1.0), 0, "right"), (Check(0.5, 1.0, 1.0), 1, "WRONG")):
        monkeypatch.setattr("dcmq.teachers.check.check", lambda *_, answers=answers: answers)
        monkeypatch.setattr(
            "dcmq.teachers.registry.resolve_teacher", lambda name, _: TEACHERS["clip"].make(name, "scenes")
        )
        result = dcmq("teachers", "check", "clip")
        lines = result.stdout.splitlines()
        assert result.exit_code == code and not result.stderr
        assert lines[0].startswith("bundled small CLIP for scenes") and lines[1].startswith(word)


@pytest.mark.parametrize(("name", "message"), [("clap", "did you mean clip"), ("precomputed:/nowhere.npz", "no file")])
def test_a_name_that_means_nothing_is_one_line(name, message):
    result = dcmq("teachers", "check", name)
    assert result.exit_code == 1 and message in result.stderr and result.stderr.count("\n") == 1
