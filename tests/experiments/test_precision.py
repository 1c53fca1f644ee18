"""The quickest precision: chosen by a probe, said with its reason, and kept in the settings."""

import pytest

from dcmq.experiments import precision
from dcmq.experiments.settings import parsed_settings


@pytest.fixture(autouse=True)
def asked_anew():
    precision.quickest_precision.cache_clear()
    yield
    precision.quickest_precision.cache_clear()


@pytest.mark.parametrize(
    ("seconds", "wanted", "ratio"), [((1.0, 12.0), "32-true", "12"), ((1.0, 0.5), "bf16-mixed", "0.5")]
)
def test_the_quicker_one_is_chosen_and_said(monkeypatch, capsys, seconds, wanted, ratio):
    monkeypatch.setattr(precision, "probe", lambda device: dict(zip(("32-true", "bf16-mixed"), seconds, strict=True)))
    assert parsed_settings("precision=auto epochs=2") == {"precision": wanted, "epochs": 2}
    assert (
        f"precision: {wanted}, as a step in bf16-mixed takes {ratio} times the time of 32-true"
        in capsys.readouterr().err
    )
    assert parsed_settings("precision=auto")["precision"] == wanted and not capsys.readouterr().err  # asked once


def test_the_probe_times_both_here():
    seconds = precision.probe("cpu")
    assert set(seconds) == {"32-true", "bf16-mixed"} and min(seconds.values()) > 0


def test_what_is_written_is_what_is_taken():
    assert parsed_settings("precision=bf16-mixed") == {"precision": "bf16-mixed"}
