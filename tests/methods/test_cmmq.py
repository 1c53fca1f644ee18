"""CMMQ's proxies and losses against loops."""

import math
from itertools import combinations

import pytest
import torch
from tasks import numbers

from dcmq.core.errors import DcmqError
from dcmq.methods import cmmq
from dcmq.methods.hashing import signs


@pytest.mark.parametrize("classes,bits", [(22, 16), (64, 32), (80, 32), (80, 64)])
def test_proxies_stay_apart(classes, bits):
    proxies = cmmq.class_proxies(classes, bits)
    assert proxies.shape == (classes, bits) and set(proxies.unique().tolist()) == {-1.0, 1.0}
    nearest = min((a != b).sum().item() for a, b in combinations(proxies, 2))
    assert nearest == bits / 2 if classes <= 2 * bits else nearest >= bits / 4


@pytest.mark.parametrize(
    "classes,bits,said", [(22, 24, "24 is no power of two"), (5000, 16, "16 bits cannot keep 5000")]
)
def test_proxies_that_cannot_be_are_refused(classes, bits, said):
    with pytest.raises(DcmqError, match=said):
        cmmq.class_proxies(classes, bits)


def test_a_sample_aims_at_the_majority_of_its_proxies_and_ties_go_one_way_for_all():
    proxies = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1]])
    targets = cmmq.sample_targets(torch.tensor([[1, 0], [1, 1], [1, 1]]), proxies)
    assert targets[0].tolist() == [1, 1, -1, -1]
    assert targets[1, 0] == 1 and targets[1, 3] == -1 and torch.equal(targets[1], targets[2])
    assert (targets != 0).all()


def test_cmmqs_losses_are_sums_over_bits():
    image, text, target = numbers(2, 3), numbers(2, 3, seed=1), signs(numbers(2, 3, seed=2))
    proxy, mutual = cmmq.proxy_loss(image, target), cmmq.mutual_loss(image, text)
    for i in range(2):
        cross = divergence = 0.0
        for b in range(3):
            p, t = (1 + math.tanh(image[i, b])) / 2, (1 + target[i, b].item()) / 2
            cross -= t * math.log(p) + (1 - t) * math.log(1 - p)
            p, q = (1 / (1 + math.exp(-x[i, b])) for x in (image, text))
            for a, c in ((p, q), (q, p)):
                divergence += 0.5 * (a * math.log(a / c) + (1 - a) * math.log((1 - a) / (1 - c)))
        assert proxy[i].item() == pytest.approx(cross, rel=1e-4)
        assert mutual[i].item() == pytest.approx(divergence, rel=1e-3)


def test_small_losses_are_kept():
    assert cmmq.small_loss_mean(torch.tensor([4.0, 1, 3, 2]), 0.5).item() == 1.5
    assert cmmq.small_loss_mean(torch.tensor([4.0, 1]), 0.01).item() == 1.0
    assert [cmmq.kept_share(t, 0.2) for t in (0, 9, 50)] == pytest.approx([0.98, 0.8, 0.8])
