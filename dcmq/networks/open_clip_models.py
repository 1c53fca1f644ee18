"""open_clip's models with published or local weights, never with random ones.

open_clip takes seconds to import, which only those who run one of its models should wait: hence the imports inside.
"""

import os

from dcmq.core.errors import DcmqError
from dcmq.networks.hub import first_line, require_reachable, unusable


def load_open_clip(architecture: str, checkpoint: str, name: str):
    """An ``open_clip.CLIP`` and the transform of its images; a published checkpoint brings its own activation and
    statistics.

    Args:
        checkpoint: a tag of open_clip, or an absolute path.
        name: the model's name for messages.

    Raises:
        DcmqError: unknown architecture or tag, weights that cannot be fetched, a file that does not fit.
    """
    import open_clip

    if architecture not in open_clip.list_models():
        raise DcmqError(f"{name}: open_clip has no architecture {architecture!r}; see open_clip.list_models()")
    if checkpoint.startswith("/"):
        return _from_file(architecture, checkpoint, name)
    return _published(architecture, checkpoint, name)


def _published(architecture: str, tag: str, name: str):
    import open_clip

    if tag.lower() not in open_clip.list_pretrained_tags_by_model(architecture):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise DcmqError(f"{name}: {architecture} has no checkpoint {tag!r} (known: {tags})")
    published = open_clip.get_pretrained_cfg(architecture, tag)
    repository, quick = published["hf_hub"].strip("/"), published.get("quick_gelu", False)
    # A bare file cannot say which activation it was trained with.
    local = architecture + ("-quickgelu" if quick and "quickgelu" not in architecture else "")
    instead = (
        "fetch open_clip_model.safetensors elsewhere and name that file, as weights of "
        f"open_clip:{local} or as teacher=open_clip:{local}//FILE"
    )
    require_reachable(repository, name, instead)
    try:
        # open_clip itself only warns where the architecture's activation is not the checkpoint's.
        return _create(architecture, tag, force_quick_gelu=quick)
    except Exception as error:  # the hub's client and torch raise many kinds
        raise unusable(error, repository, name, instead) from None


def _from_file(architecture: str, path: str, name: str):
    if not os.path.isfile(path):  # unlike Path, also of a name that no file can have
        raise DcmqError(f"{name}: no checkpoint file {path}")
    try:
        return _create(architecture, path)
    except Exception as error:
        raise DcmqError(f"{name}: {path} is no whole {architecture} checkpoint ({first_line(error)})") from None


def _create(architecture: str, checkpoint: str, **options):
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(
        architecture, pretrained=checkpoint, require_pretrained=True, weights_only=True, **options
    )
    return model, transform
