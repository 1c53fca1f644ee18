"""Several runs at a time."""

import pytest
from tiny import config, tiny_dataset

from dcmq.experiments.parallel import run_all


class Setup:
    """A setup whose data set is in memory."""

    @staticmethod
    def load():
        return tiny_dataset()


@pytest.mark.parametrize("workers", [1, 2])
def test_finished_runs_show_no_bar(home, capfd, workers):
    configs = [config(epochs=1, seed=seed) for seed in (0, 1)]
    first = run_all(configs, Setup, workers=1, r=10)
    assert "training" in capfd.readouterr().err
    assert run_all(configs, Setup, workers=workers, r=10) == first
    assert "training" not in capfd.readouterr().err
