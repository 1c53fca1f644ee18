"""The runs that there are: read from their folders, found, compared, and removed where nothing needs them."""

import json
import subprocess
import sys

import pytest
from records import AP, metrics, record, write_report, write_run, write_unfinished

from dcmq.config import MethodConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.experiments import run_files, runs
from dcmq.experiments.run_cleaning import removable_runs, remove_run
from dcmq.experiments.run_comparison import described, differing, measured, metric_pairs, metric_table, paired_queries
from dcmq.experiments.run_list import (
    COLUMNS,
    find_run_folder,
    judged_metrics,
    list_runs,
    run_row,
    select_runs,
    sorted_runs,
)
from dcmq.retrieval.galleries import judged_gallery

KEYS = ["a1" + "0" * 14, "a2" + "0" * 14, "b3" + "0" * 14]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DCMQ_REPORTS", raising=False)
    return tmp_path


@pytest.fixture
def three(home):
    """Two runs of DCMQ and one of another method."""
    write_run(home, KEYS[0], finished="2026-01-02T00:00:00+00:00", seed=1)
    write_run(home, KEYS[1], finished="2026-01-03T00:00:00+00:00", target="raw", ap=AP | {"i2t": "0 0 0 400"})
    write_run(home, KEYS[2], method="DCMH", bits=32, dataset="coco", teacher="clip-wide")
    return home


def keys(rows):
    return [row.key for row in rows]


def test_folders_and_files_are_those_that_runs_write(home):
    assert runs.checkpoint_file(home).name == run_files.CHECKPOINT
    for config in (TrainConfig(seed=3, target="raw"), MethodConfig(method="DCH-SCR", seed=3)):
        folder = runs.run_folder(config, KEYS[0])
        folder.mkdir(parents=True)
        (folder / run_files.INPUTS).write_text("{}")
        row = run_row(folder)
        assert (row.label, row.bits, row.seed, row.key) == (config.label, 64, 3, KEYS[0])


def test_a_row_names_parts_that_are_not_the_packages(home):
    usual, own = TrainConfig().model_dump(), TrainConfig(loss="mine").model_dump()
    own["student"]["quantizer"] = "Harder"
    former = TrainConfig().model_dump()
    del former["student"]["quantizer"]  # a record of before there was a choice
    for i, config in enumerate((usual, own, former)):
        folder = write_run(home, KEYS[i])
        record = json.loads((folder / run_files.RECORD).read_text())
        (folder / run_files.RECORD).write_text(json.dumps(record | {"config": config}))
    assert {row.key: row.parts for row in list_runs()[0]} == {
        KEYS[0]: "",
        KEYS[1]: "loss=mine quantizer=Harder",
        KEYS[2]: "",
    }


def test_a_row_says_what_a_run_is_and_reaches(three):
    rows, problems = list_runs()
    assert keys(rows) == [KEYS[1], KEYS[0], KEYS[2]] and not problems  # the newest first
    row = rows[1]
    assert (row.method, row.target, row.label, row.bits, row.seed, row.epochs) == ("DCMQ", "npc", "npc", 64, 1, 2)
    assert (row.dataset, row.teacher, row.r, row.seconds) == ("scenes", "clip", 500, 1.5)
    assert (row.i2t, row.t2i, row.i2t_at_r, row.t2i_at_r) == (0.46875, 0.25, 0.46875, 0.25)
    assert (rows[2].method, rows[2].target, rows[2].label) == ("DCMH", None, "DCMH")
    assert json.loads(json.dumps(row.to_dict()))["folder"].endswith(f"npc-64bits-seed1-{KEYS[0]}")


def test_a_row_is_about_items_that_were_not_trained_on_where_there_are_any(three):
    folder = find_run_folder(KEYS[0])
    content = json.loads((folder / "record.json").read_text())
    content["evaluation"]["t2i"]["unseen"] = metrics("0 0 0 200")
    (folder / "record.json").write_text(json.dumps(content))
    row = run_row(folder)
    assert (row.i2t, row.t2i, row.t2i_at_r) == (0.46875, 0.05, 0.05)


@pytest.mark.parametrize("names", [("gallery",), ("gallery", "unseen", "continuous")])
def test_the_judged_gallery_is_that_of_verdicts(names):
    galleries = {name: {"of": name} for name in names}
    assert judged_metrics(galleries) == galleries[judged_gallery(galleries)]


