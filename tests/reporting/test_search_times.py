"""Search times, read from the record of the search benchmark."""

import json

import matplotlib.pyplot as plt
import pandas as pd

from dcmq.reporting import search_times

SEARCH = {
    "result": {
        "cases": [
            {"items": n, "bits": bits, "seconds per query": {"DCMQ": [0.0003, 0.0001, 0.0002], "Hamming": [0.0005]}}
            for n, bits in ((1_000_000, 64), (1_000_000, 32), (10_000_000, 64))
        ]
    }
}


def test_search_times_are_read_from_the_benchmarks_record(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path / "mine"))
    monkeypatch.setenv("DCMQ_PUBLISHED", str(tmp_path / "published"))
    assert search_times.benchmark_record() is None
    assert "make benchmarks" in search_times.table(None).to_string()
    for name in ("published", "mine"):  # one's own come first
        (tmp_path / name / "benchmarks").mkdir(parents=True)
        (tmp_path / name / "benchmarks" / "search.json").write_text(json.dumps(SEARCH | {"from": name}))
        assert search_times.benchmark_record()["from"] == name
    table = search_times.table(SEARCH)
    assert table.columns.tolist() == ["32 bits", "64 bits"]
    assert table.loc["DCMQ's codes, exact"].tolist() == ["0.2", "0.2"]  # medians, in milliseconds
    assert table.loc["DCMQ's codes by plain faiss PQ"].tolist() == ["", ""]


def test_the_figure_has_quality_against_time_where_that_was_measured():
    rows = [
        dict(variant=v, seed=s, bits=b, direction=d, gallery=g, metric="mAP@all", value=0.5)
        for v in ("A",) for s in (0, 1) for b in (32, 64) for d in ("i2t", "t2i") for g in ("gallery", "continuous")
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    _, axis = plt.subplots()
    search_times.draw(axis, SEARCH, frame, frame, "mAP@all")
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["DCMQ's codes", "A's codes"]  # embeddings were not timed
    plt.close()
