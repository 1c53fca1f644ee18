"""Files are whole or absent: full disks, two writers, damage."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dcmq.core.errors import DcmqError
from dcmq.core.storage import CorruptFile, atomic_write, load_tensors, locked, read_json, save_tensors, sweep


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic_write(path, b"old")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DcmqError, match="no space left to write .*choose another disk") as caught:
        atomic_write(path, b"new")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DcmqError, match="cannot write .*; choose a folder you can write"):
        atomic_write(tmp_path / "file" / "below", b"x")
    with pytest.raises(DcmqError, match="cannot write .*; choose a folder"), locked(tmp_path / "file" / ".lock"):
        pytest.fail("there is no lock")


def test_dcmq_home_is_advised_only_where_it_governs(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DcmqError, match="set DCMQ_HOME to a folder you can write"):
        atomic_write(tmp_path / "file" / "below", b"x")


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path, monkeypatch):
    for name in ("a.json", ".lock", ".gitignore", ".hidden.json"):
        atomic_write(tmp_path / name, b"{}")
    with monkeypatch.context() as killed:  # as by SIGKILL: nothing is tidied up
        killed.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            atomic_write(tmp_path / "a.json", b"[]")
    assert len(os.listdir(tmp_path)) == 5
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".gitignore", ".hidden.json", ".lock", "a.json"]


def test_a_name_as_long_as_the_file_system_takes_can_be_written(tmp_path):
    atomic_write(tmp_path / ("n" * 250), b"x")
    assert [len(name) for name in os.listdir(tmp_path)] == [250]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"{}\x00"])
def test_what_is_no_json_is_said_in_a_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(CorruptFile, match="a.json cannot be read") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


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


def test_a_lock_that_cannot_be_made_is_said_and_not_waited_for():
    with pytest.raises(DcmqError, match="cannot write /proc/x"), locked(Path("/proc/x")):
        pytest.fail("there is no lock")
