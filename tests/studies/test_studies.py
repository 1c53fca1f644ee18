"""Every notebook's plan, its committed report, and fresh runs held against the records."""

import importlib
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from dcmq.experiments.parameters import defaults, validated
from dcmq.experiments.plan import Variant
from dcmq.experiments.runs import run
from dcmq.experiments.study import TrainingStudy
from dcmq.reporting import page as overview
from dcmq.reporting.paper.tables import published
from dcmq.reporting.results import curves_frame, paper_table, results_frame, select, table
from dcmq.reporting.verdicts import compare, seed_means
from dcmq.studies.ablation_npc import Parameters as Ablation

ROOT = Path(__file__).parents[2]
REPORTS = sorted(path.parent for path in (ROOT / "reports").glob("*/*/record.json") if path.parts[-3] != "choices")
names = pytest.mark.parametrize("name", overview.NOTEBOOKS)
reports = pytest.mark.parametrize("folder", REPORTS, ids=lambda path: f"{path.parent.name}/{path.name}")


def study(name, **changes):
    module = importlib.import_module(f"dcmq.studies.{name}")
    return validated(module.Parameters, defaults(ROOT / "notebooks" / f"{name}.ipynb") | changes)


@names
def test_every_notebook_is_one_study_with_its_name_item_and_claim(name):
    parameters = study(name)
    assert parameters.notebook == name
    assert parameters.title and parameters.item and parameters.claim.endswith(".")
    if not isinstance(parameters, TrainingStudy):
        return
    keys = [run.config.model_dump_json() + run.teacher + run.variant + str(run.tags) for run in parameters.plan()]
    assert len(set(keys)) == len(keys)


def test_there_is_a_notebook_for_every_place_in_the_reading_order_and_a_row_in_both_tables():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(overview.NOTEBOOKS)
    for page in (ROOT / "README.md", ROOT / "notebooks" / "README.md"):
        text = page.read_text()
        for number, name in enumerate(overview.NOTEBOOKS, 1):
            assert f"| {number} | " in text and f"{name}.ipynb)" in text


@names
def test_every_notebook_has_a_committed_report_with_a_figure(name):
    folders = [folder for folder in REPORTS if folder.parent.name == name]
    assert folders
    assert all((folder / "figure.png").is_file() and (folder / "table.md").is_file() for folder in folders)


@reports
def test_the_committed_values_are_those_of_the_committed_runs(folder):
    record = json.loads((folder / "record.json").read_text())
    values = folder / "values.csv"
    if not values.is_file():
        pytest.skip("no table of runs in this report")
    module = importlib.import_module(f"dcmq.studies.{record['notebook']}")
    plan = module.Parameters(**record["parameters"]).plan()
    # Records that are older than the other methods do not name theirs.
    configs = [{"method": "DCMQ"} | r["config"] for r in record["runs"]]
    names = [r["teacher"]["name"] for r in record["runs"]]
    keys = [(json.dumps(config, sort_keys=True), name) for config, name in zip(configs, names, strict=True)]
    runs = dict(zip(keys, record["runs"], strict=True))
    records = []
    for planned in plan:
        config = json.dumps(planned.config.model_dump(mode="json"), sort_keys=True)
        asked = re.sub("^precomputed:.*/", "precomputed:", planned.teacher)  # records name the file, not its folder
        (found,) = (r for (c, teacher), r in runs.items() if c == config and teacher == asked)
        records.append(found)
    frame = results_frame(plan, records)
    written = pd.read_csv(io.StringIO(frame.round(6).to_csv(index=False)))  # as text again: columns of mixed kind too
    pd.testing.assert_frame_equal(written, pd.read_csv(values), atol=2e-6)
    assert frame.value.between(0, 1).all()


@reports
def test_the_committed_page_shows_the_report(folder):
    page = (ROOT / "reports" / "README.md").read_text()
    assert f'<a id="{folder.parent.name}-{folder.name}">' in page
    assert (folder / "table.md").read_text() in page


