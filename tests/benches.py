"""A bench of 90 items with two students whose codes are drawn at random, and their teacher: nothing is trained."""

import torch
from tiny import several_labels

from dcmq.explore.bench import Bench
from dcmq.explore.items import items_of_dataset
from dcmq.explore.rankers import Ranker, ranker_of_teacher


def random_student(name="student", n=90, seed=0, num_codebooks=4, num_codewords=16, subvector_dim=4):
    """A ranker of random embeddings and codebooks that reads no words."""
    generator = torch.Generator().manual_seed(seed)
    dim = num_codebooks * subvector_dim
    return Ranker(
        name=name,
        description="student of nobody",
        embeddings={kind: torch.randn(n, dim, generator=generator) for kind in ("images", "texts")},
        read=lambda text: torch.zeros(dim),
        codebooks=torch.randn(num_codebooks, num_codewords, subvector_dim, generator=generator),
    )


def random_bench():
    """Students ``one`` (M 4, K 16) and ``two`` (M 2, K 8), and the teacher; half of the items are training items."""
    data, embeddings = several_labels()
    students = [random_student("one"), random_student("two", seed=1, num_codebooks=2, num_codewords=8)]
    return Bench(items_of_dataset(data), [*students, ranker_of_teacher(embeddings, data)])
