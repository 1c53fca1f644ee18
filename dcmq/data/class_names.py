"""The classes that a text names."""

from collections.abc import Sequence

from dcmq.data.words import words


def named_classes(text: str, classes: Sequence[str], word_pattern: str) -> list[int]:
    """Numbers of the ``classes`` whose names stand in ``text`` with all their words.

    Args:
        word_pattern: what a word is, as a data set says.
    """
    asked = set(words(text, word_pattern))
    names = [set(words(name.replace("_", " "), word_pattern)) for name in classes]
    return [number for number, name in enumerate(names) if name and name <= asked]
