"""Whatever pytest runs here, notebooks named on its command line too, leaves the checkout's reports alone."""

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
os.environ.setdefault("DCMQ_PUBLISHED", str(Path(__file__).parent / "reports"))
