"""Students on the Hugging Face hub: how one is named and fetched, and one line for what goes wrong there."""

from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

import dcmq
from dcmq.core.errors import DcmqError
from dcmq.networks.hub import PATIENCE, first_line

HUB = "hub:"  # before the name of a repository, where a folder could be meant as well


def fetch(repository: str, file: str, revision: str | None = None) -> Path:
    """The file of a repository ``user/name`` in the hub's cache here, fetched if it is not there or has changed.

    Args:
        revision: a branch, a tag or a commit; None for the newest.

    Raises:
        DcmqError: no such repository, revision or file, no permission, or no connection and no copy here.
    """
    try:
        if not isinstance(try_to_load_from_cache(repository, file, revision=revision), str):
            # One request, as the download would try for most of a minute where nobody answers.
            get_hf_file_metadata(hf_hub_url(repository, file, revision=revision), timeout=PATIENCE)
        path = hf_hub_download(
            repository,
            file,
            revision=revision,
            etag_timeout=PATIENCE,
            library_name="dcmq",
            library_version=dcmq.__version__,
        )
    except Exception as error:  # the hub's client also raises those of its HTTP library, which it has changed before
        raise hub_error(error, repository) from None
    return Path(path)


def hub_error(error: Exception, repository: str) -> DcmqError:
    """The error to raise for ``error``, met while the hub was asked about ``repository``."""
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:  # not here, and why not from there
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, HFValidationError):
        return DcmqError(f"{repository!r} is no repository of the hub: write user/name")
    if isinstance(error, GatedRepoError):
        return DcmqError(f"{repository} on {ENDPOINT} asks for permission: ask on its page, then hf auth login")
    if isinstance(error, RevisionNotFoundError):
        return DcmqError(f"{repository} on {ENDPOINT} has no such branch, tag or commit: see its page")
    if isinstance(error, EntryNotFoundError) and status == 404:
        return DcmqError(f"{repository} on {ENDPOINT} holds no student that dcmq push wrote: check the name")
    if isinstance(error, RepositoryNotFoundError) or status in (401, 403):
        return DcmqError(
            f"{ENDPOINT} has no {repository} that you may read or write ({status}): check the name, and log in with "
            "hf auth login where it is private or to be written"
        )
    if status is not None:
        return DcmqError(f"{ENDPOINT} cannot serve {repository} now ({first_line(error)}): try again later")
    if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
        return DcmqError(f"{error.filename or HF_HUB_CACHE} cannot be written or read: {error.strerror}")
    return DcmqError(f"{ENDPOINT} cannot be reached for {repository} ({first_line(error)}): connect and run again")
