"""Settings as a notebook's parameters give them: profiles, and words of NAME=VALUE."""

import json
from collections.abc import Mapping

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.data.datasets import DATASETS
from dcmq.methods.registry import METHODS

# ``demo`` fits a coffee break on two CPU cores. ``paper`` is the paper's student and schedule; what the paper does not
# state (see TrainConfig) keeps the inferred defaults.
PROFILES = {
    "demo": dict(
        epochs=10,
        learning_rate=1e-3,
        batch_size=128,
        image_encoder="small_resnet",
        backbone_weights="scenes-objects",
        image_size=32,
        text_hidden=(512, 256),
    ),
    "paper": dict(
        epochs=20,
        learning_rate=3e-4,
        batch_size=128,
        image_encoder="resnet18",
        backbone_weights="imagenet",
        image_size=224,
        text_hidden=(4096, 1024),
    ),
}
# What the first author's public code of sibling papers trains with. Known: Adam at 3e-4, weight decay 1e-5, a backbone at a twentieth
# of the rate (DHD), SimCLR's augmentation (SPQ), batches of 128 (DHD) or 256 (SPQ); the rate stays for 10 epochs, which DHD calls
# warm-up, and falls along a cosine afterwards. Ours: those run 500 epochs and more, so that of DCMQ's 20 epochs the 10 are taken for
# half of however many there are, and the cosine ends with the run.
_PRIORS = dict(
    learning_rate=3e-4,
    weight_decay=1e-5,
    lr_schedule="flat_cosine",
    augment="simclr",
    backbone_lr_factor=0.05,
    batch_size=128,
)
PRESETS = {"author_priors": _PRIORS, "author_priors_256": _PRIORS | {"batch_size": 256}}
# By data set and profile: the search whose choices stand, if no other is named.
CHOICES = {("scenes", "demo"): "scenes-demo"}
R = {"demo": 500, "paper": 5000}  # of mAP@R (hits)

# Fields that a notebook has a parameter of its own for, or that are made of others.
_ELSEWHERE = {"method", "student", "seed", "bits", "options"}


def profile_settings(profile: str, changes: Mapping) -> dict:
    """The settings of a profile, changed by ``changes``. The profile's weights are those of its image encoder: another one
    that ``changes`` names starts from random weights, unless they name some."""
    settings = PROFILES[profile]
    other = changes.get("image_encoder", settings["image_encoder"]) != settings["image_encoder"]
    return settings | ({"backbone_weights": ""} if other else {}) | changes


def stated_settings(dataset: str) -> Mapping[str, float]:
    """The settings that the paper states for ``dataset`` alone; none for one that is not registered, as loading refuses it."""
    name = dataset.partition(":")[0]
    return DATASETS[name].settings if name in DATASETS else {}


def draws_data(dataset: str) -> bool:
    """True where each seed of runs draws a data set of its own; False too for one that is not registered."""
    name = dataset.partition(":")[0]
    return name in DATASETS and DATASETS[name].draws


def parsed_settings(text: str) -> dict:
    """The values by name that a text like ``"learning_rate=1e-4 frozen=layer4 DCMH.gamma=0.5"`` gives.

    Names are fields of the settings of any registered method or of its student, options of a method under dotted names, and
    ``choices``, the search whose choices stand (:mod:`dcmq.experiments.choices`), empty for none. ``preset=NAME`` brings those of
    :data:`PRESETS`; what is written beside it stands.

    Raises:
        DcmqError: a word that is no NAME=VALUE, or a name that is no setting.
    """
    plain_names, dotted_names = _plain_names(), _dotted_names()
    values, presets = {}, []
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals:
            raise DcmqError(f"settings: {word!r} is not NAME=VALUE; write them like 'learning_rate=1e-4 tau_q=0.1'")
        if name == "preset":
            presets.append(value)
            continue
        if name not in plain_names + dotted_names:
            hint = suggestion(name, plain_names + dotted_names)
            alike = dotted_names if "." in name else plain_names
            raise DcmqError(f"settings: {name!r} is no setting{hint} (known: {', '.join(alike)})")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return {name: value for preset in presets for name, value in preset_settings(preset).items()} | values


def preset_settings(name: str) -> Mapping:
    """The settings of a preset. Raises DcmqError for one that is not known."""
    if name not in PRESETS:
        raise DcmqError(
            f"settings: preset={name} is not known{suggestion(name, PRESETS)} (known: {', '.join(PRESETS)})"
        )
    return PRESETS[name]


def _plain_names() -> list[str]:
    """Settings of all registered methods and of their students, sorted."""
    names: set[str] = set()
    for method in METHODS.values():
        fields = method.settings_type.model_fields
        names |= fields.keys() | fields["student"].annotation.model_fields.keys()
    return sorted(names - _ELSEWHERE | {"choices"})


def _dotted_names() -> list[str]:
    return [f"{method.name}.{option}" for method in METHODS.values() for option in method.options]


def data_options(text: str) -> dict:
    """The arguments of the data set's loader that a text like ``"query=219 ignore_classes=person,cat"`` gives.

    Raises:
        DcmqError: a word that is neither NAME=NUMBER nor a list of classes.
    """
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
