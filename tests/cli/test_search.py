"""``dcmq search``: from a run to hits, and every mistake on the way."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import dcmq, run_command
from finished_run import write_finished_run
from PIL import Image

from dcmq.codes.engines import ENGINES
from dcmq.core.errors import DcmqError
from dcmq.search.collection import Collection


@pytest.fixture
def images(tmp_path):
    """Four images in two folders, a broken one, a file that is none, and one that is no text."""
    root, rng = tmp_path / "images", np.random.default_rng(0)
    (root / "in ner").mkdir(parents=True)
    for i, name in enumerate(("a.png", "b.JPG", "in ner/größe.png", "c.webp")):
        Image.fromarray(rng.integers(0, 256, (50 + i, 60, 3)).astype(np.uint8)).save(root / name)
    (root / "broken.jpg").write_bytes(b"no image")
    (root / "broken.bin").write_bytes(b"\xff\xfe\x00")
    return root


@pytest.fixture
def run_folder(home):
    """The folder of a finished run."""
    return write_finished_run(home)


@pytest.fixture
def collection(tmp_path, images, run_folder):
    """A collection of the images."""
    run_command("search", "build", tmp_path / "c", "--run", "npc-32", "--images", images)
    return tmp_path / "c"


def test_from_a_run_to_a_contact_sheet(tmp_path, images, run_folder):
    texts, folder, sheet = tmp_path / "texts.txt", tmp_path / "c", tmp_path / "sheet.png"
    texts.write_text("red sea\nunheard-of\nblue  boat\n\n", encoding="utf-8")
    printed = run_command("search", "build", folder, "--run", "0123", "--images", images, "--texts", texts)
    assert "4 added" in printed and "broken.jpg" in printed and "2 added, 2 in all" in printed
    assert "'unheard-of'" in printed and f"dcmq search query {folder}" in printed
    result = dcmq("search", "query", folder, "--text", "red zzz boats", "-k", "3", "--sheet", sheet)
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 3
    assert result.stderr == f"not known to the student: zzz, boats (did you mean boat?)\ncontact sheet  {sheet}\n"
    with Image.open(sheet) as image:
        assert image.width > 3 * 200 and len(image.getcolors(1 << 20)) > 1000
    assert "4 of 32 bits" in run_command("search", "info", folder)
    run_command("search", "build", folder, "--images", images)  # the run is not needed again


def test_moved_images_are_said_to_be_missing_and_followed(tmp_path, images, collection):
    images.rename(tmp_path / "moved")
    words = ("search", "query", collection, "--text", "boat", "--sheet", tmp_path / "sheet.png")
    note = f"grey           all 4, which are no longer in {images}: dcmq search build {collection} --images DIR"
    assert note in dcmq(*words).stderr
    printed = run_command("search", "build", collection, "--images", tmp_path / "moved")
    assert f"in {tmp_path / 'moved'} now, and no longer in {images}" in printed
    assert "0 added, 0 replaced, 0 forgotten because they are gone, 4 in all" in printed
    assert "grey" not in dcmq(*words).stderr
    assert f"of {tmp_path / 'moved'}" in run_command("search", "info", collection)


def test_a_collection_lends_its_student(tmp_path, images, collection):
    printed = run_command("search", "build", tmp_path / "mine", "--run", collection, "--images", images / "in ner")
    assert "1 added" in printed


def test_hits_are_a_line_each_or_json(tmp_path, images, collection):
    texts = tmp_path / "texts.txt"
    texts.write_text("red sea\nblue boat\n", encoding="utf-8")
    run_command("search", "build", collection, "--texts", texts)
    lines = run_command("search", "query", collection, "--image", images / "a.png").splitlines()
    assert [line.split(maxsplit=2)[0] for line in lines] == ["1", "2"]
    assert {line.split(maxsplit=2)[2] for line in lines} == {"red sea", "blue boat"}
    words = ["--image", images / "a.png", "--among", "images", "-k", "1", "--json"]
    (hit,) = json.loads(run_command("search", "query", collection, *words))
    assert (
        hit["rank"] == 1 and -1 <= hit["score"] <= 1 and hit["id"] in ("a.png", "b.JPG", "c.webp", "in ner/größe.png")
    )


def test_no_match_is_said_and_ids_bound_the_search(tmp_path, collection):
    words = ("search", "query", collection, "--text", "boat")
    (first, *_) = json.loads(run_command(*words, "--json"))
    result = dcmq(*words, "--threshold", "0.99", "--sheet", tmp_path / "sheet.png")
    assert result.exit_code == 0 and result.stdout == "" and not (tmp_path / "sheet.png").exists()
    assert result.stderr == f"no match      the best has {first['score']:.3f}, below 0.990\n"
    assert run_command(*words, "--threshold", "0.99", "--json") == "[]\n"
    (tmp_path / "ids.txt").write_text("c.webp\na.png\n", encoding="utf-8")
    assert {hit["id"] for hit in json.loads(run_command(*words, "--json", "--ids", tmp_path / "ids.txt"))} == {
        "c.webp",
        "a.png",
    }
    assert json.loads(run_command(*words, "--json", "--fold"))[0].keys() == {"rank", "score", "id", "duplicates"}
    with pytest.raises(
        DcmqError, match="--threshold: none was chosen for texts that search among images: give a score from -1 to 1"
    ):
        run_command(*words, "--threshold", "chosen")
    with pytest.raises(DcmqError, match="'much' is no score from -1 to 1, nor 'chosen'"):
        run_command(*words, "--threshold", "much")
    with pytest.raises(DcmqError, match="--ids .*none.txt: No such file"):
        run_command(*words, "--ids", tmp_path / "none.txt")


def test_names_cannot_command_a_terminal_and_json_has_them_as_they_are(tmp_path, images, collection):
    odd = "new\nline \x1b[31m\u202e\x9b.png"
    (images / "a.png").rename(images / odd)
    shutil.copyfile(images / odd, os.fsencode(images) + b"/caf\xe9.png")
    printed = run_command("search", "build", collection, "--images", images)
    assert "left out   1 whose names are not UTF-8: caf\\xe9.png\n" in printed
    lines = run_command("search", "query", collection, "--text", "boat").splitlines()
    assert len(lines) == 4 and any(line.endswith("new\\nline \\x1b[31m\\u202e\\x9b.png") for line in lines)
    printed = run_command("search", "query", collection, "--text", "boat", "--json")
    assert printed.isascii() and odd in [hit["id"] for hit in json.loads(printed)]
    (tmp_path / "ids.txt").write_text("c.webp\n", encoding="utf-8-sig")
    assert "c.webp" in run_command("search", "query", collection, "--text", "boat", "--ids", tmp_path / "ids.txt")
    result = dcmq("search", "query", collection, "--image", f"{tmp_path}/\x1b[31m.png", "--among", "images")
    assert result.exit_code == 1 and "\\x1b[31m.png" in result.stderr and "\x1b" not in result.stderr
    result = dcmq("search", "export", collection, tmp_path / "c.parquet", "--thumbnails")
    assert result.exit_code == 0 and odd in pq.read_table(tmp_path / "c.parquet")["id"].to_pylist()


def test_ids_are_taken_letter_by_letter(tmp_path, images, collection):
    (images / "a.png").rename(images / "two  blanks \x0b.png")
    run_command("search", "build", collection, "--images", images)
    (tmp_path / "ids.txt").write_text("two  blanks \x0b.png\r\n\n", encoding="utf-8", newline="")
    words = ("search", "query", collection, "--text", "boat", "--ids", tmp_path / "ids.txt", "--json")
    assert [hit["id"] for hit in json.loads(run_command(*words))] == ["two  blanks \x0b.png"]


def test_a_text_with_a_byte_order_mark_is_the_same_text(tmp_path, collection):
    (tmp_path / "texts.txt").write_text("red sea\nblue boat\nred sea\n", encoding="utf-8-sig")
    assert "2 added, 2 in all" in run_command("search", "build", collection, "--texts", tmp_path / "texts.txt")
    (tmp_path / "texts.txt").write_text("red sea\n", encoding="utf-8")
    assert "0 added, 2 in all" in run_command("search", "build", collection, "--texts", tmp_path / "texts.txt")


def test_only_the_ends_of_lines_end_a_text(tmp_path, collection):
    content = "red\u2028sea\nblue\x0cboat\r\nred\x85boat\rblue\x1csea\u2029red\n"
    (tmp_path / "t.txt").write_bytes(content.encode())
    printed = run_command("search", "build", collection, "--texts", tmp_path / "t.txt")
    assert "4 added, 4 in all" in printed
    texts = {"red sea", "blue boat", "red boat", "blue sea red"}
    assert set(Collection(collection).load_index("texts").ids.tolist()) == texts


def test_too_large_an_image_is_named_with_its_pixels(tmp_path, images, collection):
    Image.new("1", (10_000, 10_000)).save(images / "big.png")
    result = dcmq("search", "build", collection, "--images", images)
    assert result.exit_code == 0 and "note" not in result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("left out")]
    assert lines == [
        "left out   1 that cannot be read: broken.jpg",
        "left out   1 with too many pixels: big.png (too large: 100 million pixels, more than 64 million)",
    ]
    result = dcmq("search", "query", collection, "--image", images / "big.png", "--among", "images")
    assert result.exit_code and len(result.stderr.splitlines()) == 1
    assert f"{images}/big.png is too large: 100 million pixels, more than 64 million" in result.stderr


def test_paths_in_what_is_to_be_typed_next_are_quoted(tmp_path, images, run_folder):
    folder = tmp_path / "my photos"
    printed = run_command("search", "build", folder, "--run", run_folder, "--images", images)
    assert f"dcmq search query '{folder}' --text 'WORDS'" in printed
    shutil.rmtree(images)
    result = dcmq("search", "query", folder, "--text", "boat", "--sheet", tmp_path / "sheet.png")
    assert f"dcmq search build '{folder}' --images DIR" in result.stderr


def test_hidden_images_are_counted_and_replaced_ones_are_said_on_a_sheet(tmp_path, images, collection):
    for name in ("._a.png", "@eaDir/a.png", ".trash/a.png"):
        (images / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(images / "a.png", images / name)
    printed = run_command("search", "build", collection, "--images", images)
    assert "0 added" in printed and "left out   3 hidden, or in hidden folders or those of a system: " in printed
    shutil.copyfile(images / "b.JPG", images / "a.png")
    result = dcmq("search", "query", collection, "--text", "boat", "--sheet", tmp_path / "sheet.webp")
    assert "replaced       1 since they were encoded, found by their former content: dcmq search build" in result.stderr


def test_a_sheet_is_written_over_another_file_only_if_asked_to(tmp_path, images, collection):
    words = ("search", "query", collection, "--text", "boat", "--sheet", images / "a.png")
    before = (images / "a.png").read_bytes()
    assert dcmq(*words).exit_code == 1 and (images / "a.png").read_bytes() == before
    assert dcmq(*words, "--force").exit_code == 0 and (images / "a.png").read_bytes() != before
    assert dcmq(*words).exit_code == 0, "it is a sheet now"
    assert dcmq(*words[:-2], "--force").exit_code == 2


def test_nothing_is_made_for_a_build_that_cannot_be(tmp_path, images, run_folder):
    for words in (("--images", tmp_path / "none"), ("--texts", tmp_path / "none")):
        assert dcmq("search", "build", tmp_path / "new", "--run", run_folder, *words).exit_code == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_an_encoding_that_lacks_letters_prints_escapes(images, collection, encoding):
    (images / "c.webp").rename(images / "हरा 北京.webp")
    run_command("search", "build", collection, "--images", images)
    told = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "dcmq", "search", "query", str(collection), "--text", "boat"]
    result = subprocess.run(command, capture_output=True, timeout=120, env=told)
    assert result.returncode == 0 and result.stderr == b"" and len(result.stdout.splitlines()) == 4
    assert b"\\u0939\\u0930\\u093e \\u5317\\u4eac.webp" in result.stdout


def test_a_damaged_tar_is_named_and_the_others_are_there(tmp_path, images, collection):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        tar.add(images / "a.png", "a.png")
    (tmp_path / "1.tar").write_bytes((tmp_path / "0.tar").read_bytes()[:700])
    result = dcmq("search", "build", tmp_path / "t", "--run", collection, "--images", tmp_path / "*.tar")
    assert result.exit_code == 1 and "1 added" in result.stdout
    assert result.stderr.startswith("cannot be read: 1.tar (") and result.stderr.count("\n") == 1


def test_export_writes_plain_files(tmp_path, collection):
    assert "4 images written to" in run_command("search", "export", collection, tmp_path / "out", "--without-faiss")
    assert np.load(tmp_path / "out" / "codes.npy").shape == (4, 4)


def test_export_writes_tables_for_databases(tmp_path, images, collection):
    (images / "c.webp").unlink()
    result = dcmq("search", "export", collection, tmp_path / "c.parquet", "--thumbnails")
    assert result.stdout == f"4 images written to {tmp_path / 'c.parquet'}\n"
    assert "no thumbnail   of 1 that are no longer in" in result.stderr
    table = pq.read_table(tmp_path / "c.parquet").to_pydict()
    assert table["id"] == ["a.png", "b.JPG", "c.webp", "in ner/größe.png"]
    assert [thumbnail is None for thumbnail in table["thumbnail"]] == [False, False, True, False]
    run_command("search", "export", collection, tmp_path / "half", "--format", "parquet", "--float16")
    schema = pq.read_schema(tmp_path / "half")
    assert schema.names == ["id", "code", "decoded"] and schema.field("decoded").type.value_type == pa.float16()


def test_export_writes_a_table_for_lance(tmp_path, collection):
    lance = pytest.importorskip("lance", reason="lance is not installed: pip install 'dcmq[lance]'")
    run_command("search", "export", collection, tmp_path / "c.lance", "--thumbnails")
    table = lance.dataset(tmp_path / "c.lance")
    assert table.count_rows("thumbnail IS NOT NULL") == 4 and table.describe_indices()


def test_lists_are_built_on_request(tmp_path, images, run_folder):
    pytest.importorskip("faiss", reason="faiss is not installed: pip install 'dcmq[faiss]'")
    said = run_command("search", "build", tmp_path / "c", "--run", run_folder, "--images", images, "--lists")
    assert re.search(r"lists +2 of images, of which a query looks at [12]: about \d+% of the first 100 are found", said)
    assert len(run_command("search", "query", tmp_path / "c", "--text", "boat").splitlines()) == 4
    assert "2 lists" in run_command("search", "info", tmp_path / "c")


def test_large_collections_get_lists_by_themselves(tmp_path, images, run_folder, monkeypatch):
    pytest.importorskip("faiss", reason="faiss is not installed: pip install 'dcmq[faiss]'")
    monkeypatch.setattr("dcmq.codes.index.LISTS_FROM", 3)
    built = "search", "build", tmp_path / "c", "--run", run_folder, "--images", images
    assert "lists" not in run_command(*built, "--no-lists")
    assert "of images, of which a query looks at" in run_command(*built)
    assert "lists" not in run_command(*built)  # they are there


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("build {c} --run nobody --images {p}", "there is no run 'nobody'; the newest are"),
        ("build {new} --images {p}", "is no collection"),
        ("build {c} --images {c}", "has the images under"),
        ("build {new} --run npc-32 --images {none}", "there is no folder"),
        ("build {new} --run npc-32 --images {home}", "holds no image"),
        ("build {c} --texts {none}", "No such file"),
        ("build {c} --texts {p}/broken.bin", "is not UTF-8 text"),
        ("query {c} --text unheard", "has no word that the student knows"),
        ("query {c} --image {p}/broken.jpg", "holds no texts"),
        ("query {c} --image {p}/broken.jpg --among images", "no image that can be read"),
        ("query {c} --image {p}/none.jpg --among images", "none.jpg is not there"),
        ("query {c} --image {p} --among images", "is no image that can be read: Is a directory"),
        ("query {c} --text boat -k 0", "k is 0"),
        ("query {c} --text boat --engine lists", "call cluster"),
        ("query {c} --text boat --sheet {none}/x/sheet.png", "there is no folder"),
        ("query {c} --text boat --sheet {p}/in", "its name must end in one of .png, .jpg"),
        ("query {c} --text boat --sheet {p}/a.png", "is there already and no contact sheet"),
        ("query {c} --image {p}/a.png --among texts --sheet {none}.png", "what is searched are no image files"),
        ("export {c} {p} --without-faiss", "not empty"),
        ("export {c} {p} --format parquet", "is there already"),
        ("export {c} {p}/a.png/x.parquet", "cannot write"),
        ("export {c} {new}.parquet --kind texts", "the index is empty"),
        ("query {home} --text boat", "is no collection"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, images, collection, words, message):
    (tmp_path / "notes.txt").write_text("")
    places = {
        "c": collection,
        "p": images,
        "none": tmp_path / "none",
        "new": tmp_path / "new",
        "home": tmp_path / "home",
    }
    result = dcmq("search", *[word.format(**places) for word in words.split()])
    assert result.exit_code == 1 and message in result.stderr and result.stderr.count("\n") == 1
    assert len(Collection(collection).load_index("images")) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("query c --text boat --among image", "did you mean images? (known: images, texts)"),
        ("query c --text boat --engine exakt", "did you mean exact?"),
        ("export c out --kind text", "did you mean texts?"),
        ("export c out --format parkett", "did you mean parquet? (known: npy, parquet, lance)"),
        ("export c out --thumbnails", "--format parquet or lance has this, npy has not"),
        ("export c out.parquet --format npy --float16", "--format parquet or lance has this, npy has not"),
        ("export c out.parquet --thumbnails --kind texts", "only images have thumbnails"),
    ],
)
def test_a_wrong_choice_is_answered_with_what_there_is(words, message):
    result = dcmq("search", *words.split())
    assert result.exit_code == 2 and message in result.stderr and result.stderr.count("\n") == 1
    assert "engine" not in words or all(name in result.stderr for name in ("auto", *ENGINES))
