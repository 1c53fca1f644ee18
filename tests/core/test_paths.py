"""Where files go, and how their places are printed."""

import pytest

from dcmq.core.paths import display_path


@pytest.mark.parametrize(
    ("working_directory", "shown"),
    [("home", "reports/a"), ("home/notebooks", "reports/a"), ("elsewhere", "{}/home/reports/a")],
)
def test_a_printed_place_is_found_from_where_it_is_read(tmp_path, monkeypatch, working_directory, shown):
    monkeypatch.setenv("DCMQ_HOME", str(tmp_path / "home"))
    (tmp_path / working_directory).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / working_directory)
    assert display_path(tmp_path / "home" / "reports" / "a") == shown.format(tmp_path)
    assert display_path(tmp_path / "other") == str(tmp_path / "other")
