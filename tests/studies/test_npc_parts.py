"""The study of NPC's parts: its algebra on a hand-made batch, its rows, and its claims on made-up results."""

import math
from pathlib import Path

import pytest
import torch
from made_up_runs import records_of

from dcmq.core.errors import DcmqError
from dcmq.experiments.parameters import defaults, validated
from dcmq.reporting.results import results_frame, select, table
from dcmq.studies import npc_parts as study

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "npc_parts.ipynb"


def parameters(**changes):
    return validated(study.Parameters, defaults(NOTEBOOK) | changes)


def batches(count=3, size=5, spread=0.1):
    generator = torch.Generator().manual_seed(0)
    return [0.5 + spread * torch.rand(size, size, generator=generator, dtype=torch.float64) for _ in range(count)]


def test_the_notebooks_factors_are_the_studys():
    assert parameters().factors == study.FACTORS
    assert (
        parameters(factors="3").name.startswith(parameters().name) and parameters(factors="3").name != parameters().name
    )


def test_the_slope_is_that_of_the_line_from_lowest_to_highest():
    given = batches()
    expected = [2 / (max(map(max, b.tolist())) - min(map(min, b.tolist()))) for b in given]
    assert study.slopes(given).tolist() == pytest.approx(expected)
    with pytest.raises(DcmqError, match="all similarities of a batch are equal"):
        study.slopes([torch.ones(2, 2)])


def test_a_slope_of_0_is_computed_and_a_wrong_one_is_refused():
    given = batches()
    computed = study.with_slope(parameters(slope=0.0), given)
    assert computed.slope == pytest.approx(study.slopes(given).mean().item(), rel=0.005)
    assert study.with_slope(computed, given) == computed
    with pytest.raises(DcmqError, match=f"mean slope of {computed.slope:g} here, not {1.06 * computed.slope:g}"):
        study.with_slope(parameters(slope=1.06 * computed.slope), given)
    with pytest.raises(DcmqError, match="slope: 0 is to be computed first"):
        parameters(slope=0.0).plan()


def test_the_stretch_is_the_batchs_own_temperature_and_the_lift_is_more():
    (batch,) = batches(1)
    p = study.with_slope(parameters(slope=0.0), [batch])
    found = study.batch_table(study.batch_targets(p, batch))
    moved = found["moved from the stretch's"].astype(float)
    assert moved["raw at this batch's own temperature"] == 0 and moved[study.NPC] > 0.01
    target = study.batch_targets(p, batch)[study.STRETCHED]
    low, high = batch.min().item(), batch.max().item()
    for row, similarity in zip(target.tolist(), batch.tolist(), strict=True):
        weights = [math.exp((2 * (s - low) / (high - low) - 1) / p.tau) for s in similarity]
        assert row == pytest.approx([weight / sum(weights) for weight in weights])
    texts = found["texts in a target"].astype(float)
    assert texts[study.RAW] > texts[study.STRETCHED] and texts[study.RAW] <= 5


def test_rows_differ_in_the_target_and_its_temperature_alone():
    p = parameters(seeds="0")
    runs = {run.variant: run for run in p.plan()}
    plain = runs[study.NPC].config
    for name, run in runs.items():
        if name != study.TUNED:
            same = {"target": "", "tau_target": None}
            assert run.config.model_copy(update=same) == plain.model_copy(update=same)
    assert len(runs) == 6 + 2 * len(p.factors.split(","))
    matched = runs[study.MATCHED]
    assert matched.config.tau_target == pytest.approx(p.tau / p.slope, rel=1e-3)
    assert (
        runs[study.NPC].tags["temperature"] == runs[study.STRETCHED].tags["temperature"] == matched.tags["temperature"]
    )
    doubled = [runs[f"{form} at 2 x the temperature"] for form in (study.RAW, study.NPC)]
    assert [run.config.tau_target for run in doubled] == pytest.approx([2 * p.matching, 2 * p.tau])
    assert len({run.tags["temperature"] for run in doubled}) == 1


@pytest.mark.parametrize("factors", ["0", "1,2", "-2"])
def test_factors_that_make_no_row_of_their_own_are_refused(factors):
    with pytest.raises(DcmqError, match="factors: each is a positive number other than 1"):
        parameters(factors=factors)


def frame_of(level):
    plan = parameters(seeds="0,1,2,3,4,5,6,7").plan()
    return results_frame(plan, records_of(plan, lambda run, _: level(run.variant), noise=0.001))


def test_a_tie_with_a_temperature_is_said_to_be_one():
    found = study.verdicts(frame_of(lambda name: 0.4 if name in (study.RAW, study.TUNED) else 0.5))
    words = {verdict.claim: verdict.word for verdict in found}
    assert words.pop(study.QUESTION) == "a tie" and "are a tie" in study.conclusion(found)
    assert words[f"{study.STRETCHED} > {study.RAW}"] == words[f"{study.LIFTED} > {study.RAW}"] == "holds"


@pytest.mark.parametrize(
    ("level", "words"), [(0.55, "more than a temperature"), (0.45, "the temperature alone is better")]
)
def test_the_conclusion_follows_the_verdict(level, words):
    assert words in study.conclusion(study.verdicts(frame_of(lambda name: level if name == study.NPC else 0.5)))


def test_raw_at_another_temperature_that_is_above_npc_is_said():
    colder = f"{study.RAW} at 0.5 x the temperature"
    found = study.verdicts(frame_of(lambda name: 0.55 if name == colder else 0.5))
    assert {v.claim: v.word for v in found}[f"{study.NPC} > {colder}"] == "does not hold"
    assert study.conclusion(found).endswith(f"And {colder} is above NPC somewhere.")
    assert "somewhere." not in study.conclusion(study.verdicts(frame_of(lambda name: 0.5)))


def test_nothing_is_concluded_where_nothing_is_judged():
    found = study.verdicts(frame_of(lambda name: 0.3), floor=0.5)
    assert "is not known from these runs (not judged)" in study.conclusion(found)


def test_the_table_has_each_rows_temperature():
    frame = frame_of(lambda name: 0.5)
    rows = study.with_temperatures(table(select(frame)), frame)
    p = parameters()
    assert rows.loc[study.RAW, "temperature"] == f"{p.tau:.4f}"
    assert rows.loc[study.NPC, "temperature"] == f"{p.matching:.4f}"
    assert study.with_temperatures(table(select(frame)[:0]), frame).empty


def test_labels_of_temperatures_do_not_lie_over_each_other():
    assert study.legible([0.4, 0.199, 0.207, 0.1, 0.199]) == [0.1, 0.199, 0.4]
    assert study.legible([]) == []


def test_the_figure_has_a_line_for_each_form():
    figure = study.figure(frame_of(lambda name: 0.5), "mAP@all", "mAP@all", 0.03)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == [study.RAW, study.LIFTED, study.STRETCHED, study.NPC, study.TUNED]
