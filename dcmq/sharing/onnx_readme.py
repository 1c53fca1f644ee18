"""The README of a student without torch: what the folder holds, how it is used, and what each file means."""

_TEXT = """# A student without torch

Searches images by words and by images. It needs Python, onnxruntime, numpy and pillow, and no other file than those here.

```
pip install -r requirements.txt
python search.py index ~/Pictures{own}
python search.py {query}{own}
```

`python search.py image FILE` ranks by an image. `-k 20` shows more. In Python: `from search import Student`.
{galleries}
## Files

| file | what it holds |
| --- | --- |
| `search.py` | the reader: all of what is said below, in numpy |
| `image_encoder.onnx` | {image_encoder}: `images`, uint8 (n, {side}, {side}, 3), to `embeddings`, float32 (n, {dimension}) |
{text_file}| `codebooks.npy` | float32 ({num_codebooks}, {num_codewords}, {subvector_dim}): M = {num_codebooks} codebooks of K = {num_codewords} codewords; only their directions count |
| `student.json` | sizes, words and names, and the `format` of this folder, {format} |
| `FOLDER/codes.npy`, `FOLDER/ids.npy` | a gallery: uint8 (items, {code_size}) packed codes, and what each row is |

Weights are {weights}. The student's data, teacher and license are in its model card, which `dcmq push` writes: ask whoever exported it.

## From an image to an embedding

1. Decode with Pillow, as viewers show it: turned as EXIF says, grey of more than 8 bits scaled to 8, transparency laid on white, in RGB
   (`rgb_image` in `search.py`).
2. `resize(({side}, {side}), BILINEAR)`; aspect is not kept. The bytes go into `image_encoder.onnx`, which does the rest:
3. {resize}
4. `(x - mean) / std` by channel, mean {mean} and standard deviation {std} of values from 0 to 255.
5. The network {image_encoder}, and a linear layer to {dimension} numbers.

## From a text to an embedding

{text_steps}

## From an embedding to a code, and to a score

Cut the embedding into {num_codebooks} parts of {subvector_dim} numbers. A code holds for each part the number of the codeword with the largest cosine:
{bits_each} bits each, codebook 0 first, most significant bit first, zero bits at the end.

A query is not compressed. The score of an item is the mean of {num_codebooks} cosines: part m of the query with the codeword that the item has
in codebook m. Of equal scores the earlier row comes first.
"""

_BAG = """1. Lower case, Unicode's NFKC; all matches of the regular expression `{pattern}`, a combining mark counting as a letter.
2. A bag of words, float32 (n, {vocab_size}): 1 in the column of each word of `vocabulary` in `student.json` that occurs, else 0. Other words are
   left out, and `search.py` names them.
3. `text_encoder.onnx`."""

_TOKENS = """1. Lower case, Unicode's NFKC; all matches of the regular expression `{pattern}`, the first {most}.
2. int64 (n, {text_length}): 1, then for each word its position in `vocabulary` of `student.json` plus 3 (2 where it has none), then {end}, then zeros.
3. `text_encoder.onnx`."""

_NO_TEXT = "Texts are not here: `{encoder}` reads the tokens of a tokenizer that does not come with this folder. Search with images."

_GALLERIES = """
{names} came along, so that a search answers at once: without `--gallery` it is in `images`.
`python search.py image FILE --gallery texts` ranks texts, where there are some. Their codes were made in float32.
"""


def onnx_readme(facts: dict, galleries: list[str]) -> str:
    """The README of an exported folder.

    Args:
        facts: as ``student.json`` has them. galleries: names of the folders with codes.
    """
    num_codebooks, num_codewords, subvector_dim = facts["codebooks"]
    vocab_size, length, size = len(facts["vocabulary"]), facts["text_length"], facts["network_image_size"]
    text = {"bag": _BAG, "tokens": _TOKENS, "": _NO_TEXT}[facts["text_input"]]
    shape = {"bag": f"float32 (n, {vocab_size})", "tokens": f"int64 (n, {length})", "": ""}[facts["text_input"]]
    text_file = f"| `text_encoder.onnx` | {facts['text_encoder']}: `texts`, {shape}, to `embeddings` |\n"
    bits_each = num_codewords.bit_length() - 1
    resized = "Resized for the network with torch's bilinear filter on uint8, to {0} x {0}, byte for byte."
    words = " ".join(facts["vocabulary"][:2])
    return _TEXT.format(
        own=" --gallery mine" if galleries else "",
        query=f'text "{words}"' if facts["text_input"] else "image boat.jpg",
        galleries=_GALLERIES.format(names=" and ".join(f"`{name}`" for name in galleries)) if galleries else "",
        image_encoder=facts["image_encoder"],
        text_file=text_file if shape else "",
        side=facts["image_size"],
        resize=resized.format(size) if size != facts["image_size"] else "It is the network's size already.",
        mean=facts["mean"],
        std=facts["std"],
        dimension=num_codebooks * subvector_dim,
        num_codebooks=num_codebooks,
        num_codewords=num_codewords,
        subvector_dim=subvector_dim,
        bits_each=bits_each,
        code_size=-(-num_codebooks * bits_each // 8),
        format=facts["format"],
        weights={"int8": "rounded to 8 bits, activations as they come", "float32": "float32"}[facts["weights"]],
        text_steps=text.format(
            pattern=facts["word_pattern"],
            vocab_size=vocab_size,
            text_length=length,
            most=length - 2,
            end=vocab_size + 3,
            encoder=facts["text_encoder"],
        ),
    )
