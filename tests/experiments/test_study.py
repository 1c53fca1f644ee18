"""Names of reports, and the settings of planned runs."""

import json
import re
import shlex
from pathlib import Path

import pytest
from notebook_parameters import NOTEBOOKS, parameters

from dcmq.core.errors import DcmqError
from dcmq.experiments.choices import chosen_settings
from dcmq.experiments.parameters import defaults
from dcmq.experiments.plan import method_variants
from dcmq.experiments.settings import PROFILES
from dcmq.experiments.study import TrainingStudy, teacher_label
from dcmq.reporting.report import plan_text, write_record
from dcmq.studies.registry import STUDIES, reading_order

REPORTS = [file.parent for file in sorted((Path(__file__).parents[2] / "reports").glob("*/*/record.json"))]
REPORTS = [folder for folder in REPORTS if folder.parent.name in STUDIES]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("clip", "clip"),
        ("open_clip:ViT-B-32/openai", "open_clip_ViT-B-32_openai"),
        ("precomputed:/home/me/teacher.npz", "precomputed"),
        ("declip-rn50:/home/me/file.pth", "declip-rn50"),
        ("no-such/teacher", "no-such_teacher"),
    ],
)
def test_of_a_file_a_teacher_has_the_name_of_its_kind(name, label):
    assert teacher_label(name) == label


def test_a_report_is_named_by_what_its_numbers_depend_on():
    assert parameters("main_results").name == "scenes-clip-32-64-128bits-demo"
    one, other = (parameters("teachers", teacher=f"clip,precomputed:{file}").name for file in ("a/b.npz", "a/c.npz"))
    assert one.startswith("scenes-clip-precomputed-64bits-demo-") and len(one) == len(other) and one != other
    assert parameters("main_results", epochs=3, dataset="mirflickr:24581").name.startswith("mirflickr_24581-clip-")


@pytest.mark.parametrize("name", reading_order())
def test_a_studys_defaults_are_those_of_its_notebook(name):
    """So the folder of the defaults has a plain name, and any other question one with a hash."""
    written = defaults(NOTEBOOKS / f"{name}.ipynb")
    assert {parameter: type(parameters(name)).model_fields[parameter].default for parameter in written} == written


OTHERS = {  # another value for a parameter, where it cannot be made of the default alone
    "profile": "paper",
    "dataset": "folder",
    "data_options": "train=300",
    "settings": "learning_rate=0.002",
    "npc_scope": "dataset",
    "methods": "DCMQ,CMHH",
    "controls": "teacher-labels",
    "conditions": "K 256",
    "texts": "captions",
    "gallery_texts": "names",
    "idea": "raw",
    "rivals": "multihot",
    "backbones": "small_vit",
    "presets": "author_priors",
    "bits": "16",
    "seeds": "7",
    "tower_seeds": "1",
    "tau_sweep": "0.7",
    "factors": "3",
}


def other_value(study, name):
    default = study.model_fields[name].default
    if isinstance(default, bool):
        return not default
    return OTHERS.get(name, f"{default}0") if isinstance(default, str) else default + 4


@pytest.mark.parametrize("name", reading_order())
def test_each_parameter_that_changes_numbers_gives_the_report_another_folder(name):
    plain = parameters(name)
    names = {plain.name}
    changed = [field for field in type(plain).model_fields if field not in ("workers", "scheduler")]
    for field in changed:
        names.add(plain.model_copy(update={field: other_value(type(plain), field)}).name)
    assert len(names) == len(changed) + 1
    assert plain.model_copy(update={"workers": 1, "scheduler": "tcp://127.0.0.1:1"}).name == plain.name


def test_every_example_in_the_list_of_notebooks_has_a_folder_of_its_own():
    text = (NOTEBOOKS / "README.md").read_text()
    examples = re.findall(r"\| \[(\w+)\]\(\1\.ipynb\) .*\| `(-p .*)` \|$", text, re.M)
    assert [name for name, _ in examples] == list(reading_order())
    for name, words in examples:
        _, parameter, value = shlex.split(words)
        kind = type(type(parameters(name)).model_fields[parameter].default)
        assert parameters(name, **{parameter: kind(value)}).name != parameters(name).name, name


