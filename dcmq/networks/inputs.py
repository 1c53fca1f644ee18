"""Inputs of a network: images at its size, or the outputs of its frozen layers, made once; bags of words or tokens."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from dcmq.core.arrays import cached_array
from dcmq.core.code import fingerprint
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.paths import cache_dir
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.resize import resize
from dcmq.networks.clip import clip_tokenizer
from dcmq.networks.dual_encoder import DualEncoder

_BATCH, _CHUNK = 64, 256


def image_inputs(network: DualEncoder, dataset: RetrievalDataset) -> np.ndarray:
    """(n, ...) array whose rows :meth:`DualEncoder.encode_images` takes: uint8 images, or float16 outputs of frozen
    layers.

    Raises:
        DcmqError: they cannot be written to the cache.
    """
    config = network.config
    images = resized_images(dataset.images, config.image_size)
    if not config.frozen:
        return images
    weights = network.frozen.state_dict().values()
    code = fingerprint("dcmq.networks.dual_encoder")
    key = digest(dataset.fingerprint, dataset.image_code, code, config.image_size, config.frozen, *weights)
    device = next(network.parameters()).device

    @torch.no_grad()
    def outputs(start: int, stop: int) -> np.ndarray:
        part = torch.from_numpy(np.array(images[start:stop])).to(device)
        return network.frozen_outputs(part).cpu().half().numpy()

    def fill(store: np.ndarray) -> None:
        for start in tqdm(range(0, len(images), _BATCH), desc="frozen layers", unit="batch"):
            store[start : start + _BATCH] = outputs(start, start + _BATCH)

    shape = (len(images), *outputs(0, 1).shape[1:])
    return cached_array(cache_dir() / "features" / f"{key}.npy", shape, fill, np.float16)


def resized_images(images: np.ndarray, size: int) -> np.ndarray:
    """All images of a data set, (n, H, W, 3) uint8, at ``size``.

    Memory-mapped images are resized once, to a file whose name holds the fingerprint of the code that resizes: beside theirs, or in
    the cache where their folder cannot be written. Others are resized in memory.

    Raises:
        DcmqError: the file cannot be written.
    """
    images = np.asanyarray(images)
    shape = (len(images), size, size, 3)
    if images.shape == shape:
        return images
    if not isinstance(images, np.memmap):
        return _fill(np.empty(shape, np.uint8), images, size)
    source = Path(images.filename)
    path = source.with_name(f"{source.stem}-{size}-{fingerprint('dcmq.data.resize')}.npy")
    if not path.is_file() and not os.access(source.parent, os.W_OK):
        state = source.stat()
        path = cache_dir() / "resized" / digest(str(source), state.st_size, state.st_mtime_ns) / path.name
    return cached_array(path, shape, lambda store: _fill(store, images, size))


def _fill(store: np.ndarray, images: np.ndarray, size: int) -> np.ndarray:
    for start in range(0, len(images), _CHUNK):
        part = torch.from_numpy(np.array(images[start : start + _CHUNK]))
        store[start : start + _CHUNK] = resize(part, size).numpy()
    return store


def text_inputs(network: DualEncoder, dataset: RetrievalDataset) -> Callable[[np.ndarray], Tensor]:
    """A function of row numbers (b,) to the tensor that :meth:`DualEncoder.encode_texts` takes: bags of words, or
    tokens.

    Captions and tags are read as :meth:`RetrievalDataset.text_of` gives them, in training and in search.

    Raises:
        DcmqError: the data set has no such texts.
    """
    config = network.config
    if config.text_input == "bow":
        return lambda rows: torch.from_numpy(dataset.bow[rows].toarray())
    texts = [dataset.text_of(row, config.text_input) for row in range(len(dataset.ids))]
    if missing := texts.count(None):
        raise DcmqError(
            f"text_input: {missing} of {len(texts)} samples of {dataset.name} have no {config.text_input}; choose another "
            "text_input"
        )
    tokens = clip_tokenizer(config.text_encoder)(texts)
    return lambda rows: tokens[torch.as_tensor(rows)]
