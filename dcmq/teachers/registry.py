"""All teachers there are, by name. To add one: a file here that registers it
(:func:`dcmq.teachers.base.register_teacher`), and its name below."""

from importlib import import_module
from importlib.util import find_spec

from dcmq.core.errors import DcmqError
from dcmq.core.registry import suggestion
from dcmq.teachers.base import TEACHERS, Teacher, TeacherKind

# Each registers its kinds when it is imported, so their order is that of the tables.
for _module in ("bundled", "openclip", "declip", "albef", "blip", "precomputed"):
    import_module(f"dcmq.teachers.{_module}")

__all__ = ["TEACHERS", "resolve_teacher", "teacher_names"]


def teacher_names() -> tuple[str, ...]:
    """Every name as a user writes it: ``clip``, ``open_clip:ARCH/TAG``, ..."""
    return tuple(form for kind in TEACHERS.values() for form in kind.forms)


def resolve_teacher(name: str, dataset: str) -> Teacher:
    """The teacher that ``name`` means on the data set ``dataset``: ``clip`` is the bundled one on ``scenes``, else
    ViT-B/32.

    Raises:
        DcmqError: an unknown name, a package that is not installed, or weights that cannot be had.
    """
    short, _, argument = name.partition(":")
    if short not in TEACHERS or (argument and not TEACHERS[short].accepts(argument)):
        known = teacher_names()
        raise DcmqError(f"teacher: {name!r} is not known{suggestion(name, known)} (known: {', '.join(known)})")
    _require(TEACHERS[short], short, argument, ends=name == f"{short}:")
    return TEACHERS[short].make(name, dataset)


def _require(kind: TeacherKind, short: str, argument: str, ends: bool) -> None:
    """Raise DcmqError where the name lacks what stands behind its colon, or ``ends`` with it, or a package is not installed."""
    if ends or not kind.accepts(argument):
        forms = " or ".join(f"teacher={form}" for form in kind.forms)
        raise DcmqError(f"teacher {short} needs weights ({kind.description.source}): say {forms}")
    if kind.package and find_spec(kind.package) is None:
        raise DcmqError(f"teacher {short} needs {kind.package}: pip install 'dcmq[{kind.extra}]'")
