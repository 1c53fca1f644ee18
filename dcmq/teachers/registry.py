"""All teachers there are, by name. To add one: a file here that registers it (:func:`dcmq.teachers.base.register_teacher`), and
its import below."""

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.teachers import albef, blip, bundled, declip, openclip, precomputed  # noqa: F401 (they register themselves)
from dcmq.teachers.base import TEACHERS, Teacher


def teacher_names() -> tuple[str, ...]:
    """Every name as a user writes it: ``clip``, ``open_clip:ARCH/TAG``, ..."""
    return tuple(form for kind in TEACHERS.values() for form in kind.forms)


def resolve_teacher(name: str, dataset: str) -> Teacher:
    """The teacher that ``name`` means on data set ``dataset``; ``clip`` is the bundled one on ``scenes``, else ViT-B/32.

    Raises:
        DcmqError: unknown name, or weights that cannot be had.
    """
    kind, _, rest = name.partition(":")
    takes_more = kind in TEACHERS and any(":" in form for form in TEACHERS[kind].forms)
    if kind not in TEACHERS or (rest and not takes_more):
        known = teacher_names()
        raise DcmqError(f"teacher: {name!r} is not known{suggestion(name, known)} (known: {', '.join(known)})")
    return TEACHERS[kind].make(name, dataset)