def test_a_list_of_runs_is_not_slow_to_import():
    code = "import sys, dcmq.experiments.run_list, dcmq.experiments.run_comparison; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_rows_are_filtered_and_sorted_by_every_column(three):
    rows, _ = list_runs()
    assert keys(select_runs(rows, method="DCMQ", target="raw", bits=64, seed=None)) == [KEYS[1]]
    assert keys(select_runs(rows, dataset="coco")) == keys(select_runs(rows, teacher="clip-wide")) == [KEYS[2]]
    assert keys(select_runs(rows)) == keys(rows) and not select_runs(rows, seed=9)
    assert keys(sorted_runs(rows, "i2t")) == [KEYS[1], KEYS[0], KEYS[2]]
    assert keys(sorted_runs(rows, "target", reverse=True)) == [KEYS[1], KEYS[0], KEYS[2]]  # the one without comes last
    for column in COLUMNS:
        assert len(sorted_runs(rows, column)) == len(sorted_runs(rows, column, reverse=True)) == 3


def test_unfinished_runs_are_listed_with_their_epochs(three):
    write_unfinished(three, "c4", epochs=5)
    write_unfinished(three, "c5", epochs=0)
    rows, problems = list_runs()
    assert keys(rows)[:3] == [KEYS[1], KEYS[0], KEYS[2]] and sorted(keys(rows)[3:]) == ["c4", "c5"] and not problems
    row = next(row for row in rows if row.key == "c4")
    assert (row.label, row.bits, row.seed, row.epochs, row.finished, row.i2t) == ("raw", 16, 3, 5, None, None)
    assert set(keys(select_runs(rows, target="raw"))) == {KEYS[1], "c4", "c5"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "record.json cannot be read"),
        (b"[]", "was damaged or edited"),
        (b'{"key": "d1", "config": {}, "evaluation": {"R": 5}}', r"lacks 'i2t'"),
        (b'{"key": "d1", "config": [], "evaluation": 7}', "is no record of a run"),
        (b"\xff\xfe", "record.json cannot be read"),
    ],
)
def test_a_damaged_record_is_named_and_stops_nobody(three, content, message):
    broken = write_run(three, "d1")
    (broken / "record.json").write_bytes(content)
    (write_unfinished(three, "d2", epochs=1) / "checkpoint.safetensors").write_bytes(b"cut")
    rows, problems = list_runs()
    assert len(rows) == 3 and len(problems) == 2 and all("\n" not in problem for problem in problems)
    with pytest.raises(DcmqError, match=message):
        run_row(broken)


def test_other_folders_are_no_runs(three):
    for name, file in (("executed", "a.log"), (".removed-npc-64bits-seed0-a1", "record.json")):
        (three / "runs" / name).mkdir()
        (three / "runs" / name / file).write_text("")
    assert len(list_runs()[0]) == 3


def test_a_run_is_found_by_the_beginning_of_key_or_name(three):
    folder = find_run_folder("a1")
    assert folder.name == f"npc-64bits-seed1-{KEYS[0]}"
    assert folder == find_run_folder("npc-") == find_run_folder(str(folder)) == find_run_folder(KEYS[0])
    with pytest.raises(DcmqError, match=r"2 runs are called 'a': npc-.*raw-.*; name one by its key"):
        find_run_folder("a")
    for name in ("nobody", ""):
        with pytest.raises(DcmqError, match=rf"there is no run '{name}'; the newest are runs/"):
            find_run_folder(name)
    write_unfinished(three, "c4", epochs=1)
    with pytest.raises(DcmqError, match="raw-16bits-seed3-c4 is not finished: run its notebook again"):
        find_run_folder("c4")


def test_without_runs_the_way_to_one_is_named(home):
    assert list_runs() == ([], [])
    with pytest.raises(DcmqError, match="run a notebook first"):
        find_run_folder("a")


def test_what_decided_two_runs_differently():
    a, b = record("a"), record("b", target="raw", bits=32, teacher="clip-wide")
    assert differing(a, a) == {}
    assert {name: differing(a, b)[name] for name in ("target", "bits", "teacher.name")} == {
        "target": ("npc", "raw"),
        "bits": (64, 32),
        "teacher.name": ("clip", "clip-wide"),
    }
    other = record("c", method="DCMH", options={"gamma": 2.0})
    assert differing(a, other)["DCMH.gamma"] == (None, 2.0) and differing(a, other)["tau"] == (0.2, None)
    assert described(a)["data.choices.query"] == 4 and described(a)["versions.torch"] == "2.6"


