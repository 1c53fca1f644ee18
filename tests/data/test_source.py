"""Sources: rows that are left out take everything with them, and images need not be files."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from dcmq.core.errors import DcmqError
from dcmq.data.prepare import prepare
from dcmq.data.prepared import load_prepared
from dcmq.data.readers.matfiles import MatImages
from dcmq.data.source import Source, StoredImages, row_words
from dcmq.data.splits import Split

N = 12


@dataclass(frozen=True)
class PlainImages:
    """Images of one grey value each, as a reader of another format may give them."""

    values: np.ndarray
    rows: np.ndarray
    key: str = "values"

    def read(self, row):
        return np.full((5, 7, 3), self.values[self.rows[row]], np.uint8)

    def only(self, kept):
        return replace(self, rows=self.rows[kept])


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "all.bin"
    file.write_bytes(b"values")
    labels = np.eye(3, dtype=np.uint8)[np.arange(N) % 3]
    split = Split(np.array([0, 1]), np.arange(2, 9), np.arange(2, N), np.array([2, 8]))
    return Source(
        name="plain", population="", root=tmp_path, ids=np.arange(100, 100 + N), files=[file] * N, classes=("a", "b", "c"),
        labels=labels, captions=(), tags=tuple((f"tag{i}",) for i in range(N)), counts={"images": N}, dropped={},
        bow=csr_matrix(np.eye(N, dtype=np.float32)), vocabulary=tuple(f"tag{i}" for i in range(N)),
        recipe="given", split=split, images=PlainImages(20 * np.arange(N), np.arange(N)),
    )  # fmt: skip


def test_readers_of_stored_images_have_what_a_source_asks_of_them(tmp_path, source):
    assert isinstance(source.images, StoredImages)
    assert isinstance(MatImages(tmp_path / "x.mat", "IAll", np.arange(3)), StoredImages)
    assert not isinstance(np.zeros(3), StoredImages)


def test_rows_that_stay_keep_all_that_is_theirs(source):
    kept = np.array([1, 3, 8, 11])
    rest = source.rows(kept, dropped={"others": 8})
    assert rest.ids.tolist() == [101, 103, 108, 111] and rest.tags[2] == ("tag8",) and rest.dropped == {"others": 8}
    assert rest.images.rows.tolist() == kept.tolist() and rest.images.read(2)[0, 0].tolist() == [160] * 3
    assert np.array_equal(rest.labels, source.labels[kept]) and np.array_equal(rest.bow.toarray(), np.eye(N)[kept])
    split = rest.split  # row numbers of the rest
    assert (split.query.tolist(), split.train.tolist(), split.gallery.tolist()) == ([0], [1, 2], [1, 2, 3])
    assert split.validation.tolist() == [2] and len(source.ids) == N


def test_images_that_are_no_files_are_prepared(source, tmp_path):
    prepare(source, tmp_path / "out", image_size=4)
    data = load_prepared(tmp_path / "out")
    assert data.images.shape == (N, 4, 4, 3) and data.images[:, 0, 0, 0].tolist() == (20 * np.arange(N)).tolist()
    assert data.split.hash == source.split.hash
    other = replace(source, images=replace(source.images, key="other values"))
    assert prepare(other, tmp_path / "out", image_size=4)["fingerprint"] == data.fingerprint  # decoded anew, the same


def test_samples_of_one_class_are_refused(source):
    with pytest.raises(DcmqError, match="plain: one class only, 'b', in .*every image would be relevant"):
        source.rows(np.array([1, 4, 7]))


def test_words_of_rows_stand_in_column_order():
    matrix = csr_matrix(np.array([[0, 1, 1], [0, 0, 0], [1, 0, 1]], np.float32))
    assert row_words(matrix, ("x", "y", "z")) == (("y", "z"), (), ("x", "z"))
