"""What a student is fed: pictures at its size, or the outputs of its frozen layers, made once; bags of words or tokens."""

from collections.abc import Callable

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from tqdm.auto import tqdm

from dcmq.data.dataset import RetrievalDataset
from dcmq.data.pictures import at_size
from dcmq.encoders import tokenizer
from dcmq.core.errors import DcmqError
from dcmq.models import Student
from dcmq.core.paths import cache_dir
from dcmq.core.hashing import digest
from dcmq.core.storage import new_array

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


def text_inputs(student: Student, dataset: RetrievalDataset) -> Callable[[np.ndarray], Tensor]:
    """What gives, for row numbers, the tensor that :meth:`dcmq.models.Student.embed_texts` takes.

    Of several captions the first is read, in training and in search; tags are joined by spaces (ours).

    Raises:
        DcmqError: the data set has no such texts.
    """
    config = student.config
    if config.text_input == "bow":
        return lambda rows: torch.from_numpy(dataset.bow[rows].toarray())
    if config.text_input == "caption":
        texts = [captions[0] for captions in dataset.captions if captions]
    else:
        texts = [" ".join(tags) for tags in dataset.tags]
    if len(texts) != len(dataset.ids):
        raise DcmqError(
            f"text_input: {len(dataset.ids) - len(texts)} of {len(dataset.ids)} samples of {dataset.name} have no "
            f"{config.text_input}; choose another text_input"
        )
    tokens = tokenizer(config.text_encoder)(texts)
    return lambda rows: tokens[torch.as_tensor(rows)]
