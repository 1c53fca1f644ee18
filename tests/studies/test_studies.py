"""Every notebook's plan, its committed report, and fresh runs held against the records."""

import importlib
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from arithmetic import differs_from
from made_up_runs import records_of
from notebook_parameters import NOTEBOOKS, parameters

from dcmq.core.errors import DcmqError
from dcmq.experiments.runs import run
from dcmq.experiments.study import TrainingStudy, register_study
from dcmq.reporting.paper.tables import published
from dcmq.reporting.results import results_frame, seed_means, statistics_frame, written
from dcmq.studies import ablation_npc
from dcmq.studies.registry import STUDIES, reading_order

ROOT = Path(__file__).parents[2]
STUDY_FILES = ROOT / "dcmq" / "studies"
REPORTS = sorted(path.parent for path in (ROOT / "reports").glob("*/*/record.json") if path.parts[-3] != "choices")
names = pytest.mark.parametrize("name", reading_order())
reports = pytest.mark.parametrize("folder", REPORTS, ids=lambda path: f"{path.parent.name}/{path.name}")


@names
def test_every_study_has_a_title_an_item_and_a_claim_and_plans_each_run_once(name):
    study = parameters(name)
    assert study.title and study.item and study.claim.endswith(".")
    if not isinstance(study, TrainingStudy):
        return
    keys = [run.config.model_dump_json() + run.teacher + run.variant + str(run.tags) for run in study.plan()]
    assert len(set(keys)) == len(keys)


def test_there_is_one_study_for_each_notebook_and_one_module_for_each_study():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(reading_order()) == set(STUDIES)
    modules = {name: study.__module__ for name, study in STUDIES.items()}
    assert modules == {name: f"dcmq.studies.{name}" for name in reading_order()}
    assert {path.stem for path in STUDY_FILES.glob("*.py")} - set(STUDIES) == {"__init__", "registry"}


def test_a_study_of_ones_own_comes_last_and_takes_no_name_of_the_packages(monkeypatch):
    monkeypatch.setattr(STUDIES, "_entries", dict(STUDIES))
    before = reading_order()
    own = type("Own", (ablation_npc.Parameters,), {"notebook": "my_idea", "__module__": "my_notebook"})
    assert register_study(own) is STUDIES["my_idea"]
    assert reading_order() == (*before, "my_idea")
    own.notebook = "ablation_npc"
    with pytest.raises(DcmqError, match="study: 'ablation_npc' is the package's own"):
        register_study(own)


@names
def test_every_notebook_has_a_committed_report_with_a_figure(name):
    folders = [folder for folder in REPORTS if folder.parent.name == name]
    assert folders
    assert all((folder / "figure.png").is_file() and (folder / "table.md").is_file() for folder in folders)


def file_of(teacher):
    """The teacher's name as records have it: of a file its name, without its folder."""
    kind, colon, path = teacher.partition(":")
    return kind + colon + Path(path).name


@reports
def test_the_committed_values_are_those_of_the_committed_runs(folder):
    record = json.loads((folder / "record.json").read_text())
    values = folder / "values.csv"
    if not values.is_file():
        pytest.skip("no table of runs in this report")
    runs = {(json.dumps(run["config"], sort_keys=True), run["teacher"]["name"]): run for run in record["runs"]}
    plan = STUDIES[record["notebook"]](**record["parameters"]).plan()
    keys = [(json.dumps(p.config.model_dump(mode="json"), sort_keys=True), file_of(p.teacher)) for p in plan]
    frame = results_frame(plan, [runs[key] for key in keys])
    as_text = pd.read_csv(io.StringIO(written(frame).to_csv(index=False)))  # as text again: columns of mixed kind too
    pd.testing.assert_frame_equal(as_text, pd.read_csv(values), atol=2e-6)
    assert frame.value.between(0, 1).all()


@reports
def test_the_committed_page_shows_the_report(folder):
    page = (ROOT / "reports" / "README.md").read_text()
    assert f'<a id="{folder.parent.name}-{folder.name}">' in page
    assert (folder / "table.md").read_text() in page


