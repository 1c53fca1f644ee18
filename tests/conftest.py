"""Tests leave the checkout's reports alone: what notebooks write under test goes to a temporary folder."""

import os
import tempfile
from pathlib import Path

# The folder is named as in a checkout, so that the sanitiser of the notebooks' outputs sees the two alike.
os.environ.setdefault("DCMQ_REPORTS", f"{tempfile.mkdtemp(prefix='dcmq-')}/reports")
# Notebooks under test take the runs that stand in committed records. Where the code that makes them has changed, their
# keys have too, and they are made anew; tests/test_studies.py repeats some in any case.
os.environ.setdefault("DCMQ_PUBLISHED", str(Path(__file__).parents[1] / "reports"))
