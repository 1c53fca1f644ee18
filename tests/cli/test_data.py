"""``dcmq data`` on miniature data sets."""

import warnings

import miniature
import pytest
from commands import dcmq, run_command

from dcmq.data.datasets import load_dataset

SMALL = ["--expect", "none", "--image-size", "8", "--query", "5", "--train", "12"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))


@pytest.fixture
def coco(tmp_path):
    return miniature.coco(tmp_path / "coco")


def facts(printed):
    """Printed names and values."""
    return dict(line.split(maxsplit=1) for line in printed.splitlines() if line[0] != " ")


def test_from_files_to_a_verified_folder(coco, tmp_path):
    out = tmp_path / "out"
    printed = run_command("data", "prepare", "coco", "--root", coco, "--out", out, *SMALL)
    assert facts(printed)["folder"] == str(out) and "2 without label" in printed
    assert facts(printed)["use"] == f"it       -p dataset coco -p data_root {out}"
    assert "counts not compared with published ones" in printed
    assert facts(printed)["fingerprint"] == facts(run_command("data", "info", "coco", "--root", out))["fingerprint"]
    assert "files by SHA-256, index files, fingerprint" in run_command("data", "verify", "coco", "--root", out)
    assert len(load_dataset("coco", str(out)).split.train) == 12
    (out / "images.npy").write_bytes(b"")
    result = dcmq("data", "verify", "coco", "--root", out)
    assert result.exit_code == 1 and "images.npy is 0 bytes long" in result.stderr and result.stderr.count("\n") == 1


def test_the_folder_is_found_below_the_root_where_none_is_named(coco):
    run_command("data", "prepare", "coco", "--root", coco, *SMALL)
    assert (coco / "prepared" / "coco" / "dataset.json").is_file()
    assert facts(run_command("data", "info", "coco", "--root", coco))["folder"] == str(coco / "prepared" / "coco")


def test_options_reach_the_reader(coco):
    printed = run_command(
        "data", "prepare", "coco", "--root", coco, "--ignore-classes", "person", "--seed", "3", *SMALL
    )
    choices = facts(printed)["choices"]
    assert '"seed": 3' in choices and "person" in choices


def test_what_is_left_out_is_a_note(tmp_path):
    root = miniature.folder(tmp_path / "own")
    (root / "bilder" / "größe 1.jpg").unlink()
    with pytest.warns(UserWarning, match="1 samples left out"):
        printed = run_command("data", "prepare", "folder", "--root", root, "--image-size", "8", "--skip-missing")
    assert "not on disk" in facts(printed)["left"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("prepare cocoo --root {root}", "no data set 'cocoo' to prepare; did you mean coco?"),
        ("prepare coco:2014 --root {root}", "no data set 'coco:2014'"),
        ("prepare scenes --root {root}", "no data set 'scenes' to prepare"),
        ("prepare coco --root {root}/none", "none does not exist"),
        ("prepare coco --root {root}", "--expect none"),
        ("prepare coco --root {root} --expect none --query 0", "query is 0, and must be at least 1"),
        ("prepare folder --root {root} --download", "nothing to download"),
        ("prepare folder --root {root} --table none.csv", "there is no table"),
        ("verify coco --root {root}", "coco is not prepared under"),
        ("info mirflickr --root {root}", "mirflickr is not prepared under"),
        ("info cocoo --root {root}", "did you mean coco?"),
    ],
)
def test_a_mistake_is_one_line(coco, words, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = dcmq("data", *words.format(root=coco).split())
    assert result.exit_code == 1 and message in result.stderr and result.stderr.count("\n") == 1


def test_a_folder_that_may_not_be_written_is_one_line(coco, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", "/out")

    monkeypatch.setattr("dcmq.data.prepare.prepare", denied)
    result = dcmq("data", "prepare", "coco", "--root", coco)
    assert (result.exit_code, result.stderr) == (1, "/out: no permission; change that, or choose another folder\n")
