"""A student without torch: the same bytes, codes and rankings as with it, by the reader that ships in the folder."""

import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
import torch
from finished_run import CONFIG, VOCABULARY
from PIL import Image
from tiny import config, tiny_dataset
from torch import nn

from dcmq.codes.assign import assign, lookup_tables
from dcmq.codes.pack import pack, unpack
from dcmq.config import StudentConfig
from dcmq.core.errors import DcmqError
from dcmq.data.open_images import reason_unread
from dcmq.data.resize import image_array, resize
from dcmq.data.words import LATIN, LETTERS, LETTERS_AND_DIGITS, folded, words
from dcmq.methods.dcmq.student import make_student
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.networks.encoders import IMAGE_ENCODERS, register_image_encoder, with_head
from dcmq.search.collection import Collection
from dcmq.search.pretrained import PretrainedStudent
from dcmq.sharing.onnx_graphs import Resize

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason="needs the extra onnx")

from dcmq.sharing import onnx_reader  # noqa: E402
from dcmq.sharing.onnx_export import export_onnx  # noqa: E402

GAP = 1e-5  # cosines of float32 that torch and onnxruntime may order otherwise


def model(**changes):
    """A student with random weights, of the finished run's architecture but for ``changes``."""
    settings = CONFIG.model_copy(update={"student": StudentConfig(**(CONFIG.student.model_dump() | changes))})
    return PretrainedStudent(make_student(settings, len(VOCABULARY)), settings, VOCABULARY, 40, LETTERS)


