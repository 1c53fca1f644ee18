"""What a teacher reads of a row, by name.

labels     the label sentence: annotated classes in class order (§3.2, stated)
captions   the row's first caption (ours)
tags       its tags, joined by spaces (ours)
names      words that the teacher itself finds for the row's image, so that nobody has to label anything (ours)
A+B        the sum of two or more of them as unit vectors, at length 1 again (ours)
"""

import torch
from torch import Tensor

from dcmq.core.errors import DcmqError
from dcmq.core.hashing import digest
from dcmq.data.dataset import RetrievalDataset
from dcmq.teachers.base import TeacherEmbeddings, l2_normalize
from dcmq.teachers.embeddings import kept

KINDS = ("labels", "captions", "tags", "names")
NAMES = 3  # of an image (ours): about as many as a label sentence has
_BATCH, _CHUNK = 128, 4096


def text_vectors(teacher: TeacherEmbeddings, dataset: RetrievalDataset, kind: str) -> Tensor:
    """(n, d) unit vectors of what the teacher reads of every row, from the cache if they were made before.

    Raises:
        DcmqError: no such kind, texts that the data set lacks, or a teacher whose embeddings came from a file and that is to
            read other texts than label sentences.
    """
    vectors = [_vectors(teacher, dataset, part) for part in text_kinds(kind)]
    return vectors[0] if len(vectors) == 1 else l2_normalize(sum(vectors))


def text_kinds(kind: str) -> list[str]:
    """The parts of ``kind``, each one of :data:`KINDS`. Raises DcmqError where one is none of them, or stands twice."""
    parts = kind.split("+")
    if len(set(parts)) < len(parts) or not set(parts) <= set(KINDS):
        raise DcmqError(
            f"teacher_text: {kind!r} is none of {', '.join(KINDS)}, nor several of them such as labels+tags"
        )
    return parts


def sentences(teacher: TeacherEmbeddings, dataset: RetrievalDataset, kind: str) -> list[str]:
    """The text of each row that the teacher reads, for one of :data:`KINDS`.

    Raises:
        DcmqError: as :func:`text_vectors`.
    """
    if kind == "labels":
        return dataset.label_sentences()
    if not teacher.reads_any_text:
        raise DcmqError(
            f"teacher: {teacher.name} cannot read {kind}; choose the methods that end in -labels, or teacher_text=labels"
        )
    if kind == "names":
        return _name_sentences(teacher, dataset)
    texts = [dataset.text_of(row, "caption" if kind == "captions" else kind) for row in range(len(dataset.ids))]
    if None in texts:
        raise DcmqError(
            f"teacher: not every sample of {dataset.name} has {kind}; choose the methods that end in -labels, or another "
            "teacher_text"
        )
    return texts


def nearest_names(image: Tensor, words: Tensor, train: Tensor, count: int = NAMES) -> Tensor:
    """(n, count) numbers of the words nearest to each image, rising.

    From each word's similarity its mean over the training images is subtracted (ours): some words lie near every image of
    a teacher, whatever it shows, and would else name them all.

    Args:
        image: (n, d) unit vectors. words: (V, d) unit vectors. train: row numbers of the training images.
        count: at most V.
    """
    centred = image - image[train].mean(0)  # a mean of dot products is the dot product with the mean
    best = [(part @ words.T).topk(count, dim=1).indices for part in centred.split(_CHUNK)]
    return torch.cat(best).sort(dim=1).values


def _name_sentences(teacher: TeacherEmbeddings, dataset: RetrievalDataset) -> list[str]:
    """:func:`nearest_names` out of the vocabulary of the students' bags of words, as sentences in the vocabulary's order. The
    vocabulary needs training texts, but no labels."""
    words = _encoded(teacher, list(dataset.vocabulary))
    train = torch.from_numpy(dataset.split.train)
    chosen = nearest_names(teacher.image, words, train, min(NAMES, len(words)))
    return [" ".join(dataset.vocabulary[word] for word in row) for row in chosen.tolist()]


def _vectors(teacher: TeacherEmbeddings, dataset: RetrievalDataset, kind: str) -> Tensor:
    return teacher.text if kind == "labels" else _encoded(teacher, sentences(teacher, dataset, kind))


def _encoded(teacher: TeacherEmbeddings, texts: list[str]) -> Tensor:
    """(len(texts), d) unit vectors, kept by teacher and texts; each distinct text is read once."""
    distinct = sorted(set(texts))

    def made() -> dict[str, Tensor]:
        parts = [teacher.encode_texts(distinct[i : i + _BATCH]) for i in range(0, len(distinct), _BATCH)]
        return {"text": torch.cat(parts).float()}

    vectors = kept(
        digest(teacher.fingerprint, teacher.code, distinct), made, teacher.name, {"teacher": teacher.description}
    )
    place = {text: i for i, text in enumerate(distinct)}
    return vectors["text"][[place[text] for text in texts]]
