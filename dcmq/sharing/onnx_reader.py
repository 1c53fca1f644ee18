"""Search images by words or by an image, with a student of DCMQ and without torch.

pip install -r requirements.txt
python search.py index PHOTOS            encode the images in the folder PHOTOS
python search.py text "red boat at sea"  the images that are nearest to the words: rank, score, name
python search.py image boat.jpg          the images that are nearest to an image
"""

import argparse
import contextlib
import json
import re
import sys
import unicodedata
import warnings
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
SUFFIXES = set(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .ppm .avif".split())
MOST_PIXELS = 64_000_000  # of an image while it is decoded: a small file may unpack to gigabytes
SELECTORS = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # forms of one character
# Pillow's notes that name no file, of many pixels and of damaged EXIF data: neither is of use to who searches.
SILENCED = (("", Image.DecompressionBombWarning), ("Corrupt EXIF data", UserWarning))
OF_SYSTEMS = {"@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX"}  # folders, passed over as hidden ones are


def unit(x):
    """``x`` with its last axis scaled to length 1; zeros stay zeros."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


class TooLarge(ValueError):
    """An image of more than MOST_PIXELS."""


def too_large(pixels):
    """The error of an image of so many pixels."""
    counts = (f"{number / 1e6:.10g} million" if number >= 1e6 else f"{number:,}" for number in (pixels, MOST_PIXELS))
    return TooLarge("is too large: " + " pixels, more than ".join(counts))


def open_image(file):
    """An opened image file; a JPEG beyond MOST_PIXELS at a fraction of its size. Raises TooLarge for others beyond it."""
    there = [(action, getattr(message, "pattern", ""), kind) for action, message, kind, *_ in warnings.filters]
    for message, kind in SILENCED:
        if ("ignore", message, kind) not in there:
            warnings.filterwarnings("ignore", message, kind)
    Image.init()
    try:
        image = Image.open(file, formats=[name for name in Image.OPEN if name != "EPS"])  # which starts another program
    except Image.DecompressionBombError as error:  # which tells the number in its message alone
        raise too_large(int(re.search(r"(\d+) pixels", str(error))[1])) from None
    width, height = image.size
    if width * height > MOST_PIXELS:
        part = next((part for part in (2, 4) if -(-width // part) * -(-height // part) <= MOST_PIXELS), 8)
        image.draft(image.mode, (width // part, height // part))
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise too_large(width * height)
    return image


def rgb_image(image):
    """An opened image file as viewers show it: upright, 8 bits, on white where it is transparent, RGB."""
    deep = any(";16" in str(tile) for tile in getattr(image, "tile", ()))
    image.load()
    clear, tags = image.info.get("transparency"), getattr(image, "tag_v2", None)
    if deep and isinstance(clear, tuple):  # a color of 16 bits, where Pillow keeps the upper 8 of each pixel
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    with contextlib.suppress(Exception):  # an EXIF block that cannot be read says nothing
        ImageOps.exif_transpose(image, in_place=True)
    photometric, numbers = ((tags or {}).get(tag) for tag in (262, 339))
    numbers = numbers[0] if isinstance(numbers, tuple) and numbers else numbers
    if image.mode == "L" and numbers == 2:  # signed
        image = Image.fromarray((np.asarray(image).view(np.int8).astype(np.int16) + 128).astype(np.uint8))
    elif image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image)
        grey = grey.view(np.uint32) if image.mode == "I" and tags is not None and numbers in (1, None) else grey
        pixels = 255 - eight_bits(grey) if photometric == 0 else eight_bits(grey)
        image = Image.fromarray(np.where(grey == clear, np.uint8(255), pixels) if isinstance(clear, int) else pixels)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def eight_bits(grey):
    """Grey of any number type as uint8, by the smallest usual range that holds all of it, else by its own."""
    whole = grey.dtype.kind in "iu"
    white = (65535,) if grey.dtype.itemsize == 2 else (255, 65535) if whole else (1, 255)
    beyond = 0 if whole else 0.25  # that resampling leaves
    grey = np.nan_to_num(grey.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    own = grey.min(), grey.max()
    fits = ((0, top) for top in white if own[0] >= -beyond * top and own[1] <= (1 + beyond) * top)
    low, high = next(fits, own)
    return np.round((grey.clip(low, high) - low) * (255 / ((high - low) or 1))).astype(np.uint8)


def folded(text):
    """``text`` in lower case and in one spelling of each character, without what has no width."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in SELECTORS.sub("", text) if unicodedata.category(c) != "Cf")


def cut(text, pattern):
    """The words of ``text``; a combining mark belongs to the character before it."""
    text, shape = text.lower() if text.isascii() else folded(text), ""
    for c in text:
        shape += (shape[-1:] or " ") if unicodedata.category(c)[0] == "M" else c
    return [text[found.start() : found.end()] for found in re.finditer(pattern, shape)]


def shown(text):
    """``text`` with what would command a terminal as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


class Student:
    """Embeddings, codes and scores by the files in ``folder``."""

    def __init__(self, folder=HERE):
        self.folder, self.sessions = Path(folder), {}
        self.facts = json.loads((self.folder / "student.json").read_text(encoding="utf-8"))
        self.codewords = unit(np.load(self.folder / "codebooks.npy"))  # (M, K, D / M)
        self.shifts = np.arange(self.codewords.shape[1].bit_length() - 1)[::-1]  # of a codeword number's bits

    def encode(self, modality, batch):
        """Embeddings, (n, D) float32, of ``image`` or ``text`` inputs, stacked, as the methods below read them."""
        if modality not in self.sessions:
            file = self.folder / f"{modality}_encoder.onnx"
            self.sessions[modality] = InferenceSession(file, providers=["CPUExecutionProvider"])
        return self.sessions[modality].run(None, {f"{modality}s": batch})[0]

    def read_image(self, file):
        """Pixels, (side, side, 3) uint8: in RGB, squashed to a square. Raises ValueError for what is no image, or too large."""
        side = self.facts["image_size"]
        try:
            with open_image(file) as image:
                return np.asarray(rgb_image(image).resize((side, side), Image.Resampling.BILINEAR))
        except TooLarge as error:
            raise TooLarge(f"{file} {error}") from None
        except Exception as error:  # decoders raise errors of many kinds
            raise ValueError(f"{file} is no image that can be read") from error

    def read_text(self, text):
        """A 0/1 bag of words, (V,) float32, or word numbers between a start and an end, (length,) int64."""
        column = {folded(word): i for i, word in enumerate(self.facts["vocabulary"])}
        words = cut(text, self.facts["word_pattern"])
        if unknown := [word for word in dict.fromkeys(words) if word not in column]:
            print(f"not known to the student: {', '.join(unknown)}", file=sys.stderr)
        if self.facts["text_input"] == "tokens":
            length = self.facts["text_length"]
            numbers = [1, *(column.get(word, -1) + 3 for word in words[: length - 2]), len(column) + 3]
            return np.array(numbers + [0] * (length - len(numbers)))
        bag = np.zeros(len(column), np.float32)
        bag[[column[word] for word in words if word in column]] = 1
        return bag

    def tables(self, embeddings):
        """The cosine of each part of an embedding with each codeword, (n, M, K)."""
        num_codebooks, _, length = self.codewords.shape
        return np.einsum("nmd,mkd->nmk", unit(embeddings.reshape(-1, num_codebooks, length)), self.codewords)

    def codes(self, embeddings):
        """Packed codes, (n, bytes) uint8: the numbers of the codewords that are nearest."""
        bits = self.tables(embeddings).argmax(2)[:, :, None] >> self.shifts & 1
        return np.packbits(bits.astype(np.uint8).reshape(len(bits), -1), axis=1)

    def scores(self, embedding, codes):
        """The mean cosine of an embedding's parts with each item's codewords, (n,) float32, from -1 to 1."""
        count, total = len(self.codewords), np.zeros(len(codes), np.float32)
        bits = np.unpackbits(codes, axis=1, count=count * len(self.shifts)).reshape(len(codes), count, -1)
        for m, table in enumerate(self.tables(embedding[None])[0]):
            total += table[bits[:, m] @ (1 << self.shifts)]
        return total / count


def index(student, images, gallery):
    """Write the codes of all images under the folder ``images``, and their names, to the folder ``gallery``."""
    if (gallery / "codes.npy").exists():
        sys.exit(f"{gallery} has codes already: delete it, or name another folder with --gallery")
    codes, ids, hidden = [], [], 0
    for file in sorted(path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        name = file.relative_to(images).as_posix()
        if any(part[0] == "." or part in OF_SYSTEMS for part in name.split("/")):
            hidden += 1
            continue
        try:
            pixels, _ = student.read_image(file), name.encode()
        except ValueError as error:
            reason = "its name is not UTF-8" if isinstance(error, UnicodeEncodeError) else "cannot be read"
            told = error if isinstance(error, TooLarge) else f"{reason}: {file}"
            print(f"left out, {shown(told)}", file=sys.stderr)
            continue
        codes.append(student.codes(student.encode("image", pixels[None])))
        ids.append(name)
    if hidden:
        print(f"left out, hidden or in hidden folders: {hidden}", file=sys.stderr)
    if not ids:
        sys.exit(f"{images} holds no image that can be read ({', '.join(sorted(SUFFIXES))})")
    gallery.mkdir(parents=True, exist_ok=True)
    np.save(gallery / "ids.npy", np.array(ids))
    np.save(gallery / "codes.npy", np.concatenate(codes))
    print(f"{len(ids)} images in {gallery}")


def query(student, command, what):
    """The embedding, (D,) float32, of the text or the image file ``what``."""
    if command == "text" and not student.facts["text_input"]:
        sys.exit("this student's texts need a tokenizer that is not here: search with an image")
    try:
        inputs = student.read_image(what) if command == "image" else student.read_text(what)
    except ValueError as error:
        sys.exit(shown(error))
    if command == "text" and not inputs.any():
        sys.exit(f"{what!r} has no word that the student knows, such as {', '.join(student.facts['vocabulary'][:12])}")
    return student.encode(command, inputs[None])[0]


def main():
    """Do what the command line says."""
    warnings.formatwarning = lambda message, *_, **__: f"note: {shown(message)}\n"
    sys.stdout.reconfigure(errors="backslashreplace")  # for letters that a terminal's encoding lacks
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("index", "text", "image"))
    parser.add_argument("what", help="a folder of images; words; an image file")
    parser.add_argument("-k", type=int, default=10, help="how many to show (10)")
    parser.add_argument("--gallery", type=Path, default=HERE / "images", help="folder of codes and ids (images)")
    asked = parser.parse_args()
    if asked.k < 1:
        parser.error("-k must be at least 1")
    student = Student()
    if asked.command == "index":
        return index(student, Path(asked.what), asked.gallery)
    if not (asked.gallery / "codes.npy").exists():
        sys.exit(f"there are no codes in {asked.gallery}: python search.py index FOLDER")
    codes, ids = (np.load(asked.gallery / f"{name}.npy") for name in ("codes", "ids"))
    scores = student.scores(query(student, asked.command, asked.what), codes)
    for rank, item in enumerate(np.argsort(-scores, kind="stable")[: asked.k], 1):
        print(f"{rank:>4}  {scores[item]:.3f}  {shown(ids[item])}")


if __name__ == "__main__":
    main()
