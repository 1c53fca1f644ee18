"""Tests leave the checkout's reports alone, and each of their processes keeps to one thread."""

import os
import tempfile
from pathlib import Path

# Before torch is imported, here and in what tests start: several processes with several threads each only wait for each other.
for _library in ("OMP", "MKL", "OPENBLAS"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
# What notebooks write under test goes to a temporary folder, named as in a checkout, so that the sanitizer of the notebooks'
# outputs sees the two alike.
os.environ.setdefault("DCMQ_REPORTS", f"{tempfile.mkdtemp(prefix='dcmq-')}/reports")
# Notebooks under test take the runs that stand in committed records. Where the code that makes them has changed, their keys have
# too, and they are made anew; tests/experiments/test_repeated_runs.py repeats some in any case.
os.environ.setdefault("DCMQ_PUBLISHED", str(Path(__file__).parents[1] / "reports"))

import pytest  # noqa: E402


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder of its own for cache, runs and reports."""
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path / "home" / "reports"))
    return tmp_path / "home"
