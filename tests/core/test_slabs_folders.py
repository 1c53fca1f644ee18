"""Folders of slabs are deleted where they are ours, and no other."""

import numpy as np

from dcmq.core.slabs import forget_slabs, open_slabs


def test_a_folder_of_somebodys_own_stays(tmp_path):
    (tmp_path / "slabs-mine").mkdir()
    (tmp_path / "slabs-mine" / "photo.jpg").write_bytes(b"x")
    with open_slabs(tmp_path / "images.npy", (4, 2), "key") as slabs:
        slabs.store[:] = 1
        for slab in slabs.all:
            slabs.prove(slab, [])
        (left,) = slabs.all
        (tmp_path / "slabs-key" / f".{left.start}-{left.stop}.json.a1b2c3d4").write_bytes(b"cut")
    forget_slabs(tmp_path)
    assert (tmp_path / "slabs-mine" / "photo.jpg").is_file() and not (tmp_path / "slabs-key").exists()
    assert np.load(tmp_path / "images.npy").sum() == 8