@pytest.mark.slow
def test_a_fresh_run_agrees_with_the_committed_record(tmp_path, monkeypatch):
    """Another CPU rounds otherwise, so the numbers may move by a few seed deviations, not more."""
    monkeypatch.setenv("DCMQ_PUBLISHED", "")
    parameters = study("ablation_npc", seeds="0")
    folder = ROOT / "reports" / "ablation_npc" / study("ablation_npc").name
    committed = pd.read_csv(folder / "values.csv")
    monkeypatch.setattr("dcmq.experiments.runs.runs_dir", lambda: tmp_path)
    dataset, teacher = parameters.setup().load()
    plan = [planned for planned in parameters.plan() if planned.config.target in ("npc", "raw")]
    fresh = results_frame(plan, [run(planned.config, dataset, teacher, r=parameters.r) for planned in plan])
    both = fresh.merge(committed, on=[c for c in fresh if c != "value"], suffixes=("", "_committed"))
    assert len(both) == len(fresh)
    assert (both.value - both.value_committed).abs().max() < 0.1
    means = seed_means(fresh, "mAP@all")
    assert (means["teacher with NPC"] > means["teacher without NPC"]).all()


def record(value, **changes):
    metrics = {"mAP@500 (hits)": value, "mAP@all": value / 2, "precision@N": {"1": value}, "recall@N": {"1": 0.1}}
    return {"evaluation": {d: {"gallery": metrics, "continuous": metrics} for d in ("i2t", "t2i")}, **changes}


def made_up():
    parameters = study("ablation_npc", seeds="0,1")
    plan = [parameters.run(Variant(n), bits, seed) for n in "ab" for bits in (32, 64) for seed in (0, 1)]
    return plan, [record(0.1 * i) for i in range(len(plan))]


def test_tables_keep_the_order_of_the_plan_and_name_their_columns():
    frame = results_frame(*made_up())
    assert len(frame) == 8 * 2 * 2 * 2
    shown = table(select(frame, "mAP@R (hits)"), columns=["bits", "direction"])
    assert shown.index.tolist() == ["a", "b"]
    assert shown.columns.tolist() == ["32 bits i2t", "32 bits t2i", "64 bits i2t", "64 bits t2i"]
    assert shown.loc["a", "64 bits t2i"] == ".250 ± .071"
    named = table(select(frame, bits=32), r=500)
    assert named.columns.tolist() == ["mAP@500 (hits) i2t", "mAP@500 (hits) t2i", "mAP@all i2t", "mAP@all t2i"]


def test_comparisons_are_paired_by_seed():
    means = seed_means(results_frame(*made_up()), "mAP@R (hits)", bits=64)
    assert means.loc[0].tolist() == pytest.approx([0.2, 0.6]) and means.loc[1].tolist() == pytest.approx([0.3, 0.7])
    assert compare(means, "b", "a").word == "holds" and compare(means, "a", "b").word == "does not hold"


def test_curves_have_a_row_for_each_point():
    curves = curves_frame(*made_up())
    assert len(curves) == 8 * 2 * 2 and set(curves.curve) == {"precision@N", "recall@N"}


def test_the_papers_tables_are_found_under_our_names():
    assert paper_table(6, {"CLIP-RN50": "x"}).loc["x", "coco 8 bits i2t"] == "0.772"
    assert paper_table(7, {"DeiT": "DeiT"}, [64]).loc["DeiT", "coco i2t"] == "0.913"


def test_a_coco_study_uses_the_stated_lambda():
    assert study("ablation_npc", dataset="coco").config().student.gumbel_weight == 0.5
    assert isinstance(study("ablation_npc"), Ablation)


@names
def test_the_papers_tables_are_whole(name):
    module = importlib.import_module(f"dcmq.studies.{name}")
    if not hasattr(module, "paper"):
        pytest.skip("the paper prints no numbers here")
    numbers = module.paper([64]) if name == "backbones" else module.paper()
    item = module.Parameters.item
    rows = published(int("".join(c for c in item.split(",")[0] if c.isdigit())))
    expected = rows.quantity.nunique() if "quantity" in rows else rows.variant.nunique()
    assert len(numbers) == expected and (numbers != "nan").all(axis=None)
