"""A student handed on: what is in the folder, and the hub's answers, good and bad."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import dcmq
from finished_run import CONFIG, VOCABULARY, write_finished_run
from huggingface_hub import metadata_load
from PIL import Image
from records import write_run, write_unfinished
from whole_run import whole_record, write_whole_run

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors
from dcmq.experiments.run_files import INPUTS, RECORD
from dcmq.methods.dcmq.student import make_student
from dcmq.search.collection import Collection
from dcmq.search.pretrained import MODEL, PretrainedStudent
from dcmq.search.runs import model_of
from dcmq.sharing.description import convention, preprocessing, vocabulary, without_local_folders
from dcmq.sharing.push import push_to_folder

TESTS = Path(__file__).parents[1]
FILES = {
    "model.safetensors",
    "record.json",
    "config.json",
    "vocabulary.json",
    "preprocessing.json",
    "metrics.json",
    "README.md",
}


@pytest.fixture
def run(home):
    """The folder of a finished run with a whole record."""
    return write_whole_run(home)


@pytest.fixture
def pushed(run, tmp_path):
    """What is pushed of it."""
    push_to_folder(run, tmp_path / "pushed")
    return tmp_path / "pushed"


@pytest.fixture
def images(tmp_path):
    folder, rng = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for i in range(5):
        Image.fromarray(rng.integers(0, 256, (50 + i, 70, 3)).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def content_of(file):
    """The bytes of a file; of tensors what they hold, as safetensors orders the texts beside them by chance."""
    if file.suffix != ".safetensors":
        return file.read_bytes()
    tensors, meta = load_tensors(file)
    return {name: value.tolist() for name, value in tensors.items()}, meta


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_the_student_is_the_same_to_the_bit_from_run_to_collection(run, pushed, images, tmp_path):
    files, texts = sorted(images.iterdir()), ["red boat", "größe", "sea blue"]
    before, after = model_of(run), PretrainedStudent.from_pretrained(pushed)
    assert torch.equal(before.encode_images(files)[0], after.encode_images(files)[0])
    assert torch.equal(before.encode_texts(texts), after.encode_texts(texts))
    assert (before.quantize_images(files)[0] == after.quantize_images(files)[0]).all()
    of_run, of_folder = (Collection.create(tmp_path / name, model_of(f)) for name, f in (("a", run), ("b", pushed)))
    for collection in (of_run, of_folder):
        collection.update_images(images)
    assert (of_run.load_index("images").codes == of_folder.load_index("images").codes).all()
    assert of_run.search("images", text="red") == of_folder.search("images", text="red")
    again = push_to_folder(pushed, tmp_path / "again" / "pushed")  # a pushed folder can be pushed on
    assert {file.name: content_of(file) for file in again} == {f.name: content_of(f) for f in pushed.iterdir()}


def test_every_fact_stands_in_the_record_or_in_the_student(run, pushed):
    assert {file.name for file in pushed.iterdir()} == FILES
    record, student = whole_record(), PretrainedStudent.from_pretrained(pushed)
    assert read(pushed, RECORD) == record and student.config == CONFIG == TrainConfig.model_validate(record["config"])
    settings = read(pushed, "config.json")["settings"]
    flat = {name: part["value"] for name, part in settings.items() if name != "student"}
    flat["student"] = {name: part["value"] for name, part in settings["student"].items()}
    assert flat == record["config"]
    assert settings["student"]["num_codewords"]["provenance"] == StudentConfig.model_fields["num_codewords"].description
    assert settings["tau_target"]["provenance"].startswith("of targets alone, ours")
    assert read(pushed, "vocabulary.json") == {"words": list(student.vocabulary)} == {"words": list(VOCABULARY)}
    described = read(pushed, "metrics.json")
    assert described["data"] == record["dataset"] and described["R"] == record["evaluation"]["R"]
    for row in described["metrics"]:
        value = record["evaluation"][row["direction"]][row["gallery"]]
        name = row["metric"]
        if name not in value:  # at a cut or a level
            group = next(n for n in value if name.startswith(n.removesuffix("N")) and isinstance(value[n], dict))
            value, name = value[group], name.removeprefix(group.removesuffix("N")).strip()
        assert value[name] == row["value"]
    assert {(row["direction"], row["gallery"]) for row in described["metrics"]} >= {
        ("i2t", "unseen"),
        ("t2t", "unseen"),
    }
    assert not [name for name, sentence in described["conventions"].items() if sentence.startswith("see ")]
    assert described["own pair"]["t2i"] == record["evaluation"]["t2i"]["own pair"]
    index = metadata_load(pushed / "README.md")["model-index"][0]
    stated = {metric["name"]: metric["value"] for metric in index["results"][0]["metrics"]}
    assert (
        stated["mAP@all, t2i, items that were not trained on, as codes"]
        == record["evaluation"]["t2i"]["unseen"]["mAP@all"]
    )


def test_who_follows_the_preprocessing_gets_the_embedding(pushed, images):
    """Written with Pillow, torch and numpy alone from the numbers in the files."""
    student, steps = PretrainedStudent.from_pretrained(pushed), read(pushed, "preprocessing.json")
    decode, first, second, normalize, encode = steps["image"]
    file = images / "3.png"
    with Image.open(file) as image:
        x = np.asarray(image.convert(decode["mode"]).resize(first["size"], Image.Resampling.BILINEAR))
    x = torch.from_numpy(x.copy()).permute(2, 0, 1)[None]
    x = torch.nn.functional.interpolate(x, second["size"], mode="bilinear", antialias=True).float()
    mean, std = (torch.tensor(normalize[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        embedding = student.student.image_encoder((x - mean) / std)
    torch.testing.assert_close(embedding, student.encode_images([file])[0])
    assert embedding.shape[1] == encode["numbers"] and list(x.shape[1:]) == encode["input"][1:]
    _, find, bag, _ = steps["text"]
    words = re.findall(find["pattern"], "A RED, red Größe".casefold())
    columns = read(pushed, bag["columns"])["words"]
    assert student.bags(["A RED, red Größe"])[0].tolist() == [float(word.casefold() in words) for word in columns]
    cut, choose, pack = steps["code"]
    codebooks = load_tensors(pushed / MODEL)[0][choose["codebooks"]]
    assert codebooks.shape == (cut["parts"], choose["codewords"], cut["numbers each"])
    parts = torch.nn.functional.normalize(embedding.view(cut["parts"], -1), dim=1)
    numbers = torch.einsum("md,mkd->mk", parts, torch.nn.functional.normalize(codebooks, dim=2)).argmax(1)
    bits = "".join(f"{int(n):0{pack['bits each']}b}" for n in numbers)
    expected = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert student.quantize_images([file])[0][0].tolist() == expected and len(expected) == pack["bytes"]


def test_a_student_of_tokens_names_its_tokenizer():
    student = CONFIG.student.model_copy(update={"text_encoder": "small_clip", "text_input": "caption"})
    config = CONFIG.model_copy(update={"student": student})
    model = PretrainedStudent(make_student(config, 0), config, (), 40, "")
    assert vocabulary(model) == {"tokenizer": "small_clip"}
    assert preprocessing(model)["text"][0] == {"step": "tokenize", "tokenizer": "small_clip", "trained on": "caption"}


def test_folders_of_this_machine_stay_here(run, tmp_path):
    assert without_local_folders({"a": ["/home/me/x.npz", 1]}) == {"a": ["x.npz", 1]}
    kept = ("open_clip ViT-B-32 / openai", "open_clip:ViT-B-32/openai", "scenes", "1/2", "weights/x.pt")
    assert [without_local_folders(name) for name in kept] == list(kept)
    assert without_local_folders("precomputed:~/a b/t.npz") == "precomputed:a b/t.npz"
    assert without_local_folders("open_clip:RN50//home/me/w.pt") == "open_clip:RN50/w.pt"
    record = whole_record()
    record["config"]["student"]["backbone_weights"] = "/home/alice/secret/resnet.pth"
    record["teacher"]["name"] = "precomputed:/home/alice/t.npz"
    (run / RECORD).write_text(json.dumps(record))
    for file in push_to_folder(run, tmp_path / "p"):
        assert b"alice" not in file.read_bytes(), file
    assert PretrainedStudent.from_pretrained(tmp_path / "p").config.student.backbone_weights == "resnet.pth"


def test_the_command_writes_and_says_how_to_load(run, tmp_path):
    result = dcmq("push", "npc-32", tmp_path / "out", "--license", "mit")
    assert result.exit_code == 0 and {file.name for file in (tmp_path / "out").iterdir()} == FILES
    assert f"PretrainedStudent.from_pretrained('{tmp_path / 'out'}')" in result.stdout
    assert f"dcmq search build photos --run {tmp_path / 'out'} --images DIR" in result.stdout
    assert "no license" not in result.stdout and "no license" in dcmq("push", run, tmp_path / "other").stdout
    assert metadata_load(tmp_path / "out" / "README.md")["license"] == "mit"


@pytest.mark.parametrize("name", ["with blanks", "it's", "$HOME `x` &", 'a"b', "größe", "-x"])
def test_commands_to_copy_are_quoted_as_a_shell_wants_it(run, tmp_path, name):
    target = tmp_path / name
    result = dcmq("push", "npc-32", target)
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("search ")]
    assert shlex.split(line.removeprefix("search"))[4:] == ["--run", str(target), "--images", "DIR"]
    card = (target / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall("^dcmq search build .*", card, re.M)
    assert shlex.split(command)[4:6] == ["--run", name]
    (call,) = re.findall(r"from_pretrained\((.*)\)", card)
    assert ast.literal_eval(call) == name


def test_mistakes_are_one_line_and_leave_nothing(run, home, tmp_path):
    (write_run(home, "aaaa", method="CMHH") / INPUTS).write_text("{}")
    write_unfinished(home, "bbbb", 2)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    for words, message in (
        (("aaaa", tmp_path / "x"), "only students of DCMQ"),
        (("raw-16", tmp_path / "x"), "is not finished"),
        ((home / "runs" / "raw-16bits-seed3-bbbb", tmp_path / "x"), "is no finished run"),
        (("nothing", tmp_path / "x"), "there is no run 'nothing'"),
        ((run, full), "is there already and not empty"),
        ((run, full / "mine.txt"), "is there already and not empty"),
        ((run, full / "mine.txt" / "x"), "cannot write"),
    ):
        result = dcmq("push", *words)
        assert result.exit_code == 1 and message in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert dcmq("push", run, tmp_path / "x", "--private").exit_code == 2
    assert not (tmp_path / "x").exists() and sorted(full.iterdir()) == [full / "mine.txt"]


def test_a_record_that_lacks_something_is_named(home, tmp_path):
    run = write_finished_run(home)  # its record has settings alone
    with pytest.raises(DcmqError, match="is no whole record of a run"):
        push_to_folder(run, tmp_path / "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_cut_checkpoint_is_not_pushed(run, tmp_path):
    file = run / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DcmqError, match="cannot be read"):
        push_to_folder(run, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_conventions_name_the_number_in_the_metric():
    assert "among the first 500;" in convention("mAP@500 (hits)") and "first 20 " in convention("precision@20")
    assert convention("something new") == "see dcmq.retrieval.evaluate"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """What came back in ``hub_session.py``, and the folders of the run and of the hub's files."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("hub")
    run = write_whole_run(home)
    own = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, TESTS / "hub_session.py", run, folder],
        env=own | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}", "DCMQ_HOME": str(home)},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), run, folder


