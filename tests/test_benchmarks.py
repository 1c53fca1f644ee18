"""Benchmarks at very small sizes: structure, equal numbers on both sides, and the page. No time is judged."""

import json

import numpy as np
import pytest
import torch

from benchmarks import BENCHMARKS, benchmark, evaluation, peers, workloads
from benchmarks.__main__ import main
from benchmarks.page import page
from benchmarks.timing import in_turn, speed
from dcmq.codes.score import scores
from dcmq.core.errors import DcmqError
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.retrieval.metrics import evaluate_ranking


def test_contenders_take_turns_and_the_warm_up_is_not_counted():
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = in_turn(contenders, repeats=2, warm_up=1)
    assert calls == list("ababab")
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_the_ratio_is_of_medians_and_the_goal_is_the_least():
    row = speed("x", [0.5, 1.0, 9.0], [0.002, 2.5, 3.0], 2.0)
    assert (row.ours, row.peer, row.ratio, row.goal, row.reached) == (
        "1 s (0.5 to 9)", "2.5 s (0.002 to 3)", "2.50", "≥ 2", True,
    )  # fmt: skip
    assert speed("x", [2.0], [1.0], 2.0).reached is False
    assert speed("x", [2.0], [1.0]).reached is None


@pytest.mark.parametrize("measures", [peers.with_numpy, peers.with_a_loop])
@pytest.mark.parametrize("ties", [False, True])
def test_peers_and_metrics_give_the_same_numbers(measures, ties):
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(40, 700, generator=generator)
    score = score.round() if ties else score
    queries, gallery = (torch.rand(n, 30, generator=generator) < 0.03 for n in (40, 700))
    assert not queries.any(1).all()  # some without a relevant item
    ours = evaluate_ranking(lambda rows: score[rows], queries, gallery, r=50)
    ordered = peers.in_tie_order(score.T).T
    theirs = peers.per_query(lambda rows: ordered[rows], queries, peers.in_tie_order(gallery), measures, 50)
    assert peers.largest_difference(ours, theirs) < 1e-9


def test_scores_by_numpy_are_those_of_the_package():
    generator = torch.Generator().manual_seed(0)
    tables, codes = torch.randn(3, 5, 4, generator=generator), torch.randint(0, 4, (70, 5), generator=generator)
    torch.testing.assert_close(peers.scores(tables, codes), scores(tables, codes))


def test_numbers_that_differ_are_not_reported(monkeypatch):
    monkeypatch.setattr(peers, "with_numpy", lambda score, hit, r: [0.5] * (3 + 2 * len(peers.cutoffs(len(hit))) + 11))
    with pytest.raises(DcmqError, match="differ"):
        evaluation.measure(quick=True)


def test_held_inputs_train_to_the_same_losses_as_the_pipeline(tmp_path):
    workload = workloads.Workload(
        "x", workloads.StudentConfig(bits=16, image_encoder="small_resnet", image_size=16, text_hidden=(8, 8)),
        rows=24, batch=8, noise=True, vocab_size=20,
    )  # fmt: skip
    data = workload.data(tmp_path)
    plain, held = (Trainer(workload.config(), *data, tmp_path / "c", "") for _ in range(2))
    workloads.hold_in_memory(held)
    assert plain.epoch(0) == held.epoch(0)
    bare = workloads.BareTraining(held)
    losses = [bare.epoch() for _ in range(8)]
    assert losses[-1] < losses[0]  # the peer learns
    assert held.images[next(iter(workloads.first_epoch(held))).numpy()].shape == (8, 16, 16, 3)


@pytest.mark.slow
def test_quick_runs_write_json_figures_and_a_page(tmp_path, capsys):
    main(["evaluation", "training", "--quick", "--out", str(tmp_path)])
    assert "| evaluation: ours and numpy |" in capsys.readouterr().out
    records = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("evaluation", "training")}
    for name, record in records.items():
        assert record["quick"] and record["machine"]["cpu"] and record["machine"]["versions"]["torch"]
        assert benchmark(name).comparisons(record["result"])
    result = records["evaluation"]["result"]
    assert max(result["largest difference"].values()) < 1e-9
    assert all(len(times) == result["sizes"]["repeats"] for times in result["seconds"].values())
    for name, seconds in result["seconds on scores"].items():
        assert all(0 < part < whole for part, whole in zip(seconds, result["seconds"][name], strict=True))
    epochs = records["training"]["result"]["epochs"]
    assert set(epochs) == {"demo", "resnet18"} and all(set(e) == {"DCMQ", "in memory", "bare"} for e in epochs.values())
    text = (tmp_path / "README.md").read_text()
    for part in ("evaluation-time.png", "training-epoch.png", "training-precision.png"):
        assert (tmp_path / part).stat().st_size and f"({part})" in text
    assert "python -m benchmarks training" in text and "figures say nothing" in text
    (tmp_path / "training.json").unlink()
    assert "## Training" not in page(tmp_path) and "## Evaluation" in page(tmp_path)


