"""Studies: the parameters of a notebook, and the plan of runs that follows from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from dcmq.config import RunConfig
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.paths import reports_dir
from dcmq.core.registry import Registry
from dcmq.experiments.choices import chosen_settings
from dcmq.experiments.parallel import run_all
from dcmq.experiments.parameters import comma_list
from dcmq.experiments.plan import PlannedRun, Variant, method_variants
from dcmq.experiments.settings import (
    CHOICES,
    R,
    data_options,
    draws_data,
    parsed_settings,
    profile_settings,
    stated_settings,
)
from dcmq.experiments.setup import ExperimentSetup
from dcmq.methods.registry import METHODS
from dcmq.teachers.registry import TEACHERS


def _registered(names: str) -> str:
    method_variants(names)
    return names


Methods = Annotated[str, AfterValidator(_registered)]  # comma-separated names of registered methods


class Study(BaseModel):
    """The parameters that all notebooks have; a name that is no parameter is refused."""

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
        kind = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        return str(value) if kind is str else float(value) if kind is float else value

    @property
    def seed_list(self) -> list[int]:
        """The seeds as numbers. Raises DcmqError where none is given."""
        seeds = comma_list(self.seeds, int)
        if not seeds:
            raise DcmqError("seeds: none is given; name at least one, such as '0,1,2'")
        return seeds

    @property
    def teacher_list(self) -> list[str]:
        """The names of the teachers."""
        return comma_list(self.teacher, str)

    def setup(self, teacher: str = "", seed: int | None = None) -> ExperimentSetup:
        """Data set and teacher, by name; ``teacher`` where it is not the study's only one.

        Where each seed draws a data set of its own (``scenes``), it is that of ``seed``, by default the first of the study's,
        unless ``data_options`` name one for all.
        """
        options = data_options(self.data_options)
        if draws_data(self.dataset):
            options = {"seed": self.seed_list[0] if seed is None else seed} | options
        return ExperimentSetup(self.dataset, teacher or self.teacher, self.data_root, options)

    @property
    def name(self) -> str:
        """The name of the report's folder: what its numbers depend on, in short."""
        return "-".join([file_name(self.dataset), *map(teacher_label, self.teacher_list)])

    @property
    def folder(self) -> Path:
        """The report's folder."""
        return reports_dir() / self.notebook / self.name


STUDIES: Registry[type[Study]] = Registry("study")


def register_study(parameters: type[Study]) -> type[Study]:
    """Make a study known by the name of its notebook; decorates the class of its parameters, and returns it.

    Raises:
        DcmqError: a study of the package has that name.
    """
    return STUDIES.register(parameters.notebook, parameters)


class TrainingStudy(Study):
    """A notebook that trains. Subclasses say which variants they compare, and add ``bits``: a number, or text with several."""

    profile: Literal["demo", "paper"]
    epochs: int = Field(ge=0, description="0: the profile's")
    settings: str
    workers: int = Field(ge=1)
    scheduler: str = Field(
        "", description="address of a Dask scheduler; empty: what DCMQ_SCHEDULER names, else this machine"
    )

    def variants(self) -> list[Variant]:
        """The rows of the study's table."""
        return [Variant("DCMQ")]

    def plan(self) -> list[PlannedRun]:
        """Every run: variants x bits x seeds."""
        return [self.run(v, bits, seed) for v in self.variants() for bits in self.bit_list for seed in self.seed_list]

    def run(self, variant: Variant, bits: int, seed: int, **tags) -> PlannedRun:
        """One run of ``variant``; ``tags`` tell it apart in tables, beside its bits and seed."""
        config = self.config(variant.method, variant.row, bits=bits, seed=seed, **variant.settings)
        return PlannedRun(variant.name, config, variant.teacher or self.teacher, {"bits": bits, **tags})

    def config(self, method: str = "DCMQ", row: str = "", **settings) -> RunConfig:
        """The settings of a run of ``method``: the profile's, changed by what the paper states for the data set, by what was
        chosen for ``row`` (default: ``method``), by the notebook's parameters, and by ``settings``. What ``method`` does not
        have is left out.

        Raises:
            DcmqError: a value that a setting cannot have, or a name in one that is not registered.
        """
        epochs = {"epochs": self.epochs} if self.epochs else {}
        given = parsed_settings(self.settings)
        choices = given.pop("choices", CHOICES.get((self.dataset, self.profile), ""))
        chosen = chosen_settings(choices, row or method)
        changes = stated_settings(self.dataset) | chosen | epochs | given | settings
        values = profile_settings(self.profile, changes)
        kind = METHODS[method].settings_type
        student_kind = kind.model_fields["student"].annotation
        student = {name: value for name, value in values.items() if name in student_kind.model_fields}
        fields = {name: value for name, value in values.items() if name in kind.model_fields}
        if "options" in kind.model_fields:
            prefix = f"{method}."
            fields["options"] = {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}
        try:
            config = kind(student=student_kind(**student), **fields | {"method": method})
        except ValidationError as error:
            problem = error.errors()[0]
            name, reason = ".".join(map(str, problem["loc"])), problem["msg"]
            raise DcmqError(f"settings: {name}: {reason[:1].lower()}{reason[1:]}, not {problem['input']!r}") from None
        for name, registry in METHODS[method].named_parts.items():
            registry[config.setting(name)]  # which raises where that is not registered
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
        """The name of the report's folder, with bits, profile, and a hash of whatever else changes all runs."""
        words = [super().name, f"{str(self.bits).replace(',', '-')}bits", self.profile]
        words += [f"{self.epochs}epochs"] if self.epochs else []
        return "-".join(words + ([digest(self.settings)[:6]] if self.settings else []))


def file_name(name: str) -> str:
    """``name`` as part of a file's name: ``/`` and ``:`` become ``_``."""
    return name.replace("/", "_").replace(":", "_")


def teacher_label(name: str) -> str:
    """The name of a teacher in tables and as part of a file's name. Of one that is read from a file it is the kind alone,
    since it is nobody's business where that file lies."""
    kind = name.partition(":")[0]
    forms = TEACHERS[kind].forms if kind in TEACHERS else ()
    return kind if any(form.endswith((":FILE", ":FOLDER")) for form in forms) else file_name(name)


def run_plan(study: TrainingStudy, plan: Sequence[PlannedRun] | None = None) -> list[dict]:
    """The records of ``plan`` (default: the study's), in its order; finished runs are reused."""
    plan = study.plan() if plan is None else plan
    runs = [(run.config, study.setup(run.teacher, run.config.seed)) for run in plan]
    return run_all(runs, study.workers, study.r, study.scheduler)
