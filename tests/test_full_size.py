"""The benchmarks at full size, at very small ones: layouts with the published counts, steps that go on, and what is made of records."""

import json

import numpy as np
import pytest

from benchmarks import costs, full_size, layouts
from benchmarks.__main__ import main
from dcmq.data.catalog import ReadOptions
from dcmq.data.datasets import read_source

SHARE = 0.001


@pytest.mark.parametrize(("total", "columns"), [(30, 4), (95, 4), (30, 500)])
def test_ones_are_as_many_as_asked_in_the_rows_asked(total, columns):
    rows = np.arange(3, 33)
    matrix = layouts.ones(50, rows, total, columns, np.random.default_rng(0))
    assert matrix.shape == (50, columns) and matrix.dtype == bool
    assert np.array_equal(np.flatnonzero(matrix.any(1)), rows)
    assert matrix.sum() == total


@pytest.mark.parametrize(
    ("layout", "name", "population"),
    [("mirflickr", "mirflickr", "20015"), ("coco", "coco", ""), ("nuswide", "nuswide", "tc21")],
)
def test_layouts_have_the_published_counts(tmp_path, layout, name, population):
    layouts.LAYOUTS[layout](tmp_path, layouts.Photos(3), SHARE)
    source = read_source(f"{name}:{population}" if population else name, tmp_path, ReadOptions())
    expected = layouts.published(name, population, SHARE)
    assert {count: source.counts[count] for count in expected} == expected
    assert all(file.is_file() for file in source.files)
    assert len({file.read_bytes() for file in source.files}) == len(source.files)  # as copies would be left out


def test_the_share_of_one_is_the_published_population():
    counts = layouts.published("coco", "")
    assert (counts["images"], counts["classes"], counts["kept"]) == (123_287, 80, 122_218)
    assert layouts.published("nuswide", "tc21", 0.001)["vocabulary"] == 1000


def result(seconds=100.0, memory=1e9):
    steps = {step: {"seconds": seconds, "memory": memory, "disk": 0} for step in full_size.STEPS}
    inside = {"load": 0.5, "embed": 50.0, "paper_steps": 45.0, "epoch": 9.0, "evaluation": 60.0}
    for step, value in inside.items():
        told = {"paper_steps": "79 20 128 0.05", "load": "500 samples, 100 to train on"}.get(step, "")
        steps[step] |= {"inside": value, "told": told}
    return {"layout": {"images": 1000, "seconds": 0.5, "disk": 4e6}, "pillow": {"seconds": 180.0}} | steps


def test_rows_compare_with_pillow_and_with_the_goals():
    prepare = "prepare and Pillow alone, 500 images"  # half of those that Pillow was timed with
    rows = {row.what: row for row in full_size.comparisons(result())}
    assert rows[prepare].ratio == "1.11" and rows[prepare].reached
    assert rows["the generator of 1,000 files"].ours.startswith("2,000 files/s")
    assert rows["load"].reached and rows["load"].goal == "≤ 1 s, ≤ 2 GB"
    assert rows["an epoch of the paper's profile, counted"].ours == "20 min: 79 steps of 128 x 15.0 s"
    slow = {row.what: row for row in full_size.comparisons(result(120.0, 3e9))}
    assert not slow[prepare].reached and not slow["load"].reached and not slow["epoch, demo's student"].reached


def test_an_interrupted_measurement_goes_on_after_its_last_step(tmp_path):
    measurement = full_size._Measurement(full_size.FullSize("coco", "coco"), tmp_path, 1.0)
    measurement._once("pillow", lambda: {"seconds": 1.0})
    again = full_size._Measurement(full_size.FullSize("coco", "coco"), tmp_path, 1.0)
    again._once("pillow", lambda: pytest.fail("measured twice"))
    assert again.found == {"pillow": {"seconds": 1.0}}


def test_costs_are_what_the_records_say_times_how_often(tmp_path):
    macs = {"teacher, an image": 4e9, "student, an image": 2e9, "student, a pair": 2e9}
    records = {
        "costs": {"seconds": {"photo": [0.01], "teacher": [0.1]}, "MACs": macs},
        "gpu": {"gpu": "G", "with": {"paper epoch": [2.0]}},
        "full_size_coco": result(),
    }
    for name, found in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"machine": {"cores": 2}, "result": found}))
    table = costs.table(tmp_path)
    on_cpu, on_gpu = table.loc["MS COCO, CPU, 2 cores"], table.loc["MS COCO, G"]
    assert on_cpu["decode, once"] == on_gpu["decode, once"] == "20 min"  # 122,218 of 10 ms
    assert on_cpu["teacher, once"] == "3.4 h" and on_cpu["train a run"] == "6.6 h"  # 20 x 79 steps of 15 s
    assert on_cpu["evaluate a run"] == "1.7 h"  # 122,218 of 50 ms, and a minute
    assert on_gpu["train a run"] == "3.3 min"  # 20 x 10,000 pairs of 1 ms
    assert on_gpu["teacher, once"] == "81 s"  # 4e9 MACs each at 6e12 a second
    assert on_gpu["evaluate a run"] == "1.7 min"  # 41 s to encode, and the same minute
    assert on_cpu["images on disk"] == "42.4 GB"  # at 256 and at 224 pixels
    assert costs._duration(30 * 3600 * 1.2) == "1.5 days"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full_size_mirflickr", "full_size_coco", "full_size_nuswide"])
def test_a_quick_run_goes_from_a_layout_to_a_search(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DCMQ_FULL_SIZE", str(tmp_path / "data"))
    main([name, "--quick", "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / f"{name}.json").read_text())["result"]
    assert set(full_size.STEPS) < set(found) and found["prepare begun again"]["images"]
    assert all(found[step]["memory"] > 1e8 for step in full_size.STEPS)
    assert "prepare and Pillow alone" in (tmp_path / "out" / "README.md").read_text()
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.slow
def test_a_quick_run_measures_a_photo_and_the_teacher(tmp_path):
    main(["costs", "--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "costs.json").read_text())["result"]
    assert 150_000 < found["bytes"] < 180_000  # as a photo of MS COCO, on average
    assert 4e9 < found["MACs"]["teacher, an image"] < 4.5e9 and 1.7e9 < found["MACs"]["student, an image"] < 1.9e9
