"""What every study is: parameters that a notebook may be given, and the plan of runs that follows from them."""

import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from dcmq.config import EncodersConfig, MethodConfig, RunConfig, StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.experiments import run_all, Workspace
from dcmq.methods import METHODS
from dcmq.methods import method as registered
from dcmq.notebook import comma_list
from dcmq.core.paths import reports_dir
from dcmq.core.hashing import digest

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


@dataclass(frozen=True)
class Variant:
    """A row of a study's table.

    Attributes:
        settings: what it changes in them. teacher: if not the notebook's. method: by what name its runs go.
        rate, longer: factors on the profile's learning rate and epochs.
    """

    name: str
    settings: dict = field(default_factory=dict)
    teacher: str = ""
    method: str = "DCMQ"
    rate: float = 1.0
    longer: int = 1


@dataclass(frozen=True)
class Run:
    """One run of a plan. ``tags`` become columns of the results beside variant and seed."""

    variant: str
    config: RunConfig
    teacher: str
    tags: dict


def method_variants(names: str) -> list[Variant]:
    """A row for each method of the comma-separated ``names``. Raises DcmqError for one that is not registered."""
    rows = [registered(name) for name in comma_list(names, str)]
    return [Variant(row.name, dict(row.settings), "", row.algorithm or row.name, row.rate, row.longer) for row in rows]


def _registered(names: str) -> str:
    method_variants(names)
    return names


Methods = Annotated[str, AfterValidator(_registered)]  # comma-separated names of registered methods


class Study(BaseModel):
    """What all notebooks may be asked; everything else is refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    notebook: ClassVar[str]  # file name, and folder under reports/
    item: ClassVar[str]  # of the paper
    title: ClassVar[str]
    claim: ClassVar[str]  # the paper's, in a sentence

    teacher: str
    dataset: str
    data_root: str
    data_options: str
    seeds: str

    @field_validator("*", mode="before")
    @classmethod
    def _as_papermill_means_it(cls, value, info):
        """papermill turns ``-p seeds 0`` and ``-p tau 1`` into numbers; where text or a decimal is wanted they are that."""
        wanted = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        return str(value) if wanted is str else float(value) if wanted is float else value

    @property
    def seed_list(self) -> list[int]:
        """The seeds as numbers."""
        return comma_list(self.seeds, int)

    def workspace(self, teacher: str = "") -> Workspace:
        """Data set and teacher, by name."""
        return Workspace(self.dataset, teacher or self.teacher, self.data_root, data_options(self.data_options))

    @property
    def name(self) -> str:
        """Folder name of the report: what its numbers depend on, in short."""
        return "-".join([short_name(self.dataset), *map(short_name, comma_list(self.teacher, str))])

    @property
    def folder(self) -> Path:
        """Where the report goes."""
        return reports_dir() / self.notebook / self.name


class TrainingStudy(Study):
    """A notebook that trains. Subclasses say which variants they compare, and add ``bits``: a number, or text with several."""

    profile: Literal["demo", "paper"]
    epochs: int = Field(ge=0, description="0: the profile's")
    settings: str
    workers: int = Field(ge=1)

    def variants(self) -> list[Variant]:
        """The rows of the study's table."""
        return [Variant("DCMQ")]

    def plan(self) -> list[Run]:
        """Every run: variants x bits x seeds."""
        return [self.run(v, bits, seed) for v in self.variants() for bits in self.bit_list for seed in self.seed_list]

    def run(self, variant: Variant, bits: int, seed: int, **tags) -> Run:
        """One run of ``variant``."""
        config = self.config(variant.method, bits=bits, seed=seed, **variant.settings)
        if variant.rate != 1 or variant.longer != 1:
            schedule = {"learning_rate": config.learning_rate * variant.rate, "epochs": config.epochs * variant.longer}
            config = config.model_copy(update=schedule)
        return Run(variant.name, config, variant.teacher or self.teacher, {"bits": bits, **tags})

    def config(self, method: str = "DCMQ", **settings) -> RunConfig:
        """The profile's settings, changed by the parameters, changed by ``settings``; what ``method`` does not have is
        left out.

        Raises:
            DcmqError: a value that makes no sense.
        """
        stated = {"gumbel_weight": 0.5} if self.dataset == "coco" else {}
        epochs = {"epochs": self.epochs} if self.epochs else {}
        merged = PROFILES[self.profile] | stated | epochs | parsed_settings(self.settings) | settings
        kind, encoders = (TrainConfig, StudentConfig) if method == "DCMQ" else (MethodConfig, EncodersConfig)
        own = {name.partition(".")[2]: value for name, value in merged.items() if name.startswith(f"{method}.")}
        student = {name: value for name, value in merged.items() if name in encoders.model_fields}
        fields = {name: value for name, value in merged.items() if name in kind.model_fields}
        try:
            if method == "DCMQ":
                return TrainConfig(student=StudentConfig(**student), **fields)
            return MethodConfig(method=method, student=EncodersConfig(**student), options=own, **fields)
        except ValidationError as error:
            problem = error.errors()[0]
            name, reason = ".".join(map(str, problem["loc"])), problem["msg"]
            raise DcmqError(f"settings: {name}: {reason[:1].lower()}{reason[1:]}, not {problem['input']!r}") from None

    @property
    def bit_list(self) -> list[int]:
        """The code lengths as numbers."""
        return comma_list(self.bits, int)

    @property
    def r(self) -> int:
        """R of mAP@R (hits)."""
        return R[self.profile]

    @property
    def name(self) -> str:
        """See :class:`Study`; bits, profile and whatever changes all runs besides."""
        words = [super().name, f"{str(self.bits).replace(',', '-')}bits", self.profile]
        words += [f"{self.epochs}epochs"] if self.epochs else []
        return "-".join(words + ([digest(self.settings)[:6]] if self.settings else []))


def run_plan(study: TrainingStudy, plan: list[Run] | None = None) -> list[dict]:
    """The records of ``plan`` (default: the study's), in its order; finished runs are reused."""
    plan = study.plan() if plan is None else plan
    records: dict[int, dict] = {}
    for teacher in dict.fromkeys(run.teacher for run in plan):
        rows = [i for i, run in enumerate(plan) if run.teacher == teacher]
        configs = [plan[i].config for i in rows]
        records |= zip(rows, run_all(configs, study.workspace(teacher), study.workers, study.r), strict=True)
    return [records[i] for i in range(len(plan))]


def short_name(name: str) -> str:
    """The name of a teacher or data set as part of a file name; of a file only that it is one."""
    return name.split(":")[0] if name.startswith("precomputed") else name.replace("/", "_").replace(":", "_")


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
