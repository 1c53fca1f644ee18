"""Words of a text, cut in one way for the bags that a student is trained on and for what it is asked later."""

import re
import unicodedata

LATIN = r"[a-z]{2,}"  # a-z, no single letters: what English captions are counted by
# Letters of any language with their marks, no single ones but for syllables of Hangul and characters of Chinese.
LETTERS = r"[^\W\d_]{2,}|[가-힣㐀-鿿]"
LETTERS_AND_DIGITS = r"\w{2,}"  # tags that came as a list, such as d80 or plant_life
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_SELECTORS = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # marks that choose among forms of one character


def words(text: str, pattern: str = LATIN) -> list[str]:
    """The parts of ``text``, as :func:`folded` has it, that match the regular expression ``pattern``: in order, repeated ones too.

    A combining mark belongs to the character before it, and is looked at as that is.
    """
    if text.isascii():
        return re.findall(pattern, text.lower())
    text, shape = folded(text), ""
    for c in text:
        shape += (shape[-1:] or " ") if unicodedata.category(c).startswith("M") else c
    return [text[match.start() : match.end()] for match in re.finditer(pattern, shape)]


def folded(text: str) -> str:
    """``text`` in one spelling: without case, characters that are composed or of another width as one (NFKC), and without what
    has no width, such as a soft hyphen."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in _SELECTORS.sub("", text) if unicodedata.category(c) != "Cf")


def unspaced_script(text: str) -> str:
    """The name of a script in ``text`` that has no spaces between words, such as ``Thai``, so that :func:`words` cannot find them;
    else empty."""
    found = _UNSPACED.search(unicodedata.normalize("NFKC", text))
    return unicodedata.name(found.group(), "CJK").split()[0].capitalize().replace("Cjk", "Chinese") if found else ""
