"""``dcmq export``: from a run or a collection to a folder without torch."""

import json

import numpy as np
import pytest
from commands import dcmq, run_command
from finished_run import VOCABULARY, write_finished_run
from PIL import Image

from dcmq.core.errors import DcmqError

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason="needs the extra onnx")


@pytest.fixture
def run_folder(home):
    """The folder of a finished run."""
    return write_finished_run(home)


@pytest.mark.slow
def test_a_run_and_a_collection_are_exported(tmp_path, run_folder):
    printed = run_command("export", "npc-32", tmp_path / "student", "--onnx", "--int8")
    assert "image_encoder.onnx" in printed and "text_encoder.onnx" in printed
    facts = json.loads((tmp_path / "student" / "student.json").read_text(encoding="utf-8"))
    assert facts["vocabulary"] == list(VOCABULARY) and facts["weights"] == "int8" and facts["format"] == 1

    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    run_command("search", "build", tmp_path / "c", "--run", "npc-32", "--images", tmp_path / "images")
    printed = run_command("export", tmp_path / "c", tmp_path / "with codes", "--onnx")
    assert "1 with their codes" in printed
    assert np.load(tmp_path / "with codes" / "images" / "ids.npy").tolist() == ["a.png"]
    assert not (tmp_path / "with codes" / "texts").exists()


def test_wrong_calls_are_one_line(tmp_path, run_folder):
    result = dcmq("export", "npc-32", tmp_path / "student")
    assert result.exit_code == 2 and "--onnx" in result.stderr
    with pytest.raises(DcmqError, match="there is no run 'nothing'"):
        run_command("export", "nothing", tmp_path / "student", "--onnx")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(DcmqError, match="not empty"):
        run_command("export", "npc-32", tmp_path / "used", "--onnx")
