"""Tests leave the checkout's reports alone: what notebooks write under test goes to a temporary folder."""

import os
import tempfile

os.environ.setdefault("DCMQ_REPORTS", tempfile.mkdtemp(prefix="dcmq-reports-"))
