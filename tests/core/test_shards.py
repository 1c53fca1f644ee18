"""Files that the workers of a cluster make."""

import pytest

from dcmq.core.shards import cluster_address


@pytest.mark.slow
def test_a_task_of_a_cluster_asks_no_other_worker(monkeypatch):
    """Its worker would wait for itself where the cluster has no other."""
    distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
    monkeypatch.delenv("DCMQ_SCHEDULER", raising=False)
    assert cluster_address() == ""
    options = dict(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=50)
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        monkeypatch.setenv("DCMQ_SCHEDULER", cluster.scheduler_address)
        assert cluster_address() == cluster.scheduler_address
        assert client.submit(cluster_address, pure=False).result(timeout=60) == ""
        assert cluster_address() == cluster.scheduler_address
