"""The catalog: every data set says what is published of it, and one of one's own is registered beside them."""

import subprocess
import sys

import pytest
from tiny import tiny_dataset

from dcmq.core.errors import DcmqError
from dcmq.data.catalog import DATASETS, DatasetEntry, register_dataset
from dcmq.data.datasets import load_dataset, preparable_names


def test_what_is_published_fits_together():
    assert set(DATASETS) >= {"scenes", "coco", "mirflickr", "nuswide", "folder"}
    for entry in DATASETS.values():
        assert (entry.load or entry.read) and entry.needs_root == (entry.read is not None)
        for published in entry.populations.values():
            assert published.query + published.train <= published.counts["kept"] <= published.counts["images"]
            assert len(published.classes) in (0, published.counts["classes"])
            assert list(published.classes) == sorted(published.classes)
    assert preparable_names() == [
        "coco",
        "folder",
        "mirflickr:20015",
        "mirflickr:24581",
        "nuswide:tc10",
        "nuswide:tc21",
    ]
    assert DATASETS["nuswide"].usual == "tc21" and DATASETS["coco"].usual == "" and not DATASETS["scenes"].archives


def test_a_data_set_of_ones_own_is_loaded_by_its_name(monkeypatch):
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS))
    for n in (70, 90):

        def load(n: int = n):
            return tiny_dataset(n)[0]

        register_dataset("own", DatasetEntry(load=load, needs_root=False))  # again, as when a cell is run again
    assert len(load_dataset("own").ids) == 90 and len(load_dataset("own", n=80).ids) == 80
    with pytest.raises(DcmqError, match="no option 'm'"):
        load_dataset("own", m=1)
    with pytest.raises(DcmqError, match="'coco' is the package's own"):
        register_dataset("coco", DatasetEntry(load=load))


@pytest.mark.slow
def test_names_of_data_sets_and_teachers_load_no_models():
    """They are asked for their names by every command; the libraries of models take seconds to import."""
    code = (
        "import sys, dcmq.data.datasets, dcmq.teachers.registry\n"
        "print([m for m in ('open_clip', 'timm', 'transformers', 'faiss') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
