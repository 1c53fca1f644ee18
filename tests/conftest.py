"""Fixtures of all tests; what pytest sets for notebooks as well stands in the conftest.py above."""

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder of its own for cache, runs and reports."""
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path / "home" / "reports"))
    return tmp_path / "home"
