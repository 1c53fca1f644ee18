"""Training that is killed at any moment, in one process, several, or by a cluster: run again, it leaves what undisturbed training leaves."""

import kills
import pytest

pytestmark = pytest.mark.slow
KILLS = kills.seeds(1)

TRAIN = """
import json, os, sys
from pathlib import Path
from dcmq.experiments.parallel import run_all
from dcmq.experiments.setup import ExperimentSetup
from tiny import config

def records(**how):
    setup = ExperimentSetup("scenes", "clip", options=dict(query=20, train=60, gallery=100))
    return run_all([(config(epochs=20, seed=seed), setup) for seed in range(2)], r=10, **how)

if __name__ == "__main__":
    if sys.argv[1] == "cluster":
        from distributed import LocalCluster
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
            Path(os.environ["DCMQ_HOME"], "begun").touch()
            made = records(scheduler=cluster.scheduler_address)
    else:
        made = records(workers=int(sys.argv[1]))
    print(json.dumps([[record["losses"], record["evaluation"]["t2i"]] for record in made]))
"""

phase = kills.by_files(data="cache/splits/*.json", training="runs/*/inputs.json", trained="runs/*/record.json")


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    file = tmp_path_factory.mktemp("script") / "train.py"
    file.write_text(TRAIN)
    return file


@pytest.fixture(scope="module")
def whole(script, tmp_path_factory):
    """Undisturbed training, by one process, two, or a cluster: its folder, its end; all of them are the same."""
    made = {}

    def get(how):
        if how not in made:
            folder = tmp_path_factory.mktemp("whole") / "home"
            made[how] = folder, kills.undisturbed([script, how], folder)
            assert made[how][1].out == next(iter(made.values()))[1].out
        return made[how]

    return get


@pytest.mark.parametrize("how", ["1", "2"])
def test_training_that_was_killed_goes_on(script, whole, tmp_path, how):
    """With two processes it is killed with the other one, or alone: then that one ends by itself."""
    folder, done = whole(how)
    for seed in KILLS:
        home, whom = tmp_path / f"home{seed}", kills.MAIN if how == "2" and seed % 2 == 0 else kills.EVERYONE
        kills.killed([script, how], home, whom, seed, done, phase)
        again = kills.undisturbed([script, how], home)
        assert again.out == done.out and "damaged" not in again.err
        kills.assert_same(home, folder)


@pytest.mark.parametrize("how", ["2", "cluster"])
def test_a_worker_that_is_killed_changes_nothing(script, whole, tmp_path, how):
    if how == "cluster":
        pytest.importorskip("distributed", reason="the extra cluster is not installed")
    folder, done = whole(how)
    for seed in KILLS:
        home = tmp_path / f"home{seed}"
        killed = kills.killed([script, how], home, kills.WORKER, seed, done, phase)
        assert (killed.code, killed.out) == (0, done.out) and "Traceback" not in killed.err, killed.err[-3000:]
        assert killed.err.count("its process was killed, most likely because memory was short; the others go on") <= 1
        kills.assert_same(home, folder)
