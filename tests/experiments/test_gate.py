"""The gate: 2,000 inputs, the same each time, to parameters, settings, data options and commands.

Each is refused in one line, or taken; and what is taken changes the runs that follow, or says what they have already.
"""

import json
import string
from pathlib import Path

import pytest
from commands import dcmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notebook_parameters import parameters
from typer.main import get_command

from dcmq.cli.app import app
from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.data.datasets import DATASETS
from dcmq.experiments.parameters import validated
from dcmq.experiments.plan import has_setting
from dcmq.experiments.settings import PRESETS, data_options, written_settings
from dcmq.experiments.study import TrainingStudy
from dcmq.methods.registry import METHODS
from dcmq.studies.registry import STUDIES

parameters("own_idea")  # registers the idea that its plan names
CHEAP = {"seeds": "0"}


def same_each_time(count):
    """``count`` inputs, the same in each run of the tests."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


JUNK = st.sampled_from(
    [
        "",
        " ",
        ",",
        "=",
        "nan",
        "inf",
        "-1",
        "0",
        "1e400",
        "1e300",
        "1e-320",
        "NaN",
        "-Infinity",
        "null",
        "true",
        "[]",
        "{}",
        "[-5,3]",
        '{"a":1}',
        "[" * 2000,
        "9" * 5000,
        str(2**64),
        str(10**18),
        "²",
        "１２",
        "1_0",
        "0x10",
        "../../etc",
        "a\0b",
        "a\nb",
        "\x1b[31m",
        "\udcff",
        "é" * 300,
        "x" * 5000,
        "'",
        '"',
        '"a b',
        "C:\\x",
        "%s{}",
        "precomputed:",
        "precomputed:nowhere.npz",
        "open_clip:",
        "open_clip:a/b/c",
        "folder:x",
        "DCMH.gamma=1",
        "tau=0.5",
    ]
)
NUMBERS = st.one_of(
    st.integers(-2, 300),
    st.sampled_from([0.05, 0.2, 0.5, 1.0, 2.0, 1e-4, 3e-4]),
    st.floats(allow_nan=True),
    st.integers(),
)
TEXTS = st.one_of(JUNK, st.text(max_size=12), st.text(string.ascii_lowercase + ",;=+. 0123456789", max_size=12))
WORDS = st.one_of(
    st.sampled_from(
        "DCMQ CMHH PQ npc raw multihot identity clip clip-wide scenes coco small_resnet small_vit small_clip resnet18 "
        "imagenet row batch dataset labels captions tags 32,64 16 0,1 default demo paper step cosine shift scaled image "
        "distillation_text straight_through per-modality bf16-mixed layer4 caption author_priors scenes-demo".split()
    ),
    TEXTS,
    NUMBERS.map(str),
)
VALUES = st.one_of(WORDS, NUMBERS, st.none(), st.booleans(), st.lists(st.integers(), max_size=2), st.just({}))
SETTINGS = sorted(
    {
        *(
            name
            for m in METHODS.values()
            for name in (*m.settings_type.model_fields, *TrainConfig().student.model_fields)
        ),
        *(f"{m.name}.{option}" for m in METHODS.values() for option in m.options),
    }
)
OPTIONS = sorted({"query", "train", "gallery", "seed", "words", "image_size", "label_missing", "ignore_classes"})


def study_of(name, **changes):
    """The study called ``name`` with its defaults, fewer seeds, and ``changes``, as the first cell of its notebook makes it."""
    fields = STUDIES[name].model_fields
    cheap = {field: value for field, value in CHEAP.items() if field in fields}
    return validated(STUDIES[name], {field: about.default for field, about in fields.items()} | cheap | changes)


def line_of(act):
    """What ``act`` returns, and no line; or None, and the one line that it was refused in."""
    try:
        return act(), ""
    except DcmqError as error:
        assert str(error) and len(str(error).splitlines()) == 1, repr(str(error))
        return None, str(error)


def configs_of(study):
    """The settings of every run of a study, of those that it compares with too."""
    compared = study.compared_plan() if hasattr(study, "compared_plan") else []
    return [run.config for run in [*study.plan(), *compared]]


def value_in(config, name):
    """The value of a setting or of an option of a run; ``...`` where it has none."""
    if not has_setting(config, name):
        return ...
    return config.options.get(name.partition(".")[2], ...) if "." in name else config.setting(name)


def is_visible(study, name, value, configs):
    """True where a run has the value that was written, or is another one for it."""
    for config in configs:
        seen = value_in(config, name)
        seen = list(seen) if isinstance(seen, tuple) else seen
        if seen == value or str(seen) == str(value):
            return True
    words = [f"{n}={json.dumps(v)}" for n, v in written_settings(study.settings).items() if n not in (name, "preset")]
    without = study.model_copy(update={"settings": " ".join(words)})
    return configs_of(without) != configs


GOOD = st.sampled_from(  # of some methods
    "tau=0.5 tau_q=0.05 tau_g=2 gumbel_weight=0.3 gumbel_form=scaled gumbel_on=image codebooks=per-modality target=raw target=npc "
    "target=multihot loss=distillation_text quantizer=straight_through npc_scope=row schedule=separate teacher_text=captions "
    "train_on=train epochs=3 batch_size=64 learning_rate=1e-4 backbone_lr_factor=0.5 weight_decay=0 lr_schedule=cosine augment=shift "
    "warmup_epochs=1 precision=bf16-mixed threads=2 image_encoder=small_convnet backbone_weights= text_hidden=[64,32] image_size=64 "
    "num_codewords=16 subvector_dim=8 subvector_dim=16 codebook_scale=2 normalize_subvectors=true tau_target=0.3 DCMH.gamma=0.5 "
    "CMMQ.mutual=0.5 CMHH.sharpness=2 preset=author_priors choices= choices=scenes-demo".split()
)
PAIRS = st.tuples(st.one_of(st.sampled_from(SETTINGS), st.sampled_from(["choices", "preset"]), TEXTS), WORDS)
SOME_SETTINGS = st.lists(st.one_of(GOOD, PAIRS.map("=".join)), min_size=1, max_size=2).map(" ".join)


@same_each_time(900)
@given(
    name=st.sampled_from(sorted(STUDIES)),
    text=st.one_of(st.lists(GOOD, min_size=1, max_size=3).map(" ".join), SOME_SETTINGS, TEXTS),
)
def test_settings_reach_a_run_or_are_refused(name, text):
    if not issubclass(STUDIES[name], TrainingStudy):
        return
    study, _ = line_of(lambda: study_of(name, settings=text))
    configs, _ = line_of(lambda: configs_of(study)) if study else (None, "")
    if configs is None:
        return
    assert configs
    for setting, value in written_settings(study.settings).items():
        if setting == "preset":
            assert value in PRESETS
        elif setting != "choices":
            assert is_visible(study, setting, value, configs), f"{setting}={value} is taken and does nothing"


@st.composite
def parameter_changes(draw):
    """A study's name, and other values for one or two of its parameters."""
    name = draw(st.sampled_from(sorted(STUDIES)))
    fields = sorted(STUDIES[name].model_fields)
    return name, draw(st.dictionaries(st.sampled_from(fields), VALUES, min_size=1, max_size=2))


