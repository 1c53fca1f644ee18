"""Files are whole or absent: full disks, two writers, damage."""

import errno
import os

import numpy as np
import pytest
import torch

from dcmq.core.errors import DcmqError
from dcmq.core.storage import CorruptFile, atomic_write, load_tensors, new_array, save_tensors


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic_write(path, b"old")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DcmqError, match="no space left to write .*DCMQ_HOME") as caught:
        atomic_write(path, b"new")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve space")
def test_an_array_that_does_not_fit_is_refused_before_it_is_filled(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DcmqError, match="no space left"), new_array(tmp_path / "a.npy", (10, 3)):
        pytest.fail("there is no room to write")
    assert not os.listdir(tmp_path)


def test_an_array_appears_only_when_it_is_filled(tmp_path):
    path = tmp_path / "a.npy"
    with pytest.raises(KeyboardInterrupt), new_array(path, (10, 3)) as array:
        array[:5] = 1
        raise KeyboardInterrupt
    assert not path.exists()
    with new_array(path, (10, 3)) as array:
        array[:] = 7
    assert np.array_equal(np.load(path), np.full((10, 3), 7))


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DcmqError, match="cannot write .*DCMQ_HOME"):
        atomic_write(tmp_path / "file" / "below", b"x")


def test_tensors_come_back_and_any_change_is_noticed(tmp_path):
    path = tmp_path / "t"
    save_tensors(path, {"a": torch.arange(6).view(2, 3), "b": np.ones(2)}, {"note": "x"})
    tensors, meta = load_tensors(path)
    assert torch.equal(tensors["a"], torch.arange(6).view(2, 3)) and meta == {"note": "x"}
    content = path.read_bytes()
    for place in (10, len(content) // 2, len(content) - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(CorruptFile):
            load_tensors(path)
