"""The file of a code index: safetensors with codebooks, codes, ids, and inverted lists where there are any."""

from pathlib import Path

import numpy as np
from filelock import FileLock

from dcmq.core.errors import DcmqError
from dcmq.core.storage import CorruptFile, load_tensors, open_tensors, save_tensors

FORMAT, VERSION = "dcmq index", "2"


def write_index_file(path: Path, arrays: dict, former: str, overwrite: bool = False) -> str:
    """Write ``arrays``; until the file is whole, the former one stays. Returns its checksum.

    Args:
        former: checksum of the file that the index was read from or written to; empty if there is none.
        overwrite: replace another index too.

    Raises:
        DcmqError: the file is not the former one, and not ``overwrite``; it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = arrays["ids"]
    arrays = arrays | {"ids": ids if ids.dtype.kind == "i" else ids[:, None].view(np.uint8)}
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.exists() and not overwrite and _checksum(path) != former:
            raise DcmqError(
                f"{path} holds an index that this one did not come from, or that was changed since: load it and add to it, "
                "or save under another name"
            )
        save_tensors(path, arrays, {"format": FORMAT, "version": VERSION})
        return _checksum(path)


def read_index_file(path: Path, verify: bool = False) -> tuple[dict[str, np.ndarray], str]:
    """The arrays that :func:`write_index_file` wrote, memory-mapped, and the checksum of the file.

    Args:
        verify: read all of the file and compare it with its checksum.

    Raises:
        DcmqError: no index, of another version, cut short, or with ``verify`` altered.
    """
    if not path.is_file():
        raise DcmqError(f"there is no index {path}: build it first")
    try:
        tensors, meta = open_tensors(path)
        if verify:
            load_tensors(path)
    except CorruptFile as error:
        reason = str(error).removesuffix(": delete it and run again")
        raise DcmqError(f"{reason}: it is no index or was damaged; copy it again, or build it anew") from None
    if meta.get("format") != FORMAT:
        raise DcmqError(f"{path} is no index of codes, but some other safetensors file")
    if meta.get("version") != VERSION:
        raise DcmqError(f"{path} has format version {meta.get('version')}, this dcmq reads {VERSION}: build it anew")
    if missing := {"codebooks", "codes", "ids"} - tensors.keys():
        raise DcmqError(f"{path} has no {', '.join(sorted(missing))}: build it anew")
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    if len(arrays["ids"]) != len(arrays["codes"]):
        raise DcmqError(f"{path} holds {len(arrays['codes'])} codes and {len(arrays['ids'])} ids: build it anew")
    if arrays["ids"].ndim == 2:
        arrays["ids"] = arrays["ids"].view(f"S{arrays['ids'].shape[1]}")[:, 0]
    return arrays, meta.get("checksum", "")


def _checksum(path: Path) -> str:
    try:
        return open_tensors(path)[1].get("checksum", "")
    except CorruptFile:
        return "damaged"
