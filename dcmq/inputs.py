"""What a student's image encoder is fed: pictures at its size, or the outputs of its frozen layers, made once."""

import numpy as np
import torch
from filelock import FileLock
from tqdm.auto import tqdm

from dcmq.data.dataset import RetrievalDataset
from dcmq.data.pictures import at_size
from dcmq.models import Student
from dcmq.paths import cache_dir
from dcmq.storage import digest, new_array

_CHUNK = 64


def image_inputs(student: Student, dataset: RetrievalDataset) -> np.ndarray:
    """(n, ...) array whose rows :meth:`dcmq.models.Student.embed_images` takes: uint8 pictures, or float16 features.

    Raises:
        DcmqError: the features cannot be written to the cache.
    """
    config = student.config
    pictures = at_size(dataset.images, config.image_size)
    if not config.frozen:
        return pictures
    weights = student.frozen.state_dict().values()
    key = digest(dataset.fingerprint, config.image_size, config.frozen, *weights)
    path = cache_dir() / "features" / f"{key}.npy"
    path.parent.mkdir(exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            _write(path, student, pictures)
    return np.load(path, mmap_mode="r")


@torch.no_grad()
def _write(path, student: Student, pictures: np.ndarray) -> None:
    device = next(student.parameters()).device

    def outputs(start: int) -> np.ndarray:
        part = torch.from_numpy(np.array(pictures[start : start + _CHUNK])).to(device)
        return student.frozen_outputs(part).cpu().half().numpy()

    shape = (len(pictures), *outputs(0).shape[1:])
    with new_array(path, shape, np.float16) as store:
        for start in tqdm(range(0, len(pictures), _CHUNK), desc="frozen layers", unit="batch"):
            store[start : start + _CHUNK] = outputs(start)
