"""Work in many pieces: who does it, and what becomes of a piece whose process is killed."""

import os
import signal

import pytest

from dcmq.core.executors import LostWorker, do_all, open_executor, retried, scheduler_address


def square(number):
    return number**2


def killed_once(file):
    """The id of the process that does it, which the first time is killed."""
    if not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def always_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def raises(message):
    raise ValueError(message)


def test_lost_pieces_are_tried_again_at_most_twice():
    said, tried = [], []

    def once(keys, attempt):
        tried.append((list(keys), attempt))
        return [key for key in keys if key == "never" or key == "second" and attempt < 1]

    with pytest.raises(LostWorker, match="N: the process was killed 3 times, .*: add memory"):
        retried({"first": "F", "second": "S", "never": "N"}, once, said.append, "add memory")
    assert tried == [(["first", "second", "never"], 0), (["second", "never"], 1), (["never"], 2)]
    assert [line.split(":")[0] for line in said] == ["S", "N", "N", "N"]


def test_the_address_is_the_one_that_is_given_or_that_of_the_environment(monkeypatch):
    monkeypatch.delenv("DCMQ_SCHEDULER", raising=False)
    assert scheduler_address() == "" and scheduler_address("tcp://a:1") == "tcp://a:1"
    monkeypatch.setenv("DCMQ_SCHEDULER", "tcp://b:2")
    assert scheduler_address() == "tcp://b:2" and scheduler_address("tcp://a:1") == "tcp://a:1"


@pytest.mark.slow
def test_every_piece_is_done_by_another_process(tmp_path):
    done, said = {}, []
    work = {f"n{number}": (number,) for number in range(5)}
    do_all(square, work, {key: key for key in work}, done.__setitem__, said.append, workers=2, advice="")
    assert done == {f"n{number}": number**2 for number in range(5)} and said == []
    with open_executor(2) as executor:
        processes = set(executor.map(killed_once, [tmp_path] * 4))
    assert os.getpid() not in processes and len(processes) <= 2


@pytest.mark.slow
def test_a_killed_process_costs_its_piece_a_second_try_and_no_other_piece_anything(tmp_path):
    done, said = {}, []
    work = {key: (tmp_path / key,) for key in "abc"}
    (tmp_path / "b").touch()
    do_all(
        killed_once, work, {key: f"piece {key}" for key in work}, done.__setitem__, said.append, workers=2, advice=""
    )
    assert done.keys() == set("abc") and done.keys() == work.keys()
    assert sorted(line.split(":")[0] for line in said) == ["piece a", "piece c"]


@pytest.mark.slow
def test_a_piece_that_is_always_killed_or_raises_is_named(tmp_path):
    with pytest.raises(LostWorker, match="the large one: the process was killed 3 times"):
        do_all(always_killed, {0: ()}, {0: "the large one"}, print, print, advice="add memory")
    with pytest.raises(ValueError, match="no such thing"):
        do_all(raises, {0: ("no such thing",)}, {0: "a"}, print, print, advice="")


@pytest.mark.slow
def test_a_task_of_a_cluster_asks_no_other_worker(monkeypatch):
    """Its worker would wait for itself where the cluster has no other."""
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    monkeypatch.delenv("DCMQ_SCHEDULER", raising=False)
    assert scheduler_address() == ""
    options = dict(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50)
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        monkeypatch.setenv("DCMQ_SCHEDULER", cluster.scheduler_address)
        assert scheduler_address() == cluster.scheduler_address
        assert client.submit(scheduler_address, pure=False).result(timeout=60) == ""
        assert scheduler_address() == cluster.scheduler_address
