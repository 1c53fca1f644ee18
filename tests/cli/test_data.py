"""``dcmq data`` on miniature data sets."""

import shlex
import warnings

import miniature
import pytest
from commands import dcmq, run_command
from PIL import Image

from dcmq.core.errors import DcmqError
from dcmq.data.datasets import load_dataset

SMALL = ["--expect", "none", "--image-size", "8", "--query", "5", "--train", "12"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))


@pytest.fixture
def coco(tmp_path):
    return miniature.coco(tmp_path / "coco")


def facts(printed):
    """Printed names and values."""
    return dict(line.split(maxsplit=1) for line in printed.splitlines() if line[0] != " ")


def test_from_files_to_a_verified_folder(coco, tmp_path):
    out = tmp_path / "out"
    printed = run_command("data", "prepare", "coco", "--root", coco, "--out", out, *SMALL)
    assert facts(printed)["folder"] == str(out) and "2 without label" in printed
    assert facts(printed)["use"] == f"it       -p dataset coco -p data_root {out}"
    assert "counts not compared with published ones" in printed
    assert facts(printed)["fingerprint"] == facts(run_command("data", "info", "coco", "--root", out))["fingerprint"]
    assert "files by SHA-256, index files, fingerprint" in run_command("data", "verify", "coco", "--root", out)
    assert len(load_dataset("coco", str(out)).split.train) == 12
    (out / "images.npy").write_bytes(b"")
    result = dcmq("data", "verify", "coco", "--root", out)
    assert result.exit_code == 1 and "images.npy is 0 bytes long" in result.stderr and result.stderr.count("\n") == 1


def test_the_folder_is_found_below_the_root_where_none_is_named(coco):
    run_command("data", "prepare", "coco", "--root", coco, *SMALL)
    assert (coco / "prepared" / "coco" / "dataset.json").is_file()
    assert facts(run_command("data", "info", "coco", "--root", coco))["folder"] == str(coco / "prepared" / "coco")


def test_commands_to_copy_are_quoted_as_a_shell_wants_it(coco, tmp_path):
    out = tmp_path / "it's `mine` $HOME"
    printed = run_command("data", "prepare", "coco", "--root", coco, "--out", out, *SMALL)
    assert shlex.split(facts(printed)["use"]) == ["it", "-p", "dataset", "coco", "-p", "data_root", str(out)]
    (tmp_path / "not prepared").mkdir()
    (tmp_path / "not prepared" / "file").touch()
    with pytest.raises(DcmqError, match="is not prepared under") as caught:
        load_dataset("mirflickr", str(tmp_path / "not prepared"))
    words = shlex.split(str(caught.value).rpartition(": ")[2])
    assert words == ["dcmq", "data", "prepare", "mirflickr", "--root", str(tmp_path / "not prepared")]


def test_options_reach_the_reader(coco):
    printed = run_command(
        "data", "prepare", "coco", "--root", coco, "--ignore-classes", "person", "--seed", "3", *SMALL
    )
    choices = facts(printed)["choices"]
    assert '"seed": 3' in choices and "person" in choices


