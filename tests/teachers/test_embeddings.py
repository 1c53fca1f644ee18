"""A teacher's embeddings: computed once, by whichever process comes first."""

import os
import subprocess
import sys

import pytest

TWICE = """
import sys
from dcmq.data.datasets import load_dataset
from dcmq.teachers.embeddings import embed
from dcmq.teachers.registry import resolve_teacher
teacher = resolve_teacher("clip", "scenes")
encode, calls = teacher.encode_images, []
teacher.encode_images = lambda x: calls.append(len(x)) or encode(x)
data = load_dataset("scenes", query=20, train=60, gallery=100)
print(float(embed(teacher, data, progress=False).image.sum()), sum(calls))
"""


@pytest.mark.slow
def test_two_processes_at_once_embed_once_and_agree(tmp_path):
    home = os.environ | {"DCMQ_HOME": str(tmp_path)}
    both = [subprocess.Popen([sys.executable, "-c", TWICE], env=home, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    answers = [process.communicate(timeout=300)[0].split() for process in both]
    assert all(process.returncode == 0 for process in both)
    assert answers[0][0] == answers[1][0]
    assert sorted(int(count) for _, count in answers) == [0, 120]