@pytest.mark.parametrize("folder", REPORTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_committed_report_lies_in_the_folder_of_its_parameters(folder, monkeypatch):
    monkeypatch.setenv("DCMQ_REPORTS", str(folder.parents[1]))
    record = json.loads((folder / "record.json").read_text())
    assert STUDIES[record["notebook"]](**record["parameters"]).folder == folder


def test_a_report_that_is_there_keeps_its_folder_and_no_other_takes_it(home):
    one, other = parameters("ablation_pqg", teacher="clip-wide", seeds="0"), parameters("ablation_pqg", teacher="clip-wide")
    assert one.folder == home / "reports" / "ablation_pqg" / one.name != other.folder
    named = other.folder  # as somebody named it who wrote the first report there
    write_record(named / "record.json", one.model_dump(exclude={"scheduler"}), [])
    assert one.folder == named
    assert other.folder == named.with_name(other.folder.name) != named and other.folder.name.startswith(named.name)
    write_record(other.folder / "record.json", other.model_dump(), [])
    assert one.folder == named and other.model_copy(update={"workers": 1}).folder == other.folder


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda text: text.replace('"clip-wide"', '"clip"'), "was damaged or edited"),
        (lambda text: text[: len(text) // 2], "cannot be read"),
        (lambda text: "", "cannot be read"),
        (lambda text: "{" * 10_000, "cannot be read"),
        (lambda text: "[]", "damaged"),
        (lambda text: '{"runs": []}', "is no record of a report"),
        (lambda text: '{"parameters": 3}', "is no record of a report"),
        (lambda text: '{"parameters": ["ab", "c"]}', "is no record of a report"),
    ],
)
def test_the_folder_of_a_damaged_report_is_left_alone_and_named(home, capsys, damage, line):
    study = parameters("ablation_pqg", teacher="clip-wide")
    first = study.folder
    record, after = first / "record.json", []
    for _ in range(2):  # the second report is damaged, too
        write_record(study.folder / "record.json", study.model_dump(), [])
        written = study.folder
        assert written not in after and written.name.startswith(first.name)
        content = damage((written / "record.json").read_text())
        (written / "record.json").write_text(content)
        after.append(written)
        capsys.readouterr()
        assert study.folder not in after and (written / "record.json").read_text() == content
        said = [text for text in capsys.readouterr().err.splitlines() if str(written / "record.json") in text]
        assert len(said) == 1 and line in said[0] and "nothing is written to its folder" in said[0]
    for folder in after:
        (folder / "record.json").unlink()
    assert study.folder == record.parent, "what was deleted is free again"


@pytest.mark.parametrize("words", ["moon " * 500, "Ж" * 100, "..", "a/../b", "moon\tstar", "雪" * 80, "C:\\x"])
def test_a_folders_name_is_one_that_any_disk_takes_and_of_this_query_alone(words, tmp_path):
    name, another = (parameters("quickstart", words=text).name for text in (words, words + " boat"))
    assert name != another and len(name.encode()) <= 120 and not set(name) & set("/:\\\t")
    (tmp_path / name).mkdir()
    assert (tmp_path / name).parent == tmp_path


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (dict(seeds=""), "seeds: none is given"),
        (dict(seeds=str(2**64)), "seeds: 18446744073709551616 is none; a seed is a whole number from 0"),
        (dict(seeds="-1"), "seeds: -1 is none"),
        (dict(seeds="9" * 300), "a word of 300 letters is longer than any name may be"),
        (dict(seeds="1_0"), "'1_0' is no comma-separated list of int values"),
        (dict(bits="6_4"), "'6_4' is no comma-separated list of int values"),
        (dict(settings="epochs=1_0"), "settings: epochs='1_0' is no number"),
        (dict(bits=""), "bits: none is given"),
        (dict(bits="0,32"), "bits: 0 is no length of a code"),
        (dict(methods="", controls=""), "nothing to run: name at least one of methods or controls"),
        (dict(teacher=""), "teacher is empty"),
        (dict(teacher="x" * 5000), "teacher: a word of 5,000 letters is longer than any name may be"),
        (dict(data_root="/data/" + "x" * 5000), "data_root: a word of 5,000 letters"),
        (dict(data_root="a\0b"), "data_root: 'a\\x00b' holds a character that cannot be written"),
        (dict(dataset="\udcff"), "holds a character that cannot be written"),
        (dict(workers=10**9), "parameter 'workers'"),
        (dict(data_options="train=1e2"), "data_options: train=1e2 is not NAME=NUMBER; train is a whole number"),
    ],
)
def test_parameters_that_cannot_be_get_one_line_in_the_first_cell(changes, line):
    with pytest.raises(DcmqError) as caught:
        parameters("main_results", **changes).plan()
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_parameter_to_copy_is_quoted_as_a_shell_wants_it():
    with pytest.raises(DcmqError) as caught:
        parameters("ablation_npc", settings='npc_scope="a b"')
    assert shlex.split(str(caught.value).partition("say ")[2]) == ["-p", "npc_scope", "a b"]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -float("inf")])
