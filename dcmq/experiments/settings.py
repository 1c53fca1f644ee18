"""Settings as a notebook's parameters give them: profiles, and words of NAME=VALUE."""

import inspect
import json
import math
import re
from collections.abc import Mapping

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.data.datasets import DATASETS
from dcmq.experiments.parameters import comma_list, decimal_number, shown, whole_number
from dcmq.experiments.precision import AUTO, quickest_precision
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

# A word of settings: blanks may stand within quotes and brackets.
_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\[[^\]]*\]|\S)+""")
# Options of every prepared data set, for which no loader of its own is asked.
_PREPARED = {"query": int, "train": int, "words": int, "image_size": int, "seed": int, "ignore_classes": tuple[str, ...]}
_SEEDS = 2**63  # from here on no generator takes them, nor a table's column
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
    :data:`PRESETS`; what is written beside it stands. ``precision=auto`` gives the quickest on this machine. Text with blanks
    stands in quotes.

    Raises:
        DcmqError: a word that is no NAME=VALUE, a name that is no setting or stands twice, or a number that is not finite.
    """
    values = written_settings(text)
    preset = preset_settings(values.pop("preset")) if "preset" in values else {}
    if values.get("precision") == AUTO:
        values["precision"] = quickest_precision()
    return {**preset, **values}


def written_settings(text: str) -> dict:
    """The values by name as ``text`` has them, a ``preset`` by its name alone; else as :func:`parsed_settings`."""
    plain_names, dotted_names = _plain_names(), _dotted_names()
    values: dict = {}
    for word in _WORD.findall(text):
        name, equals, value = word.partition("=")
        if not equals:
            raise DcmqError(f"settings: {word!r} is not NAME=VALUE; write them like 'learning_rate=1e-4 tau_q=0.1'")
        if name not in ("preset", *plain_names, *dotted_names):
            hint = suggestion(name, plain_names + dotted_names)
            alike = dotted_names if "." in name else plain_names
            raise DcmqError(f"settings: {name!r} is no setting{hint} (known: {', '.join(alike)})")
        if name in values:
            raise DcmqError(f"settings: {name} stands twice; say it once")
        values[name] = value if name in ("preset", "choices") else _value(name, value)
    return values


def without_setting(text: str, name: str) -> str:
    """The words of ``text`` but that of the setting ``name``, or, where none is, those of the presets."""
    words = _WORD.findall(text)
    rest = [word for word in words if word.partition("=")[0] != name]
    return " ".join(rest if len(rest) < len(words) else [word for word in words if not word.startswith("preset=")])


def _value(name: str, text: str):
    """The value that ``text`` writes: as JSON has it where it is JSON, else the text, without quotes around it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text[1:-1] if len(text) > 1 and text[0] == text[-1] in "\"'" else _number_or_text(name, text)
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str):
            _number_or_text(name, part)
        if isinstance(part, float) and not math.isfinite(part):
            raise DcmqError(f"settings: {name}={text} is no finite number")
    return value


def _number_or_text(name: str, text: str) -> int | float | str:
    """The number that ``text`` is, or the text. Raises DcmqError of what Python would take for a number, and nobody else, as 1_0."""
    for read in (whole_number, decimal_number, float):
        try:
            number = read(text)
        except ValueError:
            continue
        if read is float:
            raise DcmqError(f"settings: {name}={shown(text)} is no number as 10, 0.5 or 1e-4 are: write it so")
        return number
    return text


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


def data_options(text: str, dataset: str = "") -> dict:
    """The arguments of the data set's loader that a text like ``"query=219 ignore_classes=person,cat"`` gives.

    Args:
        dataset: whose loader; where it is none that is registered, any data set's options are known.

    Raises:
        DcmqError: a word that is neither NAME=NUMBER nor a list of classes, a name that stands twice or that the loader does
            not have, or a value of another type than the loader takes.
    """
    options: dict = {}
    kinds, known = _option_types(dataset), dataset.partition(":")[0] in DATASETS
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise DcmqError(f"data_options: {word!r} is not NAME=NUMBER or ignore_classes=NAME,NAME")
        if name in options:
            raise DcmqError(f"data_options: {name} stands twice; say it once")
        if name not in kinds:
            raise DcmqError(
                f"data_options: {name!r} is no option of {dataset if known else 'any data set'}{suggestion(name, kinds)} "
                f"(known: {', '.join(kinds)})"
            )
        options[name] = _option(name, value, kinds[name])
    return options


def _option_types(dataset: str) -> Mapping[str, object]:
    """The types of the options of a data set's loader, by name."""
    name = dataset.partition(":")[0]
    if name not in DATASETS:
        return {option: kind for known in DATASETS for option, kind in _option_types(known).items()}
    entry = DATASETS[name]
    kinds = dict(_PREPARED) if entry.needs_root else {}
    if entry.load is not None:
        about = inspect.signature(entry.load, eval_str=True).parameters
        kinds |= {option: parameter.annotation for option, parameter in about.items() if option != "root"}
    return kinds


def _option(name: str, text: str, kind: object):
    """The value of an option, of the type that its loader says; where it says none of these, a number or else text."""
    if kind == tuple[str, ...]:
        classes = tuple(text.replace("_", " ").split(","))
        if not all(classes):
            raise DcmqError(f"data_options: {name}={text} is not NAME=NUMBER or {name}=NAME,NAME")
        return classes
    if kind is str:
        return text
    try:
        value = whole_number(text) if kind is int or text.removeprefix("-").isdigit() else decimal_number(text)
    except ValueError:
        if kind not in (int, float):
            return text
        word = "a whole number" if kind is int else "a number"
        raise DcmqError(f"data_options: {name}={text} is not NAME=NUMBER; {name} is {word}") from None
    least = 1 if kind is int and name != "seed" else 0
    if not least <= value < _SEEDS:
        raise DcmqError(f"data_options: {name}={text} is out of range; {name} is a number from {least} on")
    return value


def parsed_seeds(text: str) -> list[int]:
    """The seeds that a text like ``"0,1,2"`` gives.

    Raises:
        DcmqError: none, one that is no whole number or stands twice, or one that no generator of random numbers takes.
    """
    seeds = comma_list(text, int)
    if not seeds:
        raise DcmqError("seeds: none is given; name at least one, such as '0,1,2'")
    for seed in seeds:
        if not 0 <= seed < _SEEDS:
            raise DcmqError(f"seeds: {seed} is none; a seed is a whole number from 0 to 2^63 - 1")
    return seeds