@pytest.mark.slow
def test_a_fresh_run_agrees_with_the_committed_record(tmp_path, monkeypatch):
    """Another CPU rounds otherwise, so the numbers may move by a few seed deviations, not more."""
    record = json.loads((ROOT / "reports/ablation_npc" / parameters("ablation_npc").name / "record.json").read_text())
    if not differs_from(record["runs"][0]):
        pytest.skip("tests/experiments/test_repeated_runs.py repeats runs to the bit on this machine")
    monkeypatch.setenv("DCMQ_PUBLISHED", "")
    study = parameters("ablation_npc", seeds="0")
    folder = ROOT / "reports" / "ablation_npc" / parameters("ablation_npc").name
    committed = pd.read_csv(folder / "values.csv")
    monkeypatch.setattr("dcmq.experiments.runs.runs_dir", lambda: tmp_path)
    dataset, teacher = study.setup().load()
    plan = [planned for planned in study.plan() if planned.config.target in ("npc", "raw")]
    fresh = written(results_frame(plan, [run(planned.config, dataset, teacher, r=study.r) for planned in plan]))
    both = fresh.merge(committed, on=[c for c in fresh if c != "value"], suffixes=("", "_committed"))
    assert len(both) == len(fresh)
    assert (both.value - both.value_committed).abs().max() < 0.1
    means = seed_means(fresh, "mAP@all")
    assert (means["teacher with NPC"] > means["teacher without NPC"]).all()


def test_a_coco_study_uses_the_stated_lambda():
    assert parameters("ablation_npc", dataset="coco").config().student.gumbel_weight == 0.5
    assert parameters("ablation_npc").config().student.gumbel_weight == 1


JUDGED = {  # further arguments of a study's verdicts
    "codewords": lambda plan, records: [statistics_frame(plan, records)],
    "main_results": lambda plan, records: [64],
    "teachers": lambda plan, records: [{run.teacher: {d: {"mAP@all": 0.5} for d in ("i2t", "t2i")} for run in plan}],
}


@pytest.mark.parametrize("seeds", ["0", "0,1,2"])
@pytest.mark.parametrize("unseen", [True, False])
@names
def test_every_study_that_trains_judges_its_claims_by_direction_and_metric(name, unseen, seeds):
    study, module = parameters(name), importlib.import_module(f"dcmq.studies.{name}")
    if not isinstance(study, TrainingStudy) or name in ("quickstart", "qualitative", "explorer", "cost", "no_match"):
        pytest.skip("its verdicts are on other numbers")
    some_rows = {"tower_seeds": seeds} if hasattr(study, "tower_seeds") else {}  # rows with seeds of their own
    plan = parameters(name, seeds=seeds, **some_rows).plan()
    records = records_of(plan, unseen=unseen)
    more = JUDGED.get(name, lambda plan, records: [])(plan, records)
    verdicts = module.verdicts(results_frame(plan, records), *more, floor=0.1)
    parts = [part for verdict in verdicts for part in verdict.parts]
    assert {part.metric for part in parts} >= {"mAP@R (hits)", "mAP@all"}
    assert {part.direction for part in parts} >= {"i2t", "t2i"}
    units = {part.difference.units for part in parts if part.direction}
    assert units <= (
        {"3 draws of the data", "3 seeds"}
        if len(seeds) > 1
        else {"60 queries of these two trained students alone", "one seed"}
    )
    assert {part.word for part in parts} <= (
        {"holds", "does not hold", "a tie", "undecided"} if len(seeds) > 1 else {"one seed cannot tell"}
    )
    assert not any("nan" in str(verdict) for verdict in verdicts)
    assert json.dumps([verdict.record() for verdict in verdicts], allow_nan=False)
    too_high = module.verdicts(results_frame(plan, records), *more, floor=0.99)
    judged = [v.word for v in too_high if v.parts and v.parts[0].direction and "not quantized" not in v.claim]
    assert not judged


@names
def test_the_papers_tables_are_whole(name):
    module = importlib.import_module(f"dcmq.studies.{name}")
    if not hasattr(module, "paper"):
        pytest.skip("the paper prints no numbers here")
    numbers = module.paper()
    rows = published(int("".join(c for c in STUDIES[name].item.split(",")[0] if c.isdigit())))
    expected = rows.quantity.nunique() if "quantity" in rows else rows.variant.nunique()
    assert len(numbers) == expected and (numbers != "nan").all(axis=None)
