"""Search images by words or by an image, with a student of DCMQ and without torch.

pip install -r requirements.txt
python search.py index PHOTOS            encode the images in the folder PHOTOS
python search.py text "red boat at sea"  the images that are nearest to the words: rank, score, name
python search.py image boat.jpg          the images that are nearest to an image
"""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image

HERE = Path(__file__).resolve().parent
SUFFIXES = set(".jpg .jpeg .png .webp .bmp .gif .tif .tiff .ppm".split())
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # from Pillow


def unit(x):
    """``x`` with its last axis scaled to length 1; zeros stay zeros."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


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
        """Pixels, (side, side, 3) uint8: in RGB, squashed to a square."""
        side = self.facts["image_size"]
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))

    def read_text(self, text):
        """A 0/1 bag of words, (V,) float32, or word numbers between a start and an end, (length,) int64."""
        column = {word: i for i, word in enumerate(self.facts["vocabulary"])}
        words = re.findall(self.facts["word_pattern"], text.lower())
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
    codes, ids = [], []
    for file in sorted(path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        try:
            pixels = student.read_image(file)
        except UNREADABLE:
            print(f"left out, cannot be read: {file}", file=sys.stderr)
            continue
        codes.append(student.codes(student.encode("image", pixels[None])))
        ids.append(file.relative_to(images).as_posix())
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
    except UNREADABLE:
        sys.exit(f"{what} is no image that can be read")
    if command == "text" and not inputs.any():
        sys.exit(f"{what!r} has no word that the student knows, such as {', '.join(student.facts['vocabulary'][:12])}")
    return student.encode(command, inputs[None])[0]


def main():
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("index", "text", "image"))
    parser.add_argument("what", help="a folder of images; words; an image file")
    parser.add_argument("-k", type=int, default=10, help="how many to show (10)")
    parser.add_argument("--gallery", type=Path, default=HERE / "images", help="folder of codes and ids (images)")
    asked, student = parser.parse_args(), Student()
    if asked.command == "index":
        return index(student, Path(asked.what), asked.gallery)
    if not (asked.gallery / "codes.npy").exists():
        sys.exit(f"there are no codes in {asked.gallery}: python search.py index FOLDER")
    codes, ids = (np.load(asked.gallery / f"{name}.npy") for name in ("codes", "ids"))
    scores = student.scores(query(student, asked.command, asked.what), codes)
    for rank, item in enumerate(np.argsort(-scores, kind="stable")[: asked.k], 1):
        print(f"{rank:>4}  {scores[item]:.3f}  {ids[item]}")


if __name__ == "__main__":
    main()
