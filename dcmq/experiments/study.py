"""What every study is: parameters that a notebook may be given, and the plan of runs that follows from them."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from dcmq.config import RunConfig
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.paths import reports_dir
from dcmq.data.datasets import DATASETS
from dcmq.experiments.parallel import run_all
from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant, method_variants
from dcmq.experiments.settings import PROFILES, R, data_options, parsed_settings
from dcmq.experiments.setup import ExperimentSetup
from dcmq.methods.registry import METHODS


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

    def setup(self, teacher: str = "") -> ExperimentSetup:
        """Data set and teacher, by name."""
        return ExperimentSetup(self.dataset, teacher or self.teacher, self.data_root, data_options(self.data_options))

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

    def plan(self) -> list[PlannedRun]:
        """Every run: variants x bits x seeds."""
        return [self.run(v, bits, seed) for v in self.variants() for bits in self.bit_list for seed in self.seed_list]

    def run(self, variant: Variant, bits: int, seed: int, **tags) -> PlannedRun:
        """One run of ``variant``."""
        config = self.config(variant.method, bits=bits, seed=seed, **variant.settings)
        if variant.lr_factor != 1 or variant.epoch_factor != 1:
            schedule = {
                "learning_rate": config.learning_rate * variant.lr_factor,
                "epochs": config.epochs * variant.epoch_factor,
            }
            config = config.model_copy(update=schedule)
        return PlannedRun(variant.name, config, variant.teacher or self.teacher, {"bits": bits, **tags})

    def config(self, method: str = "DCMQ", **settings) -> RunConfig:
        """The profile's settings, changed by the parameters, changed by ``settings``; what ``method`` does not have is
        left out.

        Raises:
            DcmqError: a value that makes no sense.
        """
        epochs = {"epochs": self.epochs} if self.epochs else {}
        of_data = (
            DATASETS[self.dataset.partition(":")[0]].settings if self.dataset.partition(":")[0] in DATASETS else {}
        )
        merged = PROFILES[self.profile] | of_data | epochs | parsed_settings(self.settings) | settings
        kind = METHODS[method].settings_type
        encoders = kind.model_fields["student"].annotation
        student = {name: value for name, value in merged.items() if name in encoders.model_fields}
        fields = {name: value for name, value in merged.items() if name in kind.model_fields}
        if "options" in kind.model_fields:
            own = {name.partition(".")[2]: value for name, value in merged.items() if name.startswith(f"{method}.")}
            fields["options"] = own
        try:
            config = kind(student=encoders(**student), **fields | {"method": method})
        except ValidationError as error:
            problem = error.errors()[0]
            name, reason = ".".join(map(str, problem["loc"])), problem["msg"]
            raise DcmqError(f"settings: {name}: {reason[:1].lower()}{reason[1:]}, not {problem['input']!r}") from None
        for name, registry in METHODS[method].named_parts.items():
            registry[getattr(config, name)]  # says what there is, where it is not registered
        return config

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


def short_name(name: str) -> str:
    """The name of a teacher or data set as part of a file name; of a file only that it is one."""
    return name.split(":")[0] if name.startswith("precomputed") else name.replace("/", "_").replace(":", "_")


def run_plan(study: TrainingStudy, plan: list[PlannedRun] | None = None) -> list[dict]:
    """The records of ``plan`` (default: the study's), in its order; finished runs are reused."""
    plan = study.plan() if plan is None else plan
    records: dict[int, dict] = {}
    for teacher in dict.fromkeys(run.teacher for run in plan):
        rows = [i for i, run in enumerate(plan) if run.teacher == teacher]
        configs = [plan[i].config for i in rows]
        records |= zip(rows, run_all(configs, study.setup(teacher), study.workers, study.r), strict=True)
    return [records[i] for i in range(len(plan))]