def test_what_is_left_out_is_a_note(tmp_path):
    root = miniature.folder(tmp_path / "own")
    (root / "bilder" / "größe 1.jpg").unlink()
    with pytest.warns(UserWarning, match="1 samples left out"):
        printed = run_command("data", "prepare", "folder", "--root", root, "--image-size", "8", "--skip-missing")
    assert "not on disk" in facts(printed)["left"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("prepare cocoo --root {root}", "no data set 'cocoo' to prepare; did you mean coco?"),
        ("prepare coco:2014 --root {root}", "no data set 'coco:2014'"),
        ("prepare scenes --root {root}", "no data set 'scenes' to prepare"),
        ("prepare coco --root {root}/none", "none does not exist"),
        ("prepare coco --root {root}", "--expect none"),
        ("prepare coco --root {root} --expect none --query 0", "query is 0, and must be at least 1"),
        ("prepare folder --root {root} --download", "nothing to download"),
        ("prepare folder --root {root} --table none.csv", "there is no table"),
        ("verify coco --root {root}", "coco is not prepared under"),
        ("info mirflickr --root {root}", "mirflickr is not prepared under"),
        ("info cocoo --root {root}", "did you mean coco?"),
    ],
)
def test_a_mistake_is_one_line(coco, words, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = dcmq("data", *words.format(root=coco).split())
    assert result.exit_code == 1 and message in result.stderr and result.stderr.count("\n") == 1


def test_a_folder_that_may_not_be_written_is_one_line(coco, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", "/out")

    monkeypatch.setattr("dcmq.data.prepare.prepare", denied)
    result = dcmq("data", "prepare", "coco", "--root", coco)
    assert (result.exit_code, result.stderr) == (1, "/out: no permission; change that, or choose another folder\n")


def test_options_of_a_table_reach_the_reader(tmp_path):
    root = miniature.folder(tmp_path / "a folder")
    lines = (root / "table.csv").read_text(encoding="utf-8-sig").splitlines()
    files = [line.split(",")[1] for line in lines[1:31]]
    rows = [
        "image,caption,text,labels",
        *(f"{f},wort eins,wort zwei,{'Dog/cat' if i % 2 else 'dog'}" for i, f in enumerate(files)),
    ]
    (root / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    words = ["data", "prepare", "folder", "--root", root, "--image-size", "8"]
    result = dcmq(*words)
    assert result.exit_code == 1 and "--text-column caption,text for all" in result.stderr
    printed = run_command(*words, "--text-column", "text", "--separator", "/", "--fold-case")
    assert "2 classes" in printed and f"-p data_root '{root}/prepared/folder'" in printed
    outside = tmp_path / "outside.jpg"
    miniature.image(outside, "outside")
    (root / "table.csv").write_text("\n".join([*rows, f"{outside},wort,wort,cat"]), encoding="utf-8")
    words += ["--text-column", "text"]
    result = dcmq(*words)
    assert result.exit_code == 1 and "outside.jpg in line 32" in result.stderr and result.stderr.count("\n") == 1
    assert "31 images" in run_command(*words, "--allow-outside")


def test_what_a_data_set_does_not_know_is_refused(coco):
    for words, message in {
        "--table x.csv": "coco knows no table: leave it out (it knows: ignore_classes)",
        "--fold-case": "coco knows no fold case",
        "--allow-outside": "coco knows no allow outside",
        "--mat": "coco is not in circulation as .mat files: leave --mat out",
        "--mat --ignore-classes dog": "coco knows no ignore classes",
    }.items():
        result = dcmq("data", "prepare", "coco", "--root", coco, *words.split(), *SMALL)
        assert result.exit_code == 1 and message in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("root", ["x" * 5000, "~nobody/x"])
def test_a_root_that_no_disk_can_hold_is_one_line(root):
    result = dcmq("data", "prepare", "folder", "--root", root)
    assert result.exit_code == 1 and "does not exist" in result.stderr and result.stderr.count("\n") == 1


def test_an_image_of_too_many_pixels_is_named_in_the_summary(tmp_path, monkeypatch):
    root = miniature.folder(tmp_path / "own", n=120)
    monkeypatch.setattr("dcmq.data.open_images.MOST_PIXELS", 12 * 16)
    Image.new("L", (16, 13)).save(root / "bilder" / "größe 1.jpg", "PNG")
    with pytest.warns(UserWarning, match="208 pixels, more than 192"):
        printed = run_command("data", "prepare", "folder", "--root", root, "--image-size", "8")
    assert facts(printed)["broken"] == "bilder/größe 1.jpg (208 pixels, more than 192)"


def test_a_split_that_does_not_fit_is_said_before_decoding(coco):
    words = [w for w in SMALL if w not in ("--query", "5", "--train", "12")]
    result = dcmq("data", "prepare", "coco", "--root", coco, *words)
    assert "28 samples are too few for query=5000 and train=10000: choose both" in result.stderr
    assert not list(coco.rglob("images.*"))
    result = dcmq("data", "prepare", "coco", "--root", coco, *SMALL, "--seed", "-1")
    assert "seed is -1, and must be at least 0" in result.stderr


@pytest.mark.parametrize(
    "out",
    [
        "{root}/annotations/instances_val2014.json",
        "{root}/annotations/instances_val2014.json/x",
        "{root}/" + "x" * 5000,
    ],
)
def test_a_prepared_folder_that_cannot_be_is_one_line(coco, out):
    result = dcmq("data", "prepare", "coco", "--root", coco, "--out", out.format(root=coco), *SMALL)
    last = result.stderr.splitlines()[-1]
    assert result.exit_code == 1 and (last.startswith(str(coco)) or "too long for a file or folder" in last)
    assert "Traceback" not in result.stderr
