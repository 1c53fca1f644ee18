"""Arrays on disk: whole or absent, proven when opened, made again where they are damaged."""

import errno
import os
import stat

import numpy as np
import pytest

from dcmq.core import arrays
from dcmq.core.arrays import cached_array, new_array, open_array
from dcmq.core.errors import DcmqError
from dcmq.core.storage import CorruptFile


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


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
    assert not os.listdir(tmp_path)  # nor does the unfinished one take space
    with new_array(path, (10, 3)) as array:
        array[:] = 7
    assert np.array_equal(np.load(path), np.full((10, 3), 7))


def filled(path, rows=10):
    with new_array(path, (rows, 3)) as array:
        array[:] = np.arange(3 * rows).reshape(rows, 3)
    return path


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["a.npy", "a.proof.json"])
def test_every_flipped_byte_and_every_cut_is_noticed(tmp_path, name):
    path = filled(tmp_path / "a.npy")
    wanted, file = np.array(open_array(path)), tmp_path / name
    content = file.read_bytes()
    for place in range(len(content)):
        flip(file, place)
        try:
            assert np.array_equal(open_array(path), wanted)  # where the proof's byte says nothing of the content
            assert name != "a.npy"
        except CorruptFile as error:
            assert "\n" not in str(error)
        file.write_bytes(content)
    for length in range(0, len(content) - 2, 7):
        file.write_bytes(content[:length])
        with pytest.raises(CorruptFile):
            open_array(path)


def test_a_large_file_is_read_through_only_when_it_has_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_SMALL", 0)
    path, read = filled(tmp_path / "a.npy"), []
    checksum = arrays._checksum
    monkeypatch.setattr(arrays, "_checksum", lambda path: read.append(1) or checksum(path))
    for _ in range(2):
        open_array(path)
    assert not read
    os.utime(path, (1, 1))  # as a copy to another disk has another time
    for _ in range(2):
        open_array(path)
    assert len(read) == 1
    flip(path, -1)
    with pytest.raises(CorruptFile, match="a.npy is damaged"):
        open_array(path)


def test_a_cached_array_is_made_once_and_again_where_it_is_damaged(tmp_path, capsys):
    path, made = tmp_path / "below" / "a.npy", []

    def fill(store):
        made.append(1)
        store[:] = 7

    for _ in range(2):
        assert np.array_equal(cached_array(path, (4, 2), fill), np.full((4, 2), 7)) and len(made) == 1
    assert capsys.readouterr().err == ""
    flip(path, -1)
    assert np.array_equal(cached_array(path, (4, 2), fill), np.full((4, 2), 7)) and len(made) == 2
    assert "a.npy is damaged: it is made again" in capsys.readouterr().err
    assert cached_array(path, (5, 2), fill).shape == (5, 2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cached_array_is_read_where_nothing_can_be_written(tmp_path):
    path = tmp_path / "a.npy"
    cached_array(path, (4, 2), lambda store: store.fill(1))
    path.with_suffix(".lock").unlink()
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert cached_array(path, (4, 2), pytest.fail).sum() == 8
        with pytest.raises(DcmqError, match="cannot write"):
            cached_array(tmp_path / "b.npy", (4, 2), pytest.fail)
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_finished_cached_array_needs_no_lock(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    cached_array(path, (4, 2), lambda store: store.fill(1))
    monkeypatch.setattr(arrays, "locked", lambda *_: pytest.fail("nothing is to be written"))
    assert cached_array(path, (4, 2), pytest.fail).sum() == 8


def test_an_array_that_was_moved_here_with_its_proof_is_not_taken_for_this_one(tmp_path):
    one, other = filled(tmp_path / "one.npy"), filled(tmp_path / "other.npy")
    for suffix in (".npy", ".proof.json"):
        os.replace(one.with_suffix(suffix), other.with_suffix(suffix))
    with pytest.raises(CorruptFile, match="other.npy is one.npy"):
        open_array(other)
