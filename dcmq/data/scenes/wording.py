"""Texts about a scene as people write them: a caption (a sentence), a title (bare words) and Flickr-like tags (noisy
words)."""

import random

from dcmq.data.scenes.grammar import BACKGROUNDS, CLASS_INDEX, CLASSES, COLOURS, OBJECTS, Scene, Thing, pick

TAG_MISSING = 0.30  # share of the class words that no tag mentions
SYNONYM = 0.30  # share of the mentioned classes named by another word
WRONG_TAG = 0.06  # share of the images tagged with a class that is not there
TERSE = 0.25  # share of a teacher's training captions that are bare words, as many titles of images on the web are
COLOUR_TAG = 0.25
PLACE_TAG = 0.45

# Words that say nothing of the content, in falling frequency, as on photo-sharing sites.
JUNK_TAGS = (
    "canon nikon photo explore geotagged bravo art 2008 2007 digital favourite square interesting macro film hdr "
    "flickr abigfave 2006 light travel europe family friends lens portrait project365 summer spring autumn "
    "closeup holiday vacation trip weekend london paris berlin tokyo california usa uk canada spain italy france "
    "germany raw d80 d300 eos 50mm lomo polaroid vintage retro cute funny love life fun cool beautiful amazing "
    "happy old new big little abstract pattern texture colour colourful blackandwhite bw mono contrast shadow "
    "reflection blur bokeh"
).split()
_JUNK_ODDS = tuple(1.0 / (rank + 3) for rank in range(len(JUNK_TAGS)))


def caption(rng: random.Random, scene: Scene) -> str:
    """An English sentence: sizes, colours, relations and place, which the labels do not hold.

    Up to three objects are mentioned; a fourth is sometimes left out, as people do.
    """
    order = sorted(range(len(scene.things)), key=lambda i: -scene.things[i].size)
    if len(order) == 4 and rng.random() < 0.6:
        order = order[:3]
    first = scene.things[order[0]]
    words = [_noun_phrase(rng, first)]
    if len(order) > 1:
        second = scene.things[order[1]]
        words += [_relation(first, second, order[0] > order[1]), _noun_phrase(rng, second)]
    for i in order[2:]:
        words += [pick(rng, ("and", "with", "next to")), _noun_phrase(rng, scene.things[i])]
    if rng.random() < 0.8:
        place = pick(rng, scene.background.phrases)
        words = [place, ":"] + words if rng.random() < 0.2 else words + [place]
    return " ".join(words).replace(" :", ",")


def title(rng: random.Random, scene: Scene) -> str:
    """Bare words, as in an image's title or alt text: some of the objects in any order, sometimes a colour or the
    place."""
    things = [t for t in scene.things if rng.random() >= TAG_MISSING] or [pick(rng, scene.things)]
    phrases = [
        (f"{t.colour} " if rng.random() < COLOUR_TAG else "") + _name(rng, t.kind, SYNONYM)
        for t in sorted(things, key=lambda _: rng.random())
    ]
    place = [pick(rng, scene.background.phrases)] if rng.random() < PLACE_TAG else []
    return " ".join(phrases + place)


def _noun_phrase(rng: random.Random, thing: Thing) -> str:
    words = []
    if thing.size < 0.11 and rng.random() < 0.6:
        words.append(pick(rng, ("small", "tiny", "little")))
    elif thing.size > 0.21 and rng.random() < 0.6:
        words.append(pick(rng, ("big", "large", "huge")))
    if rng.random() < 0.7:
        words.append(thing.colour)
    words.append(_name(rng, thing.kind, 0.15))
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words])


def _name(rng: random.Random, kind: str, synonym_rate: float) -> str:
    return pick(rng, OBJECTS[CLASS_INDEX[kind]].synonyms) if rng.random() < synonym_rate else kind


def _relation(a: Thing, b: Thing, a_in_front: bool) -> str:
    dx, dy = a.x - b.x, a.y - b.y
    if max(abs(dx), abs(dy)) < 0.6 * (a.size + b.size):
        return "in front of" if a_in_front else "behind"
    if abs(dx) > abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def tags(rng: random.Random, scene: Scene) -> list[str]:
    """The distinct tags in the order in which they are written; never empty."""
    words = []
    for label in scene.labels:
        if rng.random() >= TAG_MISSING:
            words.append(_name(rng, CLASSES[label], SYNONYM))
    if rng.random() < WRONG_TAG:
        words.append(pick(rng, CLASSES))
    words += [t.colour for t in scene.things if rng.random() < COLOUR_TAG]
    words += [w for w in scene.background.tags if rng.random() < PLACE_TAG / 2]
    words += [pick(rng, JUNK_TAGS, _JUNK_ODDS) for _ in range(pick(rng, (0, 1, 2, 3, 4)))]
    if not words:
        words = [pick(rng, JUNK_TAGS, _JUNK_ODDS)]
    return list(dict.fromkeys(words))


def caption_words() -> list[str]:
    """Every word a caption can hold, sorted: the vocabulary of the bundled teacher's tokenizer."""
    fixed = "a an small tiny little big large huge left right of in front behind above below and with next to"
    texts = [fixed, *COLOURS, *(p for b in BACKGROUNDS for p in b.phrases)]
    texts += [word for o in OBJECTS for word in (o.name, *o.synonyms)]
    return sorted({word for text in texts for word in text.split()})
