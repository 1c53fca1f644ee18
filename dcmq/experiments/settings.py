"""Settings as a notebook's parameters give them: profiles, and words of NAME=VALUE."""

import difflib
import json

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.methods.registry import METHODS

# ``demo`` fits a coffee break on two CPU cores. ``paper`` is the paper's student and schedule; what the paper does not
# state (see TrainConfig) keeps the inferred defaults.
PROFILES = {
    "demo": dict(
        epochs=10,
        learning_rate=1e-3,
        batch_size=128,
        image_encoder="small_resnet",
        image_size=32,
        text_hidden=(512, 256),
    ),
    "paper": dict(
        epochs=20,
        learning_rate=3e-4,
        batch_size=128,
        image_encoder="resnet18",
        image_size=224,
        text_hidden=(4096, 1024),
    ),
}


R = {"demo": 500, "paper": 5000}  # of mAP@R (hits)


NOT_SETTINGS = {"method", "student", "seed", "bits"}  # said elsewhere


def parsed_settings(text: str) -> dict:
    """``"learning_rate=1e-4 frozen=layer4 DCMH.gamma=0.5"`` to fields of :class:`TrainConfig` and :class:`StudentConfig`,
    and options of methods under their dotted names.

    Raises:
        DcmqError: a word that is no NAME=VALUE, or a name that is no setting.
    """
    known = sorted((TrainConfig.model_fields.keys() | StudentConfig.model_fields.keys()) - NOT_SETTINGS)
    dotted = [f"{row.name}.{option}" for row in METHODS.values() for option in row.options]
    changes = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals:
            raise DcmqError(f"settings: {word!r} is not NAME=VALUE; write them like 'learning_rate=1e-4 tau_q=0.1'")
        if name not in known + dotted:
            close = difflib.get_close_matches(name, known + dotted, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            there = dotted if "." in name else known
            raise DcmqError(f"settings: {name!r} is no setting{hint} (known: {', '.join(there)})")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            changes[name] = value
    return changes


def data_options(text: str) -> dict:
    """``"query=219 train=1100 ignore_classes=person,cat"`` to keyword arguments of the data set's loader."""
    options = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if name == "ignore_classes":
            options[name] = tuple(value.replace("_", " ").split(","))
        else:
            try:
                options[name] = int(value) if value.lstrip("-").isdigit() else float(value)
            except ValueError:
                raise DcmqError(f"data_options: {word!r} is not NAME=NUMBER or ignore_classes=NAME,NAME") from None
    return options