@same_each_time(500)
@given(parameter_changes())
def test_parameters_are_refused_in_a_line_or_change_the_report(change):
    name, values = change
    study, _ = line_of(lambda: study_of(name, **values))
    if study is None:
        return
    for field, value in values.items():
        kept = getattr(study, field)
        words = [" ".join(str(text).split()) for text in (kept, value)]
        assert kept == value or words[0] == words[1] or field == "rivals", "it is taken as another value"
    default = study_of(name)
    changed = any(getattr(study, f) != getattr(default, f) for f in values if f not in ("workers", "scheduler"))
    report, _ = line_of(lambda: study.name)
    if report is not None:
        assert (report != default.name) == changed
        assert "/" not in report and len(report.encode()) <= 120
    if isinstance(study, TrainingStudy):
        line_of(study.plan)
    line_of(study.setup)


@same_each_time(400)
@given(
    dataset=st.one_of(st.sampled_from([*sorted(DATASETS), "mirflickr:24581", ""]), TEXTS),
    text=st.lists(
        st.tuples(st.one_of(st.sampled_from(OPTIONS), TEXTS, st.sampled_from(["name", "root", "folder"])), WORDS).map(
            "=".join
        ),
        min_size=1,
        max_size=2,
    ).map(" ".join),
)
def test_data_options_are_numbers_that_a_loader_takes_or_are_refused(dataset, text):
    options, _ = line_of(lambda: data_options(text, dataset))
    for name, value in (options or {}).items():
        assert name in OPTIONS
        if name == "ignore_classes":
            assert value and all(isinstance(part, str) and part for part in value)
        elif name == "label_missing":
            assert 0 <= value < 2**63
        else:
            assert isinstance(value, int) and (0 if name == "seed" else 1) <= value < 2**63


def commands(command, path=()):
    """(path, command) of every command, those of groups too."""
    if hasattr(command, "commands"):
        return [found for name, sub in command.commands.items() for found in commands(sub, (*path, name))]
    return [(path, command)]


COMMANDS = commands(get_command(app))
FETCHES = {"--download", "--help", "--install-completion", "--show-completion"}  # from elsewhere, or nothing to refuse


@st.composite
def command_lines(draw):
    """The words of a command with any of its options and arguments; nothing that they name exists."""
    path, command = draw(st.sampled_from(COMMANDS))
    words = list(path)
    for parameter in command.params:
        names = [name for name in parameter.opts if name.startswith("-") and name not in FETCHES]
        if names and draw(st.integers(0, 3)) == 0:
            is_flag = getattr(parameter, "is_flag", False)
            words += [draw(st.sampled_from(names)), *([] if is_flag else [draw(WORDS)])]
        elif not any(name.startswith("-") for name in parameter.opts) and draw(st.integers(0, 5)):
            words.append(draw(TEXTS))
    return words


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory):
    """A folder that holds nothing: no notebook, no run, no data."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("DCMQ_HOME", str(folder))
        patch.setenv("DCMQ_REPORTS", str(folder / "reports"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.chdir(folder)
        yield folder


@same_each_time(200)
@given(words=command_lines())
def test_a_command_ends_well_or_in_one_line(words, empty_home):
    result = dcmq(*words)
    assert result.exit_code in (0, 1, 2), words
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note")]
    assert len(lines) <= 1 and (lines or not result.exit_code), (words, result.stderr)
    assert "Traceback" not in result.output


def test_the_inputs_are_two_thousand_in_all():
    source = Path(__file__).read_text()
    counts = [int(part.partition(")")[0]) for part in source.split("@same_each_time(")[1:] if part[0].isdigit()]
    assert sum(counts) == 2000
