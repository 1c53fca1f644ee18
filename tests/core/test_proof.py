"""Blocks of an array are compared when they are read first, and only then."""

import numpy as np
import pytest

from dcmq.core import proof
from dcmq.core.proof import ProvenArray, block_checksums
from dcmq.core.storage import CorruptFile


def proven(array, checksums=None):
    return ProvenArray(array, block_checksums(array) if checksums is None else checksums, "it", "write it again")


@pytest.mark.parametrize("shape", [(0,), (0, 3), (1,), (10, 3), (50_000, 8), (3, 100_000)])
def test_what_was_written_is_given_out(shape):
    array = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    np.testing.assert_array_equal(proven(array)[:], array)
    if len(array):
        np.testing.assert_array_equal(proven(array)[np.array([0, len(array) - 1, 0])], array[[0, -1, 0]])
        np.testing.assert_array_equal(proven(array)[1:], array[1:])


def test_a_damaged_block_is_noticed_by_who_reads_it(monkeypatch):
    array = np.zeros((30_000, 8), np.uint8)  # 8,192 rows a block
    checksums = block_checksums(array)
    assert len(checksums) == 4
    array[8192, 3] ^= 1
    read, counted = proven(array, checksums), []
    crc = proof._crc
    monkeypatch.setattr(proof, "_crc", lambda block: counted.append(1) or crc(block))
    assert not read[:8192].any() and not read[np.array([0, 29_999])].any() and len(counted) == 2
    assert not read[:8192].any() and len(counted) == 2  # once proven, not read again
    for rows in (slice(None), slice(8000, 8193), np.array([9000])):
        with pytest.raises(CorruptFile, match="it is damaged from row 8192 on: write it again"):
            read[rows]


def test_too_few_checksums_are_damage():
    array = np.zeros((30_000, 8), np.uint8)
    with pytest.raises(CorruptFile, match="it is damaged"):
        proven(array, block_checksums(array)[:-1])
