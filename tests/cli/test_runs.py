"""``dcmq runs`` on made-up records."""

import json

import pytest
from commands import dcmq, run_command
from records import AP, write_report, write_run, write_unfinished

A, B = "a1" + "0" * 14, "b2" + "0" * 14


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCMQ_REPORTS", raising=False)
    write_run(tmp_path, A, finished="2026-01-02T03:04:05+00:00", teacher="open_clip:ViT-B-32/[x]")
    write_run(tmp_path, B, finished="2026-01-03T00:00:00+00:00", target="raw", ap=AP | {"i2t": "0 0 0 400"})
    write_unfinished(tmp_path, "c3" + "0" * 14, epochs=5)
    return tmp_path


def test_list_is_a_row_for_each_run():
    header, *rows = run_command("runs", "list").splitlines()
    assert header.split()[:3] == ["key", "run", "data"] and len(rows) == 3
    assert rows[0].split() == (
        "b2000000 DCMQ raw scenes clip 2026-01-03 00:00 64 0 2 0.100 0.250 500 0.100 0.250 2".split()
    )
    assert rows[1].split()[:5] == ["a1000000", "DCMQ", "npc", "scenes", "open_clip:ViT-B-32/[x]"]
    assert rows[2].split() == "c3000000 raw unfinished 16 3 5".split()


def test_list_is_sorted_filtered_and_cut():
    def keys(*words):
        return [line.split()[0] for line in run_command("runs", "list", *words).splitlines()[1:]]

    assert keys("--reverse") == ["a1000000", "b2000000", "c3000000"]
    assert keys("--sort", "i2t") == ["b2000000", "a1000000", "c3000000"]
    assert keys("--sort", "i2t", "--reverse", "--limit", "1") == ["a1000000"]
    assert keys("--target", "raw") == ["b2000000", "c3000000"]
    assert keys("--method", "DCMQ", "--bits", "64", "--dataset", "scenes", "--teacher", "clip", "--seed", "0") == [
        "b2000000"
    ]
    result = dcmq("runs", "list", "--bits", "7")
    assert result.exit_code == 0 and "no such run in runs; the newest are" in result.stderr


def test_list_as_json():
    rows = json.loads(run_command("runs", "list", "--json"))
    assert [row["key"] for row in rows][:2] == [B, A] and rows[1]["i2t"] == 0.46875 and rows[2]["finished"] is None


def test_a_damaged_record_is_one_line_beside_the_list(home):
    folder = write_run(home, "d4")
    (folder / "record.json").write_text("{")
    result = dcmq("runs", "list")
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 4
    assert result.stderr.startswith("left out: ") and result.stderr.count("\n") == 1


def test_show_says_everything(home):
    lines = run_command("runs", "show", "a1").splitlines()
    for words in (
        "target npc",
        "bits 64",
        "data.choices.query 4",
        "teacher.description open_clip:ViT-B-32/[x] [small]",
        "versions.torch 2.6",
        "git 0123+",
        "device cpu",
        "seconds 1.5",
        "bytes per item 8.0",
        "i2t 3.0000 2.0000",
        "mAP@all 0.469 1.000 0.250 1.000",
        "precision@10 0.234 0.500 0.125 0.500",
        "queries 4 2 4 2",
        "image 0.500 0.250",
    ):
        assert words.split() in [line.split() for line in lines], words
    assert json.loads(run_command("runs", "show", "a1", "--json"))["key"] == A
    for key, message in (("nobody", "there is no run"), ("c3", "is not finished"), (home, "is no finished run")):
        result = dcmq("runs", "show", key)
        assert result.exit_code == 1 and message in result.stderr and result.stderr.count("\n") == 1


def test_compare_puts_two_runs_side_by_side():
    lines = [line.split() for line in run_command("runs", "compare", "a1", "b2").splitlines()]
    for words in (
        "target npc raw",
        "teacher.name open_clip:ViT-B-32/[x] clip",
        "i2t gallery mAP@all 0.469 0.100 -0.369",
        "t2i continuous mAP@all 1.000 1.000 +0.000",
        "i2t mAP@all -0.3688 0 4 0",
        "t2i mAP@all +0.0000 0 0 4",
    ):
        assert words.split() in lines, words
    content = json.loads(run_command("runs", "compare", A, B, "--json"))
    assert content["settings"]["target"] == ["npc", "raw"] and content["a"]["key"] == A
    assert content["queries"][0]["worse"] == 4 and content["metrics"][0]["difference"] == pytest.approx(-0.36875)


def test_runs_on_other_data_have_no_queries_in_common(home):
    write_run(home, "d4", dataset="coco")
    assert "cannot be paired" in run_command("runs", "compare", "a1", "d4")
    assert "no setting differs" in run_command("runs", "compare", "a1", "a1")


def test_clean_removes_only_when_told(home):
    write_report(home, A)
    folders = set((home / "runs").iterdir())
    printed = run_command("runs", "clean")
    assert f"raw-64bits-seed0-{B}" in printed and "nothing is removed without --yes" in printed and A not in printed
    assert set((home / "runs").iterdir()) >= folders
    assert "nothing to remove" in run_command("runs", "clean", "--keep", "b2", "--yes")
    assert "removed: 0.0 MB in runs" in run_command("runs", "clean", "--yes")
    assert {path.name.rpartition("-")[2][:2] for path in (home / "runs").iterdir()} == {"a1", "c3"}
    run_command("runs", "clean", "--unfinished", "--yes")
    assert {path.name.rpartition("-")[2][:2] for path in (home / "runs").iterdir()} == {"a1"}
    result = dcmq("runs", "clean", "--keep", "zz", "--yes")
    assert result.exit_code == 1 and "--keep: there is no run 'zz'" in result.stderr


def test_clean_leaves_a_run_that_begins_to_train_meanwhile(home, monkeypatch):
    monkeypatch.setattr("dcmq.experiments.run_cleaning.remove_run", lambda folder: A not in folder.name)
    result = dcmq("runs", "clean", "--yes")
    assert result.exit_code == 0
    assert result.stderr == f"left, as it is being trained: npc-64bits-seed0-{A}\n"