@pytest.mark.slow
def test_the_hub_gives_back_what_was_pushed(session, tmp_path):
    answers, run, folder = session
    assert answers["pushed"] == f"{answers['address']}/me/student" and answers["commits"] == 1 and answers["same bytes"]
    push_to_folder(run, tmp_path / "student", "mit")
    for name in FILES - {"README.md"}:  # the card tells another way to load it
        assert content_of(folder / name) == content_of(tmp_path / "student" / name), name
    assert 'from_pretrained("me/student")' in (folder / "README.md").read_text()
    assert "hf download me/student --local-dir student" in (folder / "README.md").read_text()
    expected = model_of(run).codebooks.flatten()[:3].tolist()
    for step in ("loaded", "named as of the hub", "by its commit", "broken, here", "gone, here"):
        assert answers[step] == expected, step


@pytest.mark.slow
def test_a_private_repository_is_private(session):
    answers, _, _ = session
    assert answers["private"] == ["me/secret"] and answers["pushed private"].endswith("/me/secret")
    assert "is there already and public" in answers["public already"] and answers["other"] == ["README.md"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("no revision", "has no such branch, tag or commit"),
        ("no repository", "has no me/none that you may read or write (404)"),
        ("no student", "holds no student that dcmq push wrote"),
        ("damaged", "delete the file, and it is fetched again"),
        ("no name", "'a/b/c' is no repository of the hub: write user/name"),
        ("wrong token", "has no me/new that you may read or write (401)"),
        ("private to others", "has no me/secret that you may read or write (401)"),
        ("no token", "nobody is logged in to the hub: hf auth login"),
        ("broken push", "cannot serve me/new now (Server error '500"),
        ("broken, not here", "cannot serve me/new now (Server error '500"),
        ("gone push", "cannot be reached for me/new"),
        ("gone, not here", "cannot be reached for me/new"),
    ],
)
def test_what_the_hub_refuses_is_one_line(session, step, message):
    answers, _, _ = session
    line = answers[step]
    assert line.startswith("DcmqError: ") and message in line and "\n" not in line, line
    assert answers["asked without token"] == []
