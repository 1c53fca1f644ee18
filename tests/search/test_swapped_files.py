"""Files of another run or collection are not taken for those of this one."""

import json

import pytest
import torch
from finished_run import CONFIG, VOCABULARY, write_finished_run

from dcmq.codes.index import CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors, save_tensors
from dcmq.search.collection import Collection
from dcmq.search.runs import model_of

KEY = "0123456789abcdef"


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run whose files all say which run they are of."""
    folder = write_finished_run(tmp_path)
    for name in ("record.json", "inputs.json"):
        (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | {"key": KEY}))
    rekey(folder, KEY)
    return folder


def rekey(folder, key):
    file = folder / "checkpoint.safetensors"
    save_tensors(file, load_tensors(file)[0], {"key": key})


def test_a_run_of_its_own_files_is_read(run):
    assert list(model_of(run).vocabulary) == list(VOCABULARY)


@pytest.mark.parametrize("name", ["record.json", "inputs.json"])
def test_the_json_of_another_run_is_refused(run, name):
    (run / name).write_text(json.dumps(json.loads((run / name).read_text()) | {"key": "f" * 16}))
    with pytest.raises(DcmqError, match=f"{name}.*run f{{16}}") as caught:
        model_of(run)
    assert "\n" not in str(caught.value)


def test_the_checkpoint_of_another_run_is_refused(run):
    rekey(run, "f" * 16)
    with pytest.raises(DcmqError, match=f"checkpoint.safetensors belongs to run f{{16}}, not to {KEY}"):
        model_of(run)


def test_the_index_of_another_student_is_refused(run, tmp_path):
    collection = Collection.create(tmp_path / "c", model_of(run))
    index = CodeIndex(collection.model.codebooks)
    index.add(collection.model.quantize_texts(["red boat"]), ["red boat"])
    collection.save_index("texts", index)
    assert Collection(tmp_path / "c").load_index("texts").ids.tolist() == ["red boat"]
    other = CodeIndex(collection.model.codebooks + torch.rand_like(collection.model.codebooks))
    other.add(index.codes[:], ["red boat"])
    other.save(tmp_path / "c" / "texts.safetensors", overwrite=True)
    with pytest.raises(DcmqError, match="texts.safetensors was made by another student"):
        Collection(tmp_path / "c").load_index("texts")
    assert CONFIG.student.bits == index.bits