def test_no_number_of_a_notebook_may_be_infinite(value):
    for name in reading_order():
        for field, about in type(parameters(name)).model_fields.items():
            if about.annotation is float:
                with pytest.raises(DcmqError, match=f"parameter '{field}'"):
                    parameters(name, **{field: value})


def test_each_row_has_what_was_chosen_for_it_and_what_is_written_stands():
    chosen = {row: chosen_settings("scenes-demo", row) for row in ("DCMQ", "DCMQ-identity", "DCMH")}
    study, written = parameters("main_results"), parameters("main_results", settings="learning_rate=0.5")
    for row, settings in chosen.items():
        (variant,) = method_variants(row)
        config = study.run(variant, 64, 0).config
        assert config.learning_rate == settings["learning_rate"]
        assert config.backbone_lr_factor == settings["backbone_lr_factor"]
        assert written.run(variant, 64, 0).config.learning_rate == 0.5
    assert study.run(*method_variants("DCMH"), 64, 0).config.options == {"eta": chosen["DCMH"]["DCMH.eta"]}
    assert study.run(*method_variants("DCMQ-identity"), 64, 0).config.tau == chosen["DCMQ-identity"]["tau"]


def test_choices_stand_on_their_data_set_alone():
    plain = parameters("main_results", settings="choices=").config()
    assert plain.learning_rate == PROFILES["demo"]["learning_rate"]
    assert parameters("main_results", dataset="folder", data_root="x").config().learning_rate == plain.learning_rate
    with pytest.raises(DcmqError, match="choices=scene-demo is no search; did you mean scenes-demo"):
        parameters("main_results", settings="choices=scene-demo").config()


def test_a_part_that_is_not_registered_is_refused_when_runs_are_planned():
    with pytest.raises(DcmqError, match="target: 'ncp' is not registered; did you mean npc?"):
        parameters("ablation_pqg", settings="target=ncp").plan()


@pytest.mark.parametrize(
    ("changes", "encoder", "weights"),
    [
        ({}, "resnet18", "imagenet"),
        ({"settings": "backbone_weights="}, "resnet18", ""),
        ({"settings": "backbone_weights=mine.pth"}, "resnet18", "mine.pth"),
        ({"settings": "image_encoder=resnet18"}, "resnet18", "imagenet"),
        ({"settings": "image_encoder=small_resnet"}, "small_resnet", ""),  # another encoder than the weights are of
        ({"settings": "image_encoder=resnet50 backbone_weights=imagenet"}, "resnet50", "imagenet"),
        ({"profile": "demo"}, "small_resnet", "scenes-objects"),
        ({"profile": "demo", "settings": "backbone_weights="}, "small_resnet", ""),
        ({"profile": "demo", "settings": "image_encoder=small_convnet"}, "small_convnet", ""),
    ],
)
def test_the_papers_student_starts_from_imagenets_weights(changes, encoder, weights):
    study = parameters("ablation_npc", **{"profile": "paper"} | changes)
    plan = study.plan()
    assert {(run.config.student.image_encoder, run.config.student.backbone_weights) for run in plan} == {
        (encoder, weights)
    }
    words = f"pretrained: {weights}" if weights else "from scratch"
    assert f"student {encoder} ({words}) at {plan[0].config.student.image_size} px" in plan_text(plan)


@pytest.mark.parametrize("name", reading_order())
def test_rows_with_another_encoder_than_the_profiles_name_their_own_weights(name):
    """A row of small_vit, say, could not be trained from ImageNet's weights of ResNet-18."""
    study = parameters(name)
    if not isinstance(study, TrainingStudy):
        return
    for run in parameters(name, profile="paper").plan():
        student = run.config.student
        assert (student.backbone_weights == "imagenet") == (student.image_encoder == "resnet18")


def test_of_weights_from_a_file_the_plan_says_its_name_alone():
    plan = parameters("ablation_npc", settings="image_encoder=resnet18 backbone_weights=/home/me/mine.pth").plan()
    assert "resnet18 (pretrained: mine.pth)" in plan_text(plan)
