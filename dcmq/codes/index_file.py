"""The file of a code index: safetensors with codebooks, codes, ids, and inverted lists where there are any.

Beside each array stand checksums of its blocks, and in the header one of all that: a file is opened at once, however large,
and nothing of it is believed that is not proven.
"""

import os
from pathlib import Path

import numpy as np
import torch

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.proof import ProvenArray, block_checksums
from dcmq.core.storage import CorruptFile, load_tensors, locked, open_tensors, save_tensors, sweep

FORMAT, VERSION = "dcmq index", "3"
_WHOLE = "2"  # the version before: ids of one width, and one checksum of all, so that all is read
_BLOCKS = "blocks."  # before the name of an array: the checksums of its blocks
_REMEDY = "copy it again, or build it anew"


def index_path(path: object) -> Path:
    """``path`` as a path. Raises DcmqError for what names no file."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise DcmqError(f"an index is kept in a file, and a {type(path).__name__} names none: give its path") from None
    if not text or "\0" in text:
        raise DcmqError(f"{text!r} names no file: give the path of the index")
    return Path(text)


def write_index_file(path: Path, arrays: dict, former: str, overwrite: bool = False) -> str:
    """Write ``arrays``; until the file is whole, the former one stays. Returns its checksum.

    Args:
        former: checksum of the file that the index was read from or written to; empty if there is none.
        overwrite: replace another index too.

    Raises:
        DcmqError: the file is not the former one, and not ``overwrite``; it cannot be written.
    """
    if path.is_dir():
        raise DcmqError(f"{path} is a folder: name a file for the index")
    tensors = {name: torch.as_tensor(array).contiguous() for name, array in arrays.items()}
    blocks = {f"{_BLOCKS}{name}": torch.from_numpy(block_checksums(array.numpy())) for name, array in tensors.items()}
    meta = {"format": FORMAT, "version": VERSION}
    meta["proof"] = _proof(tensors | blocks, meta)
    with locked(path.with_name(f".{path.name}.lock")):
        sweep(path.parent, path.name)
        if path.exists() and not overwrite and _checksum(path) != former:
            raise DcmqError(
                f"{path} holds an index that this one did not come from, or that was changed since: load it and add to it, "
                "or save under another name"
            )
        save_tensors(path, tensors | blocks, meta)
        return _checksum(path)


def read_index_file(path: Path, verify: bool = False) -> tuple[dict[str, ProvenArray], str]:
    """The arrays that :func:`write_index_file` wrote, proven when they are read, and the checksum of the file.

    Args:
        verify: read all of the file and compare it with its checksum.

    Raises:
        DcmqError: no index, of another version, or damaged: what is not read yet is compared when it is.
    """
    if not path.is_file():
        raise DcmqError(f"there is no index {path}: build it first")
    try:
        tensors, meta = open_tensors(path)
        if verify:
            load_tensors(path)
    except CorruptFile as error:
        reason = str(error).removesuffix(": delete it and run again")
        raise DcmqError(f"{reason}: it is no index or was damaged; {_REMEDY}") from None
    if meta.get("format") != FORMAT:
        raise DcmqError(f"{path} is no index of codes, but some other safetensors file, or was damaged")
    checksum, proof = meta.pop("checksum", ""), meta.pop("proof", "")
    if meta.get("version") == _WHOLE:
        return _read_whole(path, tensors), checksum
    if meta.get("version") != VERSION:
        raise DcmqError(f"{path} has format version {meta.get('version')}, this dcmq reads {VERSION}: build it anew")
    if proof != _proof(tensors, meta):
        raise DcmqError(f"{path} does not match the checksum in its header: it was damaged; {_REMEDY}")
    blocks = {name: tensors.pop(f"{_BLOCKS}{name}").numpy() for name in [*tensors] if not name.startswith(_BLOCKS)}
    return _proven(path, tensors, blocks), checksum


def _read_whole(path: Path, tensors: dict[str, torch.Tensor]) -> dict[str, ProvenArray]:
    """The arrays of a file of the version before, all of it compared with its checksum."""
    try:
        load_tensors(path)
    except CorruptFile:
        raise DcmqError(f"{path} does not match its checksum: it was damaged; {_REMEDY}") from None
    if missing := {"codebooks", "codes", "ids"} - tensors.keys():
        raise DcmqError(f"{path} has no {', '.join(sorted(missing))}: build it anew")
    if tensors["ids"].ndim == 2:
        texts = [row.tobytes().rstrip(b"\0") for row in tensors.pop("ids").numpy()]
        data, ends = np.frombuffer(bytearray().join(texts), np.uint8), np.cumsum([*map(len, texts)], dtype=np.int64)
        tensors = tensors | {"texts": torch.from_numpy(data), "ends": torch.from_numpy(ends)}
    return _proven(path, tensors, {name: block_checksums(tensor.numpy()) for name, tensor in tensors.items()})


def _proven(path: Path, tensors: dict[str, torch.Tensor], blocks: dict[str, np.ndarray]) -> dict[str, ProvenArray]:
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return {name: ProvenArray(arrays[name], blocks[name], f"{path} ({name})", _REMEDY) for name in blocks}


def _proof(tensors: dict[str, torch.Tensor], meta: dict[str, str]) -> str:
    """The checksum of what the header says, and of the checksums of all blocks."""
    facts = sorted((name, str(tensor.dtype), list(tensor.shape)) for name, tensor in tensors.items())
    blocks = [tensors[name] for name, _, _ in facts if name.startswith(_BLOCKS) and tensors[name].numel()]
    return digest(meta, facts, *(block.reshape(-1).view(torch.uint8).numpy().tobytes() for block in blocks))


def _checksum(path: Path) -> str:
    try:
        return open_tensors(path)[1].get("checksum", "")
    except CorruptFile:
        return "damaged"
