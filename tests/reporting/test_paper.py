"""The paper's numbers, as carried in the package."""

import pytest

from dcmq.core.errors import DcmqError
from dcmq.reporting.paper.tables import published

COLUMNS = ["table", "task", "dataset", "bits", "variant", "map"]
ROWS = {1: 162, 2: 42, 3: 24, 4: 12, 6: 48, 7: 108, 8: 12, 9: 12}


@pytest.mark.parametrize(("table", "rows"), ROWS.items())
def test_every_table_is_whole(table, rows):
    numbers = published(table)
    assert list(numbers.columns) == COLUMNS
    assert len(numbers) == rows
    assert list(numbers.index) == list(range(rows))
    assert numbers["map"].between(0, 1).all()
    assert set(numbers.task) == {"i2t", "t2i"}
    assert set(numbers.dataset) <= {"coco", "mirflickr", "nuswide"}
    assert not numbers.duplicated(["task", "dataset", "bits", "variant"]).any()


def test_table_3_holds_the_four_targets():
    numbers = published(3).set_index(["dataset", "task", "variant"])["map"]
    assert len(numbers) == 3 * 2 * 4
    assert numbers["coco", "i2t", "with_npc"] == 0.859
    assert numbers["nuswide", "t2i", "without_npc"] == 0.606
    for dataset in ("coco", "mirflickr", "nuswide"):
        for task in ("i2t", "t2i"):
            rest = [numbers[dataset, task, variant] for variant in ("identity", "multihot", "without_npc")]
            assert numbers[dataset, task, "with_npc"] > max(rest)


def test_table_5_is_the_cost():
    cost = published(5).set_index("quantity")
    assert list(cost.columns) == ["unit", "CLIP", "CMMQ", "DCMQ"]
    assert cost.loc["storage_per_sample", "DCMQ"] == 8 and cost.loc["storage_per_sample", "unit"] == "byte"
    assert cost.loc["map_i2t", "unit"] == ""
    assert all(cost[name].dtype == float for name in ("CLIP", "CMMQ", "DCMQ"))


@pytest.mark.parametrize("table", [0, 10, -1, "3"])
def test_other_tables_are_refused_with_those_there_are(table):
    with pytest.raises(DcmqError, match="known: 1, 2, 3, 4, 5, 6, 7, 8, 9"):
        published(table)
