"""A finished run whose student nobody trained, with a whole record: measured on a few images of noise under the name scenes."""

import json
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from finished_run import CONFIG, write_finished_run
from tiny import TAGS, tagged_dataset, tiny_dataset

from dcmq.experiments.keys import evaluation_fingerprint
from dcmq.experiments.records import make_record
from dcmq.experiments.run_files import RECORD
from dcmq.methods.base import FitResult
from dcmq.methods.dcmq.retriever import QuantizedRetriever
from dcmq.methods.dcmq.student import make_student
from dcmq.retrieval.evaluate import evaluate

CHOICES = {"version": 2, "seed": 0, "query": 8, "train": 16, "gallery": 32, "label_missing": 0.1}


@cache
def _record() -> dict:
    small = tagged_dataset()
    backgrounds = np.arange(len(small.ids)) % 2
    dataset = replace(small, name="scenes", choices=CHOICES, backgrounds=backgrounds)
    teacher = replace(tiny_dataset()[1], name="clip", description="bundled small CLIP for scenes", parameters=1_612_185)
    student = make_student(CONFIG, len(TAGS)).eval()
    fitted = FitResult(
        QuantizedRetriever(student, dataset), parameters=478_104, seconds=8.34, history=[{"i2t": 4.5, "t2i": 4.6}]
    )
    measured = {"R": 10, "code": evaluation_fingerprint(), "seconds": 0.5} | evaluate(fitted.retriever, dataset, 10)
    return json.loads(json.dumps(make_record(CONFIG, dataset, teacher, "0123456789abcdef", fitted, measured)))


def whole_record() -> dict:
    """The record, for the test to change."""
    return deepcopy(_record())


def write_whole_run(home: Path) -> Path:
    """Write the run under ``home``. Returns its folder."""
    folder = write_finished_run(home)
    (folder / RECORD).write_text(json.dumps(whole_record()))
    return folder
