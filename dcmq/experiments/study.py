"""Studies: the parameters of a notebook, and the plan of runs that follows from them."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dcmq.config import RunConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.core.paths import reports_dir
from dcmq.core.registry import Registry
from dcmq.core.sealed import read_sealed
from dcmq.experiments.choices import chosen_settings
from dcmq.experiments.parallel import run_all
from dcmq.experiments.parameters import checked_text, comma_list, shown
from dcmq.experiments.plan import Plan, PlannedRun, Variant, has_setting, method_variants
from dcmq.experiments.settings import (
    CHOICES,
    R,
    data_options,
    draws_data,
    parsed_seeds,
    parsed_settings,
    profile_settings,
    stated_settings,
    without_setting,
)
from dcmq.experiments.setup import ExperimentSetup
from dcmq.methods.base import CONTROL
from dcmq.methods.registry import METHODS
from dcmq.teachers.registry import TEACHERS
from dcmq.teachers.texts import KINDS, text_kinds


def _registered(names: str) -> str:
    method_variants(names)
    return names


Methods = Annotated[str, AfterValidator(_registered)]  # comma-separated names of registered methods


_LONGEST = 120  # bytes of a report folder's name
_NO_NUMBERS = {"workers", "scheduler"}  # parameters that change no number
DAMAGED = "nothing is written to its folder; restore it, or delete it and make the report again"
FROM_A_FILE = "vectors from a file are of label sentences alone"


class Study(BaseModel):
    """The parameters that all notebooks have; a name that is no parameter is refused. Defaults are those of the notebook."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    notebook: ClassVar[str]  # file name, and folder under reports/
    item: ClassVar[str]  # of the paper
    title: ClassVar[str]
    claim: ClassVar[str]  # the paper's, in a sentence

    teacher: str = "clip"
    dataset: str = "scenes"
    data_root: str = ""
    data_options: str = ""
    seeds: str = "0,1,2"

    @field_validator("*", mode="before")
    @classmethod
    def _as_papermill_means_it(cls, value, info):
        """papermill turns ``-p seeds 0`` and ``-p tau 1`` into numbers; where text or a decimal is wanted they are that."""
        kind = cls.model_fields[info.field_name].annotation
        if isinstance(value, str):
            return checked_text(info.field_name, value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        return str(value) if kind is str else float(value) if kind is float else value

    @model_validator(mode="after")
    def _lists_can_be_read(self):
        if not self.teacher_list:
            raise DcmqError("teacher is empty; name one or more, such as clip,clip-wide")
        parsed_seeds(",".join(map(str, self.seed_list)))
        data_options(self.data_options, self.dataset)
        return self

    @property
    def seed_list(self) -> list[int]:
        """The seeds as numbers. Raises DcmqError where none is given, or one is out of range."""
        return parsed_seeds(self.seeds)

    @property
    def teacher_list(self) -> list[str]:
        """The names of the teachers."""
        return comma_list(self.teacher, str)

    def setup(self, teacher: str = "", seed: int | None = None) -> ExperimentSetup:
        """Data set and teacher, by name; ``teacher`` where it is not the study's only one.

        Where each seed draws a data set of its own (``scenes``), it is that of ``seed``, by default the first of the study's,
        unless ``data_options`` name one for all.
        """
        options = data_options(self.data_options, self.dataset)
        if draws_data(self.dataset):
            options = {"seed": self.seed_list[0] if seed is None else seed} | options
        return ExperimentSetup(self.dataset, teacher or self.teacher, self.data_root, options)

    def name_words(self) -> dict[str, str]:
        """The words of the report folder's name, each by the parameter that it says in full; else by no parameter's name."""
        from_files = any(teacher_label(name) != file_name(name) for name in self.teacher_list)
        teachers = "-".join(map(teacher_label, self.teacher_list))
        return {"dataset": file_name(self.dataset), "kinds of teachers" if from_files else "teacher": teachers}

    @property
    def name(self) -> str:
        """The name of the report's folder: :meth:`name_words`, and a hash of all other parameters that are not the notebook's defaults
        and that change numbers. So a report belongs to one question."""
        return self.named_by(self.name_words())

    def named_by(self, words: Mapping[str, str]) -> str:
        """The name of a folder: ``words``, those of each parameter that they say in full, and a hash of the others as in
        :attr:`name`."""
        others = {
            name: value
            for name, value in _question(self.model_dump()).items()
            if name not in words and value != type(self).model_fields[name].default
        }
        return short_name("-".join(filter(None, [*words.values(), digest(others)[:6] if others else ""])))

    @property
    def folder(self) -> Path:
        """The report's folder: the one that holds a report of these parameters, whatever its name; else one of :attr:`name`, with a
        hash of all parameters where a report of others has that, or one that is damaged, which is said."""
        place, own = reports_dir() / self.notebook, _question(self.model_dump())
        questions = {file.parent: self._question_of(file) for file in sorted(place.glob("*/record.json"))}
        for folder, question in questions.items():
            if question == own:
                return folder
        names = chain([self.name], (f"{self.name}-{digest(own, *range(n))[:6]}" for n in count()))
        return next(place / name for name in names if place / name not in questions)

    @classmethod
    def _question_of(cls, record: Path) -> dict | None:
        """The parameters of a report that its numbers depend on, those that it is older than with their defaults; None where
        ``record`` cannot be read, which is said: nobody knows what it is of."""
        try:
            parameters = dict(read_sealed(record, DAMAGED)["parameters"])
        except DcmqError as error:
            print(error, file=sys.stderr)
            return None
        except (KeyError, TypeError, ValueError):
            print(f"{record} is no record of a report: {DAMAGED}", file=sys.stderr)
            return None
        return _question({name: field.default for name, field in cls.model_fields.items()} | parameters)


def _question(parameters: Mapping[str, object]) -> dict:
    return {name: value for name, value in parameters.items() if name not in _NO_NUMBERS}


STUDIES: Registry[type[Study]] = Registry("study")


def register_study(parameters: type[Study]) -> type[Study]:
    """Make a study known by the name of its notebook; decorates the class of its parameters, and returns it.

    Raises:
        DcmqError: a study of the package has that name.
    """
    return STUDIES.register(parameters.notebook, parameters)


class TrainingStudy(Study):
    """A notebook that trains. Subclasses say which variants they compare, and add ``bits``: a number, or text with several."""

    own_settings: ClassVar[frozenset[str]] = frozenset()  # settings that are parameters of the notebook, for all of its runs

    profile: Literal["demo", "paper"] = "demo"
    epochs: int = Field(0, ge=0, description="0: the profile's")
    settings: str = ""
    workers: int = Field(2, ge=1, le=1024)
    scheduler: str = Field(
        "", description="address of a Dask scheduler; empty: what DCMQ_SCHEDULER names, else this machine"
    )

    @model_validator(mode="after")
    def _settings_can_be_read(self):
        for bits in self.bit_list:
            if bits < 1:
                raise DcmqError(f"bits: {bits} is no length of a code; it is a number from 1 on")
        if not self.bit_list:
            raise DcmqError("bits: none is given; name at least one, such as '32,64'")
        for name, value in parsed_settings(self.settings).items():
            if name in self.own_settings:
                raise DcmqError(_say_parameter(name, value))
        return self

    def variants(self) -> list[Variant]:
        """The rows of the study's table."""
        return [Variant("DCMQ")]

    def runs(self) -> list[PlannedRun]:
        """Every run that the parameters ask for: variants x bits x seeds."""
        return [self.run(v, bits, seed) for v in self.variants() for bits in self.bit_list for seed in self.seed_list]

    def plan(self) -> Plan:
        """The runs of the study, without those whose text the teacher cannot read.

        Raises:
            DcmqError: there is nothing to run, a value that a setting cannot have, or a setting that would change no run.
        """
        asked = self.runs()
        runs = [run for run in asked if _can_be_read(run)]
        left_out = {run.variant: FROM_A_FILE for run in asked if not _can_be_read(run)}
        if not runs:
            raise DcmqError(self._nothing_to_run(left_out))
        plan = Plan(runs, {n: v for n, v in parsed_settings(self.settings).items() if n != "choices"}, left_out)
        for name, value in plan.settings.items():
            if not (plan.with_setting(name) or self.changes_runs(plan, name)):
                raise DcmqError(
                    _say_parameter(name, value)
                    if name in type(self).model_fields
                    else f"settings: {name}={value} would change no run: each has its own {name}, or none; leave it out"
                )
        return plan

    def changes_runs(self, plan: Sequence[PlannedRun], name: str) -> bool:
        """True where some run is another one without the setting ``name``, as one whose rate is a third of what was written."""
        others = self.model_copy(update={"settings": without_setting(self.settings, name)}).runs()
        return [run.config for run in others if _can_be_read(run)] != [run.config for run in plan]

    def _nothing_to_run(self, left_out: dict[str, str]) -> str:
        if left_out:
            return f"teacher: {FROM_A_FILE}, and nothing else is asked for than {', '.join(left_out)}"
        general = {*TrainingStudy.model_fields, "seeds"} - {"teacher"}
        empty = [n for n, value in self.model_dump().items() if value == "" and n not in general]
        return f"there is nothing to run: name at least one of {' or '.join(empty) or 'the rows'}"

    def run(self, variant: Variant, bits: int, seed: int, **tags) -> PlannedRun:
        """One run of ``variant``; ``tags`` tell it apart in tables, beside its bits and seed."""
        config = self.config(variant.method, variant.row, bits=bits, seed=seed, **variant.settings)
        overruled = variant.settings.keys() | ({"epochs"} if self.epochs else set())
        written = frozenset(n for n in parsed_settings(self.settings) if n not in overruled and has_setting(config, n))
        return PlannedRun(variant.name, config, variant.teacher or self.teacher, {"bits": bits, **tags}, written)

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
        changes = stated_settings(self.dataset) | chosen | given | epochs | settings
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
            raise DcmqError(
                f"settings: {name}: {reason[:1].lower()}{reason[1:]}, not {shown(problem['input'])}"
            ) from None
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

    def name_words(self) -> dict[str, str]:
        """As :meth:`Study.name_words`, with bits, profile, and epochs where they are not the profile's."""
        bits = f"{'-'.join(map(str, self.bit_list))}bits"
        epochs = f"{self.epochs}epochs" if self.epochs else ""
        return super().name_words() | {"bits": bits, "profile": self.profile, "epochs": epochs}


def _say_parameter(name: str, value: object) -> str:
    told = f"say -p {name} {shlex.quote(str(value))}"
    return f"settings: {name}={value} would change nothing: {name} is a parameter of this notebook, {told}"


def is_from_file(teacher: str) -> bool:
    """True for a teacher whose vectors come from a file, which has no model to read anything but label sentences."""
    return teacher.partition(":")[0] == "precomputed"


def _can_be_read(run: PlannedRun) -> bool:
    """True where the teacher can read the text that a run gives it."""
    if not is_from_file(run.teacher):
        return True
    if isinstance(run.config, TrainConfig):
        return text_kinds(run.config.teacher_text) == ["labels"]
    method = METHODS[run.config.method]
    return method.fidelity != CONTROL or method.text_input not in set(KINDS) - {"labels"}


def short_name(name: str) -> str:
    """``name`` as that of a folder: of a long one its beginning, and a hash of all of it."""
    if len(name.encode()) <= _LONGEST:
        return name
    return f"{name.encode()[: _LONGEST - 7].decode(errors='ignore')}-{digest(name)[:6]}"


def file_name(name: str) -> str:
    """``name`` as part of a file's name: what might be no part of one, such as ``/`` and ``:``, becomes ``_``."""
    return re.sub(r"[^\w.+@()-]", "_", name)


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
