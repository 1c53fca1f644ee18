"""Words of a text, cut in one way for the bags that a student is trained on and for what it is asked later."""

import re

LATIN = r"[a-z]{2,}"  # a-z, no single letters: what English captions are counted by
LETTERS = r"[^\W\d_]{2,}"  # letters of any language, no single ones
LETTERS_AND_DIGITS = r"\w{2,}"  # tags that came as a list, such as d80 or plant_life


def words(text: str, pattern: str = LATIN) -> list[str]:
    """The parts of ``text``, in lower case, that match the regular expression ``pattern``: in order, repeated ones too."""
    return re.findall(pattern, text.lower())
