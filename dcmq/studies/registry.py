"""All studies, by the name of their notebook. To add one: a file here that registers it
(:func:`dcmq.experiments.study.register_study`), its name below, and a notebook of that name."""

from importlib import import_module

from dcmq.experiments.study import STUDIES

__all__ = ["STUDIES", "reading_order"]

_IN_READING_ORDER = (
    "quickstart",
    "method",
    "explorer",
    "own_idea",
    "similarity_histograms",
    "main_results",
    "teachers",
    "ablation_npc",
    "npc_parts",
    "teacher_text",
    "better_student",
    "modality_gap",
    "no_match",
    "ablation_pqg",
    "codewords",
    "cost",
    "qualitative",
    "low_bits",
    "captions",
    "backbones",
    "separate_training",
    "teacher_finetuning",
    "sensitivity",
    "bits_and_dimension",
)
for _name in _IN_READING_ORDER:
    import_module(f"dcmq.studies.{_name}")


def reading_order() -> tuple[str, ...]:
    """Names of all notebooks: the package's in reading order, then a user's own in the order they were registered in."""
    return tuple(dict.fromkeys([*_IN_READING_ORDER, *STUDIES]))
