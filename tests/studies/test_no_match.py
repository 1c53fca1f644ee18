"""The study of thresholds and of stable codes: its tables and claims on made-up results, and the codes of a small student."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from records import record
from tiny import STUDENT, tiny_dataset

from dcmq.experiments.parameters import defaults, validated
from dcmq.methods.dcmq.student import Student
from dcmq.retrieval.thresholds import auroc_of_no_match
from dcmq.studies import no_match as study

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "no_match.ipynb"
PAIRS, EXISTS = study.MEASURES.values()
LEVELS = {PAIRS: 0.5, EXISTS: 0.6}


def parameters(**changes):
    return validated(study.Parameters, defaults(NOTEBOOK) | changes)


def made_up(value, threshold=True, **changes):
    """A plan with records that have ``value`` (variant, seed) as AUROC of pairs, and .1 more for a match exists."""
    plan, records = parameters(**changes).plan(), []
    for run in plan:
        found = record(str(len(records)), seed=run.config.seed)
        found["dataset"]["fingerprint"] = f"draw {run.config.seed}"
        score = value(run.variant, run.config.seed)
        pairs = {"AUROC": score, "no match": score + 0.1, "queries": 4}
        if threshold:
            pairs["threshold"] = {"aimed at": 0.8, "value": 1.0, "precision on the cut": 0.8}
            pairs["threshold"] |= {"precision": 0.7, "recall": 0.1, "queries with a match": 0.5}
        for direction in ("i2t", "t2i"):
            found["evaluation"][direction]["unseen"] = {"pairs": pairs}
        records.append(found)
    return plan, records


def test_verdicts_hold_each_row_and_random_scores_against_dcmq():
    plan, records = made_up(lambda name, seed: (0.7 if name == "DCMQ" else 0.6) + 0.002 * (seed % 2), seeds="0,1,2,3")
    pairs = study.pairs_frame(plan, records)
    found = {verdict.claim: verdict for verdict in study.verdicts(pairs, LEVELS)}
    assert len(found) == 6 and f"DCMQ > {study.RANDOM}" in found
    for verdict in found.values():
        assert {(part.direction, part.metric) for part in verdict.parts} == {
            (d, m) for d in ("i2t", "t2i") for m in (PAIRS, EXISTS)
        }
    blind = found[f"DCMQ > {study.RANDOM}"]
    assert blind.word == "holds"
    assert {part.metric: round(part.difference.mean, 3) for part in blind.parts} == {PAIRS: 0.201, EXISTS: 0.201}
    assert study.verdicts(pairs[pairs.variant != "DCMQ"], LEVELS) == []


def test_tables_have_a_column_per_measure_and_direction_also_without_a_cut():
    plan, records = made_up(lambda *_: 0.75, seeds="0,1")
    pairs = study.pairs_frame(plan, records)
    cells = study.measures_table(pairs, study.MEASURES.values())
    assert cells.loc["DCMQ", f"{EXISTS} t2i"] == ".850 ± .000"
    reached = study.measures_table(pairs, study.REACHED.values())
    assert list(reached) == [f"{name} {d}" for name in study.REACHED.values() for d in ("i2t", "t2i")]
    assert study.precision_aimed_at(records) == 0.8
    plan, records = made_up(lambda *_: 0.75, threshold=False, seeds="0,1")
    without = study.pairs_frame(plan, records)
    assert study.measures_table(without, study.REACHED.values()).empty and study.precision_aimed_at(records) is None
    for frame, aimed, panels in ((pairs, 0.8, 3), (without, None, 2)):
        figure = study.figure(frame, LEVELS, aimed)
        assert len(figure.axes) == panels
        plt.close(figure)


def test_random_levels_are_what_random_scores_have():
    data, _ = tiny_dataset()
    items = np.setdiff1d(data.split.gallery, data.split.train)
    relevant = data.labels[data.split.query].astype(int) @ data.labels[items].T.astype(int) > 0
    rng = np.random.default_rng(0)
    measured = [auroc_of_no_match(rng.random(relevant.shape), relevant) for _ in range(400)]
    assert study.random_levels(data)[EXISTS] == pytest.approx(np.mean(measured), abs=0.02)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Student(STUDENT, 3).eval()


def test_batches_leave_the_codes_as_they_are_and_bfloat16_is_said_to_move_cosines(network):
    data, _ = tiny_dataset()
    found = study.stability_table(network, data, data.split.gallery[:30])
    assert len(found) >= 2 * len(study.BATCHES) + 2
    batches = found[[name.startswith("batches") for name in found.index]]
    assert (batches["cosines moved by at most"].astype(float) < 1e-5).all()
    half = found.loc["bfloat16 autocast, images"]
    assert float(half["cosines moved by at most"]) > 1e-5
    changed, reach = (float(half[name].rstrip("%")) for name in ("codewords changed", "codewords in reach"))
    assert changed <= reach
    words = study.stability_text(found)
    assert words.startswith("No bit changes: ") and "Bits change: " in words


def test_a_precision_without_kernels_here_has_a_row_that_says_so(network, monkeypatch):
    given = study.embed

    def fails(*arguments):
        if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.float16:
            raise RuntimeError("not implemented for 'Half'")
        return given(*arguments)

    monkeypatch.setattr(study, "embed", fails)
    data, _ = tiny_dataset()
    found = study.stability_table(network, data, data.split.gallery[:10])
    assert found.loc["float16 autocast, does not run here", "items"] == ""
    assert "does not run here" not in study.stability_text(found)


def test_margins_are_told_for_both_modalities(network):
    data, _ = tiny_dataset()
    lines = study.margins_text(network, data, data.split.gallery[:10]).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["images", "texts"]


def test_the_student_is_that_of_the_first_seeds_row_of_dcmq(monkeypatch):
    p = parameters(seeds="3,4")
    seen = []
    monkeypatch.setattr(study, "trained_student", lambda config, *_: seen.append(config) or torch.nn.Linear(1, 1))
    study.student(p, None, None)
    assert seen == [run.config for run in p.plan() if run.variant == "DCMQ" and run.config.seed == 3]
