"""What the tests of data share."""

import miniature
import pytest


@pytest.fixture
def own(tmp_path):
    """The folder of a user's own images and table, before it is prepared."""
    return miniature.folder(tmp_path / "own")