@pytest.mark.slow
def test_quick_runs_of_search_and_growth_rank_exactly(tmp_path):
    pytest.importorskip("faiss", reason="faiss is not installed: pip install 'dcmq[faiss]'")
    main(["search", "growth", "--quick", "--out", str(tmp_path)])
    (case,) = json.loads((tmp_path / "search.json").read_text())["result"]["cases"]
    assert case["recall@100"] == case["same order"] == 1
    assert set(case["seconds per query"]) == {"DCMQ", "Hamming", "fast scan alone", "plain PQ", "float"}
    assert all(len(times) == 300 for times in case["one query"].values())
    lists = json.loads((tmp_path / "search.json").read_text())["result"]["lists"]
    assert all(0 < row["recall@100"] <= 1 and row["nprobe"] <= 16 for kind in lists.values() for row in kind["rows"])
    text = (tmp_path / "README.md").read_text()
    assert "recall@100" in text and "search-time.png" in text and "growth-time.png" in text
    assert "one query, DCMQ and fast scan alone" in text and "items in loose clusters" in text


@pytest.mark.slow
def test_a_quick_run_asks_other_libraries(tmp_path):
    for package in ("faiss", "usearch"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    main(["libraries", "--quick", "--out", str(tmp_path)])
    for case in json.loads((tmp_path / "libraries.json").read_text())["result"]["cases"]:
        assert case["bytes per item"]["DCMQ, 64 bits"] == 8 and case["bytes per item"]["USearch i8"] > 256
        assert case["found"]["USearch i8"] > 0.8 and all(0 < share <= 1 for share in case["found"].values())


def test_rescoring_ranks_candidates_by_floats_and_signs():
    libraries = pytest.importorskip("benchmarks.libraries", reason="needs faiss and usearch")
    draw = np.random.default_rng(0)
    signs, queries = draw.integers(0, 256, (9, 32), dtype=np.uint8), draw.normal(size=(2, 256)).astype(np.float32)

    class Binary:
        def search(self, bits, k):
            return None, np.tile(np.arange(9), (2, 1))

    values = np.array([[1.0 if row[d // 8] >> (7 - d % 8) & 1 else -1.0 for d in range(256)] for row in signs])
    wanted = [sorted(range(9), key=lambda item, q=q: -sum(values[item] * q)) for q in queries]
    assert libraries._rescored(Binary(), signs, queries, None).tolist() == wanted


@pytest.mark.slow
def test_a_quick_run_compares_with_an_earlier_revision(tmp_path, monkeypatch):
    pytest.importorskip("faiss", reason="faiss is not installed: pip install 'dcmq[faiss]'")
    versions = benchmark("versions")
    monkeypatch.setenv("DCMQ_BEFORE", "no-such-revision")
    with pytest.raises(DcmqError, match="revision no-such-revision is not in this checkout's history"):
        versions.measure(quick=True)
    monkeypatch.setenv("DCMQ_BEFORE", "HEAD")
    try:
        main(["versions", "--quick", "--out", str(tmp_path)])
    except DcmqError as error:
        pytest.skip(f"no checkout: {error}")
    seconds = json.loads((tmp_path / "versions.json").read_text())["result"]["seconds"]
    assert seconds["before"].keys() == seconds["now"].keys() and "dcmq --help" in seconds["now"]
    assert "dcmq search query now, and import torch alone" in (tmp_path / "README.md").read_text()


@pytest.mark.slow
def test_a_quick_run_asks_databases(tmp_path):
    for package in ("duckdb", "lance"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    main(["databases", "--quick", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "databases.json").read_text())["result"]
    assert {who: len(times) for who, times in result["seconds"].items()} == {
        "dcmq": 3, "Lance": 3, "DuckDB, file": 3, "DuckDB, table": 3,
    }  # fmt: skip
    assert 8 < result["bytes per item"]["parquet"] < result["bytes per item"]["Lance"]
    assert "Lance: a query among 2,000" in (tmp_path / "README.md").read_text()
    databases = benchmark("databases")
    scores = np.ones(3)
    with pytest.raises(DcmqError, match="scores of Lance differ"):
        databases._check({"dcmq": (scores, scores), "Lance": (scores, scores + 0.1)})


def test_an_exponent_is_the_slope_of_logarithms():
    growth = benchmark("growth")
    assert growth.exponent([10, 100, 1000], [3 * n**1.5 for n in (10, 100, 1000)]) == pytest.approx(1.5)


def test_without_a_gpu_the_table_says_so(monkeypatch):
    gpu = benchmark("gpu")
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    rows = gpu.comparisons(gpu.measure(quick=True))
    assert len(rows) == 5 and all(row.ours == "not measured: no GPU here" for row in rows)
    result = {"gpu": "G", "with": {name: [1.0] for name in gpu._WORK}, "without": {name: [3.0] for name in gpu._WORK}}
    assert [row.ratio for row in gpu.comparisons(result)] == ["3.00"] * 5


def test_without_a_browser_the_table_says_so(monkeypatch):
    slider = benchmark("slider")
    monkeypatch.setattr(slider, "missing", lambda: "no chromium")
    result = slider.measure(quick=True)
    assert [row.ours for row in slider.comparisons(result)] == ["not measured: no chromium"] * 2
    assert slider.figures(result) == {}


def test_a_slider_reaches_its_goal_by_its_median():
    seconds = {"explorer": [0.1, 0.12, 0.9], "matplotlib": [0.3, 0.36, 0.4]}
    result = {"missing": "", "sizes": {"batch": 1000}, "seconds": {"tau": seconds}}
    (row,) = benchmark("slider").comparisons(result)
    assert (row.ours, row.ratio, row.goal, row.reached) == ("120 ms (100 to 900)", "3.00", "< 150 ms", True)
    seconds["explorer"][1] = 0.16
    assert benchmark("slider").comparisons(result)[0].reached is False


@pytest.mark.slow
def test_a_quick_run_moves_sliders_in_a_browser(tmp_path):
    slider = benchmark("slider")
    if reason := slider.missing():
        pytest.skip(reason)
    main(["slider", "--quick", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "slider.json").read_text())["result"]
    for seconds in result["seconds"].values():
        assert all(len(times) == result["sizes"]["moves"] and min(times) > 0 for times in seconds.values())
    assert "slider-time.png" in (tmp_path / "README.md").read_text()


@pytest.mark.slow
def test_a_quick_run_compares_a_student_without_torch(tmp_path):
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    main(["onnx", "--quick", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "onnx.json").read_text())["result"]
    batches = [batch for modalities in result["seconds"].values() for batch in modalities.values()]
    for times in (times for batch in batches for times in batch.values()):
        assert set(times) == {"torch", "float32", "int8"} and all(min(seconds) > 0 for seconds in times.values())
    measured = result["demo"]
    assert set(measured["torch"]["codes that differ"].values()) == {0}
    assert all(count <= 5 for count in measured["float32"]["codes that differ"].values())  # both sides give the same
    for kind, most in (("float32", 1e-3), ("int8", 0.05)):
        for direction, value in measured[kind]["mAP@all"].items():
            assert value == pytest.approx(measured["torch"]["mAP@all"][direction], abs=most)


def test_the_server_reaches_its_goal_against_the_command():
    seconds = {"server": [0.01, 0.02, 0.03], "command": [3.0, 4.0, 9.0], "in the process": [0.01, 0.01, 0.01]}
    by_command, by_function = benchmark("server").comparisons({"sizes": {"items": 5000}, "seconds": seconds})
    assert (by_command.ratio, by_command.goal, by_command.reached) == ("200.0", "≥ 50", True)
    assert (by_function.ratio, by_function.reached) == ("0.500", None)


@pytest.mark.slow
def test_a_quick_run_asks_a_server_and_the_command(tmp_path):
    pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'dcmq[serve]'")
    main(["server", "--quick", "--out", str(tmp_path)])
    result = json.loads((tmp_path / "server.json").read_text())["result"]
    assert {name: len(times) for name, times in result["seconds"].items()} == {
        "command": 2,
        "server": 10,
        "in the process": 10,
    }
    assert "server-time.png" in (tmp_path / "README.md").read_text()


def test_without_a_compiler_the_table_says_so(monkeypatch):
    from benchmarks import training

    monkeypatch.setattr(training.shutil, "which", lambda name: None)
    assert training._compilation(training.FULL.workloads[0], "inductor", 1) is None
    rows = training.comparisons({"epochs": {}, "precision": {}, "compilation": {"demo": None}})
    assert [row.ours for row in rows] == ["not measured: no C++ compiler"]


def test_quick_writes_nothing_unless_told(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path))
    result = {"epochs": {}, "precision": {}, "compilation": {"demo": None}}
    monkeypatch.setattr("benchmarks.training.measure", lambda quick: result)
    main(["training", "--quick"])
    assert not (tmp_path / "benchmarks").exists()


def test_an_unknown_name_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr("benchmarks.evaluation.measure", lambda quick: pytest.fail("ran"))
    with pytest.raises(DcmqError, match="no benchmark 'evalution'"):
        main(["evaluation", "evalution"])


def test_the_synthetic_labels_are_about_as_dense_as_those_of_coco():
    direction = evaluation.Direction(evaluation.Sizes(queries=10, gallery=5000), 0)
    assert direction.labels.float().sum(1).mean() == pytest.approx(2.9, abs=0.1)
    assert direction.labels.float().mean(0).max() == pytest.approx(0.58, abs=0.03)
    assert len(np.unique(direction.codes.numpy(), axis=0)) < 5000  # some codes occur twice


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_all_parts(name):
    module = benchmark(name)
    assert module.TITLE and module.ABOUT
    assert all(callable(getattr(module, part)) for part in ("measure", "comparisons", "figures"))
