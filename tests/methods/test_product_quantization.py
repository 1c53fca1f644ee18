"""PQ and OPQ against faiss."""

import builtins

import pytest
import torch
from tasks import numbers

from dcmq.core.errors import DcmqError
from dcmq.methods import product_quantization as pq


@pytest.fixture(scope="module")
def cloud():
    """Correlated numbers, so that a rotation pays."""
    return (numbers(600, 16) @ numbers(16, 16, seed=1)).contiguous()


def test_more_bits_distort_less_and_a_rotation_helps(cloud):
    plain = [pq.train_codebooks(cloud, num_codebooks).distortion(cloud) for num_codebooks in (2, 4, 8)]
    assert plain[0] > plain[1] > plain[2] > 0
    turned = pq.train_codebooks(cloud, 4, rotate=True)
    assert turned.distortion(cloud) < plain[1]
    assert torch.allclose(turned.rotation @ turned.rotation.T, torch.eye(16), atol=1e-5)


def test_codes_and_distances_are_those_of_faiss(cloud):
    faiss = pq.faiss()
    codec = pq.train_codebooks(cloud, 4)
    index = faiss.IndexPQ(16, 4, 4)
    faiss.copy_array_to_vector(codec.codebooks.numpy().ravel(), index.pq.centroids)
    index.is_trained = True
    index.add(cloud.numpy())
    distance, found = index.search(cloud[:20].numpy(), 600)
    tables = pq.squared_distances(cloud[:20], codec.codebooks)
    codes = codec.assign(cloud)
    ours = sum(tables[:, m, codes[:, m]] for m in range(4))
    assert torch.allclose(ours.gather(1, torch.from_numpy(found)), torch.from_numpy(distance), rtol=1e-3, atol=1e-2)
    assert torch.allclose(codec.reconstructed(codes), torch.from_numpy(index.reconstruct_n(0, 600)), atol=1e-5)


def test_what_faiss_cannot_train_is_refused(cloud, monkeypatch):
    with pytest.raises(DcmqError, match="15 training vectors cannot fill 16 codewords"):
        pq.train_codebooks(cloud[:15], 4)
    with pytest.raises(DcmqError, match="16 numbers cannot be cut into 3"):
        pq.train_codebooks(cloud, 3)
    real = builtins.__import__

    def without(name, *rest):
        if name == "faiss":
            raise ImportError
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DcmqError, match=r"pip install 'dcmq\[faiss\]'"):
        pq.train_codebooks(cloud, 4)
def test_opq_of_fewer_rows_than_numbers_does_not_write_beyond_its_memory():
    x = torch.nn.functional.normalize(torch.randn(60, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    one, again = (pq.train_codebooks(x, 8, rotate=True) for _ in range(2))
    torch.testing.assert_close(one.rotation @ one.rotation.T, torch.eye(64), atol=1e-5, rtol=0)
    assert torch.equal(one.codebooks, again.codebooks)
