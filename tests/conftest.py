"""Tests leave the checkout's reports alone: what notebooks write under test goes to a temporary folder."""

import os
import tempfile

# The folder is named as in a checkout, so that the sanitiser of the notebooks' outputs sees the two alike.
os.environ.setdefault("DCMQ_REPORTS", f"{tempfile.mkdtemp(prefix='dcmq-')}/reports")