def reader(folder):
    """The module ``search.py`` of an exported folder."""
    spec = importlib.util.spec_from_file_location(f"search_{abs(hash(folder))}", folder / "search.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def grey_images():
    """Images of more than 8 bits, and of edges of their ranges, by the name of a file that keeps them."""
    rng = np.random.default_rng(1)
    ramp = np.linspace(0, 1, 30 * 40).reshape(30, 40)
    yield "deep.png", rng.integers(0, 1 << 16, (30, 40)).astype(np.uint16)
    yield "dark.png", rng.integers(0, 256, (30, 40)).astype(np.uint16)
    yield "deep.tif", (ramp * 65535).astype(np.uint16)
    for name, values in (
        ("of_8_bits", ramp * 255),
        ("of_16_bits", ramp * 65535),
        ("wide", ramp * 1e9),
        ("signed", ramp * 9000 - 4000),
        ("flat", ramp * 0 - 3),
    ):
        yield f"{name}.tif", values.astype(np.int32)
        yield f"{name}_float.tif", values.astype(np.float32)
    yield "unit.tif", ramp.astype(np.float32)
    yield "not_finite.tif", np.where(ramp > 0.5, np.inf, np.where(ramp > 0.2, ramp, np.nan)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder of a student without a gallery."""
    return export_onnx(model(), tmp_path_factory.mktemp("export") / "student")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Image files of the kinds that decoders know, a broken one, and a file that is none."""
    root, rng = tmp_path_factory.mktemp("photos") / "photos", np.random.default_rng(0)
    (root / "in ner").mkdir(parents=True)
    image = Image.fromarray(rng.integers(0, 256, (50, 61, 3)).astype(np.uint8))
    for orientation in range(10):  # of which EXIF knows eight
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(root / f"turned{orientation}.jpg", exif=exif)
        image.convert("RGBA").save(root / f"turned{orientation}.webp", exif=exif)
    image.save(root / "broken exif.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 40)
    for name, pixels in grey_images():
        Image.fromarray(pixels).save(root / name)
    black = np.zeros((30, 40, 4), np.uint8)
    black[:, :, 3] = np.linspace(0, 255, 40)
    Image.fromarray(black).save(root / "fading.png")
    Image.fromarray(black).convert("LA").save(root / "fading grey.png")
    image.convert("L").save(root / "grey key.png", transparency=7)
    image.save(root / "color key.png", transparency=image.getpixel((3, 3)))
    image.convert("LAB").save(root / "lab.tif")
    image.convert("YCbCr").save(root / "luma.jpg")
    image.convert("L").save(root / "grey.png")
    image.convert("CMYK").save(root / "in ner" / "größe.jpg")
    image.convert("RGBA").save(root / "alpha.webp")
    palette = image.convert("P")
    palette.save(root / "palette.png", transparency=palette.getpixel((0, 0)))
    palette.save(root / "palette.gif", transparency=palette.getpixel((0, 0)))
    image.convert("1").save(root / "bits.bmp")
    image.resize((1, 200)).save(root / "thin.PNG")
    image.convert("F").save(root / "floats.tiff")
    (root / "broken.jpg").write_bytes(b"no image")
    (root / "notes.txt").write_text("boat")
    return root


def image_files(photos):
    return sorted(p for p in photos.rglob("*") if p.is_file() and p.name not in ("broken.jpg", "notes.txt"))


def one_line(folder, *words):
    """What ``search.py`` says when it ends with an error."""
    result = subprocess.run([sys.executable, folder / "search.py", *words], capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout == "" and "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize(("side", "size"), [(64, 32), (40, 32), (256, 224), (48, 37), (100, 33), (32, 64), (37, 48)])
def test_the_resize_in_the_graph_is_torchs_to_the_byte(side, size):
    images = torch.randint(0, 256, (4, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = torch.cat([images, torch.zeros_like(images[:1]), torch.full_like(images[:1], 255)])
    assert torch.equal(Resize(side, size)(images), resize(images, size))


def test_the_reader_reads_every_kind_of_image_as_training_does(exported, photos):
    student = reader(exported).Student()
    files = image_files(photos)
    assert len(files) == 50
    for file in files:
        with Image.open(file) as image:
            expected = image_array(image, 40)
        read = student.read_image(file)
        assert read.dtype == np.uint8 and read.tobytes() == expected.tobytes(), file.name
    turned, upright = (student.read_image(photos / f"turned{orientation}.jpg") for orientation in (6, 1))
    assert np.abs(turned.astype(int) - upright).mean() > 10, "it is turned"
    assert student.read_image(photos / "fading.png")[:, :3].min() > 230, "on white"


def blank_png(path, width, height):
    """A PNG that says how large it is, and holds no pixels."""
    header = struct.pack(">II5B", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    parts = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.mark.parametrize("pixels", [64_010_000, 100_000_000, 200_000_000, 10**12])
def test_the_reader_refuses_the_sizes_that_training_refuses_and_says_so_in_a_line(tmp_path, exported, pixels, recwarn):
    file, student = blank_png(tmp_path / "large.png", pixels // 10_000, 10_000), reader(exported).Student()
    with pytest.raises(ValueError, match="is too large") as caught:
        student.read_image(file)
    assert str(caught.value) == f"{file} {reason_unread(file)}" and not recwarn.list


def test_the_reader_passes_on_no_warning_of_pillow_that_training_silences(tmp_path, exported, photos, recwarn):
    """Used as a module, too; and it adds its filters once."""
    student = reader(exported).Student()
    palette = Image.open(photos / "palette.png")
    palette.info["transparency"] = bytes(range(256))
    palette.save(tmp_path / "palette.png", transparency=bytes(range(256)))
    for file in (photos / "broken exif.jpg", tmp_path / "palette.png"):
        student.read_image(file)
    count = len(warnings.filters)
    large = tmp_path / "large.jpg"  # beyond Pillow's limit, and read at a half of its size
    Image.new("L", (9500, 9500)).save(large)
    assert student.read_image(large).shape == (40, 40, 3) and not recwarn.list and len(warnings.filters) == count


def test_the_reader_names_what_is_too_large_for_the_index(tmp_path, exported, capsys):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (9, 9), "red").save(tmp_path / "images" / "a.png")
    file, module = blank_png(tmp_path / "images" / "b.png", 10_000, 10_000), reader(exported)
    module.index(module.Student(), tmp_path / "images", tmp_path / "gallery")
    said = capsys.readouterr()
    assert said.err == f"left out, {file} is too large: 100 million pixels, more than 64 million\n"
    assert said.out.startswith("1 images")


def test_the_reader_leaves_out_hidden_files_and_names_that_are_not_utf8(tmp_path, exported, capsys):
    for name in ("a.png", "@eaDir/b.png", ".c/d.png", "new\nline.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), "red").save(tmp_path / "images" / name)
    shutil.copyfile(tmp_path / "images" / "a.png", os.fsencode(tmp_path / "images") + b"/caf\xe9.png")
    module = reader(exported)
    module.index(module.Student(), tmp_path / "images", tmp_path / "gallery")
    assert np.load(tmp_path / "gallery" / "ids.npy").tolist() == ["a.png", "new\nline.png"]
    left_out = capsys.readouterr().err
    assert "its name is not UTF-8: " in left_out and "caf\\udce9.png" in left_out and left_out.count("\n") == 2
    assert "left out, hidden or in hidden folders: 2" in left_out
    assert module.shown("new\nline \x1b[31mgröße") == "new\\nline \\x1b[31mgröße"


def test_the_reader_cuts_words_as_dcmq_does():
    texts = [
        "A RED boat2",
        "rouge foncé",
        "rouge foncé",
        "हरा वृत्त",
        "İnci moon\u00admoon",
        "ＲＥＤ ﬁsh",
        "לָבָן",
        "Größe ẞ",
    ]
    for pattern in (LATIN, LETTERS, LETTERS_AND_DIGITS):
        assert [onnx_reader.cut(text, pattern) for text in texts] == [words(text, pattern) for text in texts]
    assert [onnx_reader.folded(text) for text in texts] == [folded(text) for text in texts]


def gaps_of_differing_codewords(embeddings, codes, codebooks):
    """How far the cosine of each codeword in ``codes`` (n, M) is below the largest, where it is another than torch's."""
    tables = lookup_tables(embeddings, codebooks)
    chosen = torch.from_numpy(codes)
    differs = chosen != assign(embeddings, codebooks)
    return (tables.amax(2) - tables.gather(2, chosen[:, :, None])[:, :, 0])[differs], differs


def compare_with_torch(student, folder, images, bags):
    """Embeddings and codes of 1,000 images and 1,000 bags by the reader and by torch."""
    read = reader(folder).Student()
    num_codebooks, num_codewords = student.codebooks.shape[:2]
    for modality, inputs in (("image", images), ("text", bags)):
        with torch.no_grad():
            expected = getattr(student.student, f"encode_{modality}s")(torch.from_numpy(inputs))
        embeddings = np.concatenate([read.encode(modality, inputs[start : start + 64]) for start in range(0, 1000, 64)])
        assert embeddings.shape == (1000, num_codebooks * student.codebooks.shape[2]) and embeddings.dtype == np.float32
        np.testing.assert_allclose(embeddings, expected, atol=1e-4 * expected.abs().max().item(), rtol=0)
        codes = read.codes(embeddings)
        assert codes.dtype == np.uint8
        gaps, differs = gaps_of_differing_codewords(
            expected, unpack(codes, num_codebooks, num_codewords), student.codebooks
        )
        print(f"{modality}: {differs.any(1).sum()} codes of 1000 differ, in {differs.sum()} codewords")
        assert (gaps < GAP).all() and differs.any(1).sum() <= 5


def test_codes_of_1000_items_are_those_of_torch_but_for_near_ties(exported):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1000, 40, 40, 3), dtype=np.uint8)
    compare_with_torch(model(), exported, images, rng.integers(0, 2, (1000, 5)).astype(np.float32))


def test_a_codeword_that_is_no_near_tie_has_a_wide_gap():
    """The check above can fail: of two differing codewords one is a near tie, and one is not."""
    codebooks = torch.eye(4).repeat(2, 1, 1)
    embeddings = torch.tensor([[3.0, 1, 0, 0, 0, 0, 2, 2 - 1e-6]])
    gaps, differs = gaps_of_differing_codewords(embeddings, np.array([[1, 3]]), codebooks)
    assert differs.tolist() == [[True, True]]
    assert gaps[0] > 0.5 and 0 < gaps[1] < GAP


@pytest.mark.slow
def test_codes_of_a_trained_student_are_those_of_torch(tmp_path):
    dataset, teacher = tiny_dataset(1000)
    trained = config(epochs=3)
    trainer = Trainer(trained, dataset, teacher, tmp_path / "checkpoint", "")
    losses = [sum(trainer.epoch(number).values()) for number in range(3)]
    assert losses[-1] < losses[0]
    student = PretrainedStudent(trainer.network, trained, dataset.vocabulary, 16, LATIN)
    folder = export_onnx(student, tmp_path / "student")
    compare_with_torch(student, folder, dataset.images, dataset.bow.toarray())


@pytest.mark.parametrize(("codewords", "bits"), [(2, 5), (16, 12), (32, 15), (256, 24)])
def test_the_readers_codes_and_scores_are_those_of_dcmq_for_any_k(tmp_path, exported, codewords, bits):
    """Packed with zero bits at the end where they fill no byte; scores by a loop."""
    num_codebooks = bits // (codewords.bit_length() - 1)
    rng = np.random.default_rng(0)
    for file in ("student.json", "search.py"):
        (tmp_path / file).write_bytes((exported / file).read_bytes())
    codebooks = rng.normal(size=(num_codebooks, codewords, 3)).astype(np.float32)
    np.save(tmp_path / "codebooks.npy", codebooks)
    student = reader(tmp_path).Student()
    embeddings = rng.normal(size=(50, num_codebooks * 3)).astype(np.float32)
    embeddings[0] = 0
    numbers = assign(torch.from_numpy(embeddings), torch.from_numpy(codebooks)).numpy()
    codes = student.codes(embeddings)
    np.testing.assert_array_equal(codes, pack(numbers, codewords))
    scores = student.scores(embeddings[1], codes)
    for item in range(50):
        cosines = []
        for m in range(num_codebooks):
            part, codeword = embeddings[1, 3 * m : 3 * m + 3], codebooks[m, numbers[item, m]]
            cosines.append(part @ codeword / np.linalg.norm(part) / np.linalg.norm(codeword))
        assert scores[item] == pytest.approx(np.mean(cosines), abs=1e-6)


def test_words_are_read_as_in_training_and_unknown_ones_are_named(exported, capsys):
    student = reader(exported).Student()
    for text in ("A RED boat, and red Größe2!", "sea", "x größe  GRÖSSE"):
        np.testing.assert_array_equal(student.read_text(text), model().bags([text])[0].numpy())
    assert capsys.readouterr().err == "not known to the student: and\n"


@pytest.mark.slow
def test_a_student_of_tokens_reads_them_as_in_training(tmp_path, capsys):
    student = model(text_encoder="small_clip", text_input="caption")
    read = reader(export_onnx(student, tmp_path / "student")).Student()
    texts = ["a red boat on the sea", "zzz boat", " ".join(["cat"] * 40)]
    embeddings = read.encode("text", np.stack([read.read_text(text) for text in texts]))
    np.testing.assert_allclose(embeddings, student.encode_texts(texts), atol=1e-5)
    assert capsys.readouterr().err == "not known to the student: zzz\n"


@pytest.mark.slow
def test_texts_of_open_clips_tokens_are_not_exported(tmp_path, photos):
    """A stand-in for the text encoder, whose weights are large."""
    student = model()
    settings = student.config.student.model_copy(update={"text_encoder": "open_clip:RN50", "text_input": "caption"})
    student.config = student.config.model_copy(update={"student": settings})
    folder = export_onnx(student, tmp_path / "student")
    assert not (folder / "text_encoder.onnx").exists() and "does not come with this folder" in (
        folder / "README.md"
    ).read_text(encoding="utf-8")
    index(folder, photos)
    assert "search with an image" in one_line(folder, "text", "red boat")


def index(folder, photos):
    return subprocess.run(
        [sys.executable, folder / "search.py", "index", photos], check=True, capture_output=True, text=True
    )


REFUSE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "dcmq", "torchvision", "faiss"):
            raise ImportError(f"{name} is refused")

sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.slow
def test_without_torch_and_dcmq_the_ranking_is_that_of_dcmq(tmp_path, photos):
    """The folder alone, moved elsewhere, in a process where neither can be imported."""
    student = model()
    folder = export_onnx(student, tmp_path / "student").rename(tmp_path / "moved")
    (tmp_path / "refuse").mkdir()
    (tmp_path / "refuse" / "sitecustomize.py").write_text(REFUSE)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "refuse")}

    def run(*words):
        return subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8"
        )

    for package in ("torch", "dcmq"):
        assert f"{package} is refused" in run("-c", f"import {package}").stderr
    indexed = run(folder / "search.py", "index", photos)
    assert (indexed.returncode, indexed.stdout) == (0, f"50 images in {folder / 'images'}\n")
    assert indexed.stderr == f"left out, cannot be read: {photos / 'broken.jpg'}\n"

    collection = Collection.create(tmp_path / "c", student)
    collection.update_images(photos)
    codes, ids = (np.load(folder / "images" / f"{name}.npy") for name in ("codes", "ids"))
    kept = collection.load_index("images")
    np.testing.assert_array_equal(ids, kept.ids)
    assert (codes == kept.codes).mean() > 0.99
    queries = [("text", "red boat", {"text": "red boat"}), ("text", "Sea größe", {"text": "Sea größe"})]
    queries.append(("image", str(photos / "grey.png"), {"image": photos / "grey.png"}))
    for command, what, query in queries:
        answer = run(folder / "search.py", command, what, "-k", "7")
        assert answer.returncode == 0, answer.stderr
        hits = collection.search("images", **query, k=7)
        expected = [f"{hit.rank:>4}  {hit.score:.3f}  {hit.id}" for hit in hits]
        assert answer.stdout.splitlines() == expected


@pytest.mark.slow
def test_codes_of_a_collection_go_along(tmp_path, photos):
    collection = Collection.create(tmp_path / "c", model())
    collection.update_images(photos)
    collection.add_texts(["red boat", "blue sea"])
    galleries = {kind: collection.load_index(kind) for kind in ("images", "texts")}
    folder = export_onnx(collection.model, tmp_path / "student", galleries)
    for kind, gallery in galleries.items():
        np.testing.assert_array_equal(np.load(folder / kind / "codes.npy"), gallery.codes)
        np.testing.assert_array_equal(np.load(folder / kind / "ids.npy"), gallery.ids)
    answer = subprocess.run(
        [sys.executable, folder / "search.py", "image", photos / "grey.png", "--gallery", folder / "texts"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    hits = collection.search("texts", image=photos / "grey.png")
    assert answer.stdout.splitlines() == [f"{hit.rank:>4}  {hit.score:.3f}  {hit.id}" for hit in hits]
    assert "has codes already" in one_line(folder, "index", photos)
    assert "`images` and `texts` came along" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_mistakes_in_the_reader_are_one_line(tmp_path, exported, photos):
    (tmp_path / "empty").mkdir()
    gallery = tmp_path / "gallery"
    for folder in ("empty", "nowhere"):
        message = one_line(exported, "index", tmp_path / folder, "--gallery", gallery)
        assert message.startswith(f"{tmp_path / folder} holds no image that can be read (.avif, .bmp")
    assert not gallery.exists()
    assert "there are no codes" in one_line(exported, "text", "boat", "--gallery", gallery)
    gallery.mkdir()
    np.save(gallery / "codes.npy", np.zeros((1, 4), np.uint8))
    np.save(gallery / "ids.npy", np.array(["a"]))
    assert one_line(exported, "text", "ship", "--gallery", gallery) == (
        "'ship' has no word that the student knows, such as red, blue, boat, sea, größe"
    )
    assert "is no image that can be read" in one_line(exported, "image", photos / "broken.jpg", "--gallery", gallery)


@pytest.mark.slow
def test_int8_is_a_quarter_of_the_size_and_near(tmp_path, exported):
    folder = export_onnx(model(), tmp_path / "student", int8=True)
    sizes = [(path / "image_encoder.onnx").stat().st_size for path in (folder, exported)]
    assert sizes[0] < 0.4 * sizes[1]
    images = np.random.default_rng(0).integers(0, 256, (50, 40, 40, 3), dtype=np.uint8)
    rounded, exact = (reader(path).Student().encode("image", images) for path in (folder, exported))
    assert not np.array_equal(rounded, exact)
    assert nn.functional.cosine_similarity(torch.from_numpy(rounded), torch.from_numpy(exact)).min() > 0.99
    assert json.loads((folder / "student.json").read_text())["weights"] == "int8"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "size"),
    [("small_convnet", 32), ("small_vit", 32), ("small_clip", 64), ("resnet18", 32), ("resnet50", 32), ("alexnet", 64),
     ("timm:vit_tiny_patch16_224", 32), ("timm:resnet10t", 32)],
)  # fmt: skip
def test_every_kind_of_image_encoder_is_exported(tmp_path, encoder, size):
    student = model(image_encoder=encoder, image_size=size)
    read = reader(export_onnx(student, tmp_path / "student")).Student()
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = student.student.encode_images(torch.from_numpy(images))
    for n in (1, 3):
        np.testing.assert_allclose(read.encode("image", images[:n]), expected[:n], atol=1e-4 * expected.abs().max())


@pytest.mark.slow
def test_an_encoder_that_cannot_be_exported_is_one_line_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(IMAGE_ENCODERS, "_entries", dict(IMAGE_ENCODERS))

    @register_image_encoder("by_hand")
    def by_hand(dimension, image_size, weights):
        class ByHand(nn.Module):
            def forward(self, x):
                return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))

        return with_head(ByHand(), 3, dimension)

    @register_image_encoder("by_chance")
    def by_chance(dimension, image_size, weights):
        class ByChance(nn.Module):
            def forward(self, x):
                return x.mean((2, 3)) + torch.rand(1)

        return with_head(ByChance(), 3, dimension)

    for name, message in (("by_hand", "cannot be written as ONNX"), ("by_chance", "other embeddings than torch")):
        with pytest.raises(DcmqError, match=message) as error:
            export_onnx(model(image_encoder=name), tmp_path / "student")
        assert name in str(error.value) and "\n" not in str(error.value)
        assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_and_a_missing_package_are_one_line(tmp_path, monkeypatch):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    with pytest.raises(DcmqError, match="used is there already and not empty"):
        export_onnx(model(), tmp_path / "used")
    (tmp_path / "file").touch()
    with pytest.raises(DcmqError, match="cannot write .*student"):
        export_onnx(model(), tmp_path / "file" / "student")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(DcmqError, match="pip install 'dcmq\\[onnx\\]'"):
        export_onnx(model(), tmp_path / "student")
    assert {path.name for path in tmp_path.iterdir()} == {"used", "file"}