def test_metrics_and_queries_side_by_side_by_hand():
    a, b = record("a"), record("b", ap={"i2t": "600 250 25 1000", "t2i": "0 0 0 0"})
    pairs = {(p.direction, p.gallery, p.metric): p for p in metric_pairs(a, b)}
    assert len(pairs) == 2 * 2 * 2
    assert pairs["t2i", "gallery", "mAP@all"].difference == -0.25
    assert pairs["t2i", "continuous", "mAP@all"].difference == 0
    queries = {(q.direction, q.metric): q for q in paired_queries(a, b)}
    row = queries["i2t", "mAP@all"]
    assert (row.mean_difference, row.better, row.worse, row.equal) == (0, 1, 1, 2)
    row = queries["t2i", "mAP@all"]
    assert (row.mean_difference, row.better, row.worse, row.equal) == (-0.25, 0, 4, 0)
    assert paired_queries(a, record("c", dataset="coco")) == []
    del b["evaluation"]["i2t"]["gallery"]["mAP@all"]
    assert next(p for p in metric_pairs(a, b) if p.metric == "mAP@all").difference is None


def test_queries_are_paired_on_the_judged_gallery():
    a, b = record("a"), record("b")
    for found, line in ((a, "100 200 300 400"), (b, "100 500 300 300")):
        for direction in ("i2t", "t2i"):
            found["evaluation"][direction]["unseen"] = metrics(line)
            del found["evaluation"][direction]["gallery"]["AP per query"]
    (row, *others) = [q for q in paired_queries(a, b) if q.metric == "mAP@all"]
    assert (row.direction, row.better, row.worse, row.equal) == ("i2t", 1, 1, 2) and row.mean_difference == 0.05
    assert [q.direction for q in others] == ["t2i"]


def test_what_is_measured_within_a_modality_is_shown_and_recalls_are_no_gallery():
    a, b = record("a"), record("b")
    for found, value in ((a, 0.25), (b, 0.5)):
        found["evaluation"]["i2i"] = {"unseen": {"mAP@all": value}}
        for direction in ("i2t", "t2i"):
            found["evaluation"][direction] |= {"unseen": {"mAP@all": value}, "own pair": {"1": 0.1, "5": 0.2}}
    cross = [(d, g) for d in ("i2t", "t2i") for g in ("gallery", "unseen", "continuous")]
    assert list(measured(a)) == [*cross, ("i2i", "unseen")]
    pairs = {(p.direction, p.gallery): p.difference for p in metric_pairs(a, b) if p.metric == "mAP@all"}
    assert pairs["i2i", "unseen"] == pairs["t2i", "unseen"] == 0.25 and pairs["i2t", "gallery"] == 0
    assert {q.direction for q in paired_queries(a, b)} == set()  # the judged gallery has no APs one by one


def test_every_number_of_a_record_is_in_its_table():
    table = metric_table(record("a"))
    assert list(table) == ["mAP@500 (hits)", "mAP@all", "precision@1", "precision@10", "queries"]
    assert table["precision@10"] == [0.234375, 0.5, 0.125, 0.5] and table["queries"] == [4, 2, 4, 2]


def test_what_no_report_refers_to_may_go(three):
    write_report(three, KEYS[0])
    unfinished = write_unfinished(three, "c4", epochs=1)
    assert {run.folder.name[:3] for run in removable_runs()} == {"raw", "DCM"}
    size = sum(file.stat().st_size for file in find_run_folder("a2").iterdir())
    assert [run.size for run in removable_runs(keep=["b3"])] == [size]
    assert not removable_runs(keep=["a2", "DCMH-"])
    assert [run.folder for run in removable_runs(keep=["a2", "b3"], unfinished=True)] == [unfinished]
    with pytest.raises(DcmqError, match="--keep: there is no run 'zz'"):
        removable_runs(keep=["zz"])


def test_a_report_that_cannot_be_read_removes_nothing(three):
    write_report(three, *KEYS).write_text("{")
    with pytest.raises(DcmqError, match="record.json cannot be read .*what it refers to is not known"):
        removable_runs()


def test_a_run_that_another_process_trains_stays(three):
    folder = find_run_folder("a1")
    code = "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); print('got', flush=True); input()"
    command = [sys.executable, "-c", code, str(folder / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "got\n"
        assert folder not in [run.folder for run in removable_runs()]
        assert not remove_run(folder) and (folder / "record.json").is_file()
        holder.communicate("\n")
    assert folder in [run.folder for run in removable_runs()]
    assert remove_run(folder) and not folder.exists() and not list((three / "runs").glob(".removed*"))
