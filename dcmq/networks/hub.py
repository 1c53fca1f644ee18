"""Weights of the Hugging Face hub: whether they are here, whether they can be had, and what to say if neither."""

from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import repo_folder_name

from dcmq.core.errors import DcmqError

PATIENCE = 5  # seconds for one answer; the hub's client itself tries again and again for most of a minute
_WEIGHTS = (".bin", ".pt", ".safetensors")


def require_reachable(repository: str, name: str, instead: str) -> None:
    """Raise DcmqError unless weights of ``repository`` are stored here or the hub answers one request.

    Args:
        name: the model's name for the message. instead: what to do without the hub.
    """
    if stored(repository):
        return
    try:
        get_hf_file_metadata(hf_hub_url(repository, "config.json"), timeout=PATIENCE)
    except HfHubHTTPError:
        return  # an answer, even if it is a refusal; the download itself will tell
    except Exception:  # the hub's client raises those of its HTTP library, which it has changed before
        raise unfetched(repository, name, instead) from None


def stored(repository: str) -> bool:
    """True where a whole weight file of ``repository`` is in the hub's cache; half downloads are kept elsewhere
    there."""
    return any(file.suffix in _WEIGHTS for file in _folder(repository).glob("snapshots/*/*"))


def unusable(error: Exception, repository: str, name: str, instead: str) -> DcmqError:
    """The error to raise for ``error``, met while weights of ``repository`` were fetched or loaded."""
    if stored(repository):
        folder = _folder(repository)
        return DcmqError(f"the weights of {name} in {folder} cannot be loaded ({first_line(error)}): delete it")
    return unfetched(repository, name, instead)


def unfetched(repository: str, name: str, instead: str) -> DcmqError:
    """The error that says where the weights come from, where they go, and what to do ``instead``."""
    return DcmqError(
        f"the weights of {name} ({repository}) cannot be fetched from {ENDPOINT} into {HF_HUB_CACHE}: "
        f"connect and run again, or {instead}"
    )


def first_line(error: Exception) -> str:
    """The first line of the message of ``error``, or its kind where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:160]


def _folder(repository: str) -> Path:
    return Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
