"""The compared methods: every loss term against loops over single pairs, the quantizers against faiss, runs that resume."""

import builtins
import math
from itertools import combinations

import numpy as np
import pytest
import torch
from tiny import STUDENT, tiny_dataset
from torch.nn import functional as F

from dcmq.config import EncodersConfig, MethodConfig
from dcmq.core.errors import DcmqError
from dcmq.experiments.keys import run_key, training_fingerprint
from dcmq.experiments.settings import parsed_settings
from dcmq.methods import cmhh, cmmq, dch_scr, dcmh, hashing, ssah
from dcmq.methods import product_quantization as pq
from dcmq.methods.base import CONTROL, FitTask
from dcmq.methods.hashing import signs
from dcmq.methods.registry import METHODS
from dcmq.retrieval.evaluate import evaluate
from dcmq.training.batches import epoch_batches

SMALL = EncodersConfig(**{k: v for k, v in STUDENT.model_dump().items() if k in EncodersConfig.model_fields})
HASHING = ["DCMH", "SSAH", "CMHH", "CMMQ", "DCH-SCR"]


def task_of(name, folder, **changes):
    settings = dict(method=name, student=SMALL, epochs=3, batch_size=16, learning_rate=3e-3) | changes
    dataset, teacher = tiny_dataset()
    return FitTask(MethodConfig(**settings), dataset, teacher, folder / name, "key")


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def similarity(n, m, seed=0):
    return torch.randint(0, 2, (n, m), generator=torch.Generator().manual_seed(seed)).float()


# --- DCMH


def test_the_pair_likelihood_is_a_sum_over_pairs():
    theta, similar = 3 * numbers(3, 4), similarity(3, 4)
    expected = 0.0
    for i in range(3):
        for j in range(4):
            t = theta[i, j].item()
            expected += math.log(1 + math.exp(t)) - similar[i, j].item() * t
    assert hashing.pair_likelihood_loss(theta, similar).item() == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(hashing.pair_likelihood_loss(torch.tensor([[1e4, -1e4]]), torch.tensor([[0.0, 1.0]])))


def test_dcmh_has_the_derivatives_that_its_authors_state():
    n, bits, gamma, eta = 5, 4, 1.5, 0.7
    own, others, codes = numbers(n, bits), numbers(n, bits, seed=1), signs(numbers(n, bits, seed=2))
    similar = similarity(n, n)
    own.requires_grad_()
    terms = dcmh.batch_terms(own, others, codes, similar, torch.zeros(bits), gamma, eta)
    (sum(terms.values()) * n * n).backward()
    for i in range(n):
        expected = 2 * gamma * (own[i] - codes[i]) + 2 * eta * own.sum(0)
        for j in range(n):
            theta = own[i] @ others[j] / 2
            expected = expected + (torch.sigmoid(theta) - similar[i, j]) * others[j] / 2
        assert torch.allclose(own.grad[i], expected.detach(), atol=1e-4)


def test_dcmh_counts_the_rest_of_the_buffer_in_the_balance():
    own, rest = numbers(2, 4), numbers(4, seed=1)
    terms = dcmh.batch_terms(own, numbers(6, 4), signs(own), similarity(2, 6), rest, 1.0, 1.0)
    expected = sum((rest[c] + own[0, c] + own[1, c]) ** 2 for c in range(4)) / 12
    assert terms["balance"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_dcmhs_buffers_hold_what_the_networks_said(tmp_path):
    """A buffer whose rows are not the data set's freezes the method at chance."""
    given = task_of("DCMH", tmp_path, learning_rate=1e-12, epochs=1)
    trainer = dcmh.Trainer(given, METHODS["DCMH"].chosen_options(given.config))
    trainer.run()
    train = given.dataset.split.train
    with torch.no_grad():
        texts = trainer.network.encode_texts(trainer.text_batch(torch.from_numpy(train)))
    assert torch.allclose(trainer.buffers.text, texts, atol=1e-6)
    assert torch.equal(trainer.buffers.codes, signs(trainer.buffers.image + trainer.buffers.text))


# --- SSAH


def test_ssahs_terms_are_sums_over_pairs_and_samples():
    b, bits, classes = 3, 4, 2
    outputs = numbers(b, 5), torch.tanh(numbers(b, bits, seed=1)), numbers(b, classes, seed=2)
    label_outputs = numbers(b, 5, seed=3), torch.tanh(numbers(b, bits, seed=4))
    codes, labels = signs(numbers(b, bits, seed=5)), torch.tensor([[1.0, 0], [1, 1], [0, 1]])
    weights = dict(alpha=1.0, gamma=2.0, beta=3.0, eta=4.0, released=0)
    found = ssah.supervised_terms(outputs, label_outputs, codes, labels, weights)
    expected = dict(feature=0.0, hash=0.0, quantization=0.0, label=0.0)
    for i in range(b):
        for j in range(b):
            similar = float((labels[i] * labels[j]).sum() > 0)
            for name, place, weight in (("feature", 0, 1.0), ("hash", 1, 2.0)):
                theta = (label_outputs[place][i] @ outputs[place][j]).item() / 2
                expected[name] += weight * (math.log(1 + math.exp(theta)) - similar * theta) / b**2
        expected["quantization"] += 3 * ((outputs[1][i] - codes[i]) ** 2).sum().item() / b**2
        guess = 1 / (1 + (-outputs[2][i]).exp())
        expected["label"] += 4 * ((guess - labels[i]) ** 2).sum().item() / b**2
    assert {k: v.item() for k, v in found.items()} == pytest.approx(expected, rel=1e-4)


def test_ssahs_released_pair_loss_is_squared():
    theta, similar = numbers(2, 2), similarity(2, 2)
    expected = sum(
        (similar[i, j] * theta[i, j] - math.log(1 + math.exp(theta[i, j]))) ** 2 / 2 for i in range(2) for j in range(2)
    )
    assert ssah.squared_pair_loss(theta, similar).item() == pytest.approx(expected.item(), rel=1e-5)


def test_ssahs_adversary_reaches_the_encoders_and_the_released_code_has_none(tmp_path):
    for released in (0, 1):
        given = task_of("SSAH", tmp_path / str(released), options={"released": released, "adversary": 1.0})
        trainer = ssah.Trainer(given, METHODS["SSAH"].chosen_options(given.config))
        rows = torch.from_numpy(given.dataset.split.train[:8])
        terms = trainer._text_terms(rows, None)
        assert ("adversary" in terms) == (not released)
        if not released:
            terms["adversary"].backward()
            assert trainer.network.text_encoder[0].weight.grad.abs().sum() > 0
        names = set(trainer.epoch(0))
        assert any(name.startswith("judges") for name in names) == (not released)


# --- CMHH


def test_cmhhs_distance_is_hammings_on_signs():
    x, y = signs(numbers(4, 8)), signs(numbers(5, 8, seed=1))
    found = cmhh.hamming_surrogate(x, y)
    for i in range(4):
        for j in range(5):
            assert found[i, j].item() == pytest.approx(max((x[i] != y[j]).sum().item(), cmhh.SMALLEST), abs=1e-4)


def test_cmhhs_focal_loss_is_a_weighted_mean_over_pairs():
    distance, similar = numbers(3, 3).abs() + 0.1, torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]])
    beta, gamma = 0.5, 2.0
    expected = 0.0
    for i in range(3):
        for j in range(3):
            p = math.exp(-beta * distance[i, j])
            if similar[i, j]:
                expected -= 9 / 2 * (1 - p) ** gamma * math.log(p)
            else:
                expected -= 9 / 7 * p**gamma * math.log(1 - p)
    assert cmhh.focal_loss(distance, similar, beta, gamma).item() == pytest.approx(expected / 9, rel=1e-4)


def test_cmhhs_gradient_is_finite_where_codes_are_equal_and_where_a_kind_of_pair_is_absent():
    for similar in (torch.zeros(4, 4), torch.ones(4, 4)):
        x = torch.ones(4, 8, requires_grad=True)
        loss = cmhh.focal_loss(cmhh.hamming_surrogate(x, torch.ones(4, 8)), similar, 0.25, 2.0)
        (loss + cmhh.quantization_loss(x, 0.25)).backward()
        assert torch.isfinite(loss) and torch.isfinite(x.grad).all()


# --- CMMQ


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


# --- DCH-SCR


def test_ndcg_weights_and_the_ranking_loss_are_sums_over_triples():
    b, margin = 4, 0.5
    wanted, cosine = numbers(b, b).sigmoid(), torch.tanh(numbers(b, b, seed=1))
    weights = dch_scr.ndcg_weights(wanted, cosine)
    total = triples = 0
    for i in range(b):
        order, ideal = sorted(range(b), key=lambda j: -cosine[i, j]), sorted(range(b), key=lambda j: -wanted[i, j])
        best = sum((2 ** wanted[i, j].item() - 1) / math.log2(2 + place) for place, j in enumerate(ideal))
        for j in range(b):
            away = abs(1 / math.log2(2 + order.index(j)) - 1 / math.log2(2 + ideal.index(j)))
            weight = (2 ** wanted[i, j].item() - 1) * away / best
            assert weights[i, j].item() == pytest.approx(weight, abs=1e-5)
            for k in range(b):
                if wanted[i, j] > wanted[i, k]:
                    gap = margin * (wanted[i, j] - wanted[i, k]) - (cosine[i, j] - cosine[i, k])
                    total, triples = total + weight * max(0.0, gap.item()), triples + 1
    assert dch_scr.ranking_loss(cosine, wanted, margin).item() == pytest.approx(total / triples, rel=1e-4)


def test_a_perfect_ranking_costs_nothing():
    wanted = numbers(4, 4).sigmoid()
    assert dch_scr.ranking_loss(wanted, wanted, 1.0).item() == 0


# --- quantizers


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


# --- all of them


@pytest.mark.parametrize("name", HASHING)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(name, tmp_path):
    whole = METHODS[name].fit(task_of(name, tmp_path))

    class Stop(Exception):
        pass

    def stop(progress):
        if progress.epoch == 2:
            raise Stop

    other = task_of(name, tmp_path / "again")
    with pytest.raises(Stop):
        METHODS[name].fit(FitTask(**(vars(other) | {"report": stop})))
    resumed = METHODS[name].fit(other)
    assert resumed.history == whole.history and len(whole.history) == 3
    for a, b in zip(whole.retriever.embed(np.arange(90)), resumed.retriever.embed(np.arange(90)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "name", [n for n in METHODS if METHODS[n].algorithm != "DCMQ" and not n.endswith(("captions", "tags"))]
)
def test_every_method_ranks_and_says_its_bytes(name, tmp_path):
    given = task_of(name, tmp_path, student=SMALL.model_copy(update={"bits": 8}), epochs=1)
    if name in ("PQ", "OPQ"):  # three words make too short a vector for two sub-vectors of K = 16 from 50 samples
        given = task_of(name, tmp_path, student=SMALL.model_copy(update={"bits": 4}))
    fitted = METHODS[name].fit(given)
    result = evaluate(fitted.retriever, given.dataset, 10)
    for direction in ("i2t", "t2i"):
        assert 0 <= result[direction]["gallery"]["mAP@all"] <= 1
        assert ("by Hamming radius" in result[direction]["gallery"]) == (fitted.retriever.radius > 0)
    bits = given.config.student.bits
    assert fitted.retriever.bytes_per_item == (32 if name == "teacher-labels" else bits / 8)


def test_the_learning_methods_learn(tmp_path):
    for name in HASHING:
        given = task_of(name, tmp_path, epochs=20, options={"eta": 0.01} if name == "DCMH" else {})
        result = evaluate(METHODS[name].fit(given).retriever, given.dataset, 10)
        for direction in ("i2t", "t2i"):
            assert result[direction]["gallery"]["mAP@all"] > given.dataset.chance() + 0.2, (name, direction)


def test_the_floor_is_blind_across_modalities_and_sees_within_one(tmp_path):
    given = task_of("PQ", tmp_path, student=SMALL.model_copy(update={"bits": 4}))
    retriever = METHODS["PQ"].fit(given).retriever
    split, labels = given.dataset.split, torch.from_numpy(given.dataset.labels).float()
    image, _ = retriever.embed(np.arange(90))
    relevant = labels[split.query] @ labels[split.gallery].T > 0
    scores = retriever.scores(retriever.queries(image[split.query]), retriever.codes(image[split.gallery]))
    first = scores.argsort(dim=1, descending=True)[:, :5]
    assert relevant.float().gather(1, first).mean() > given.dataset.chance() + 0.3


def test_signs_have_no_third_symbol():
    assert signs(torch.tensor([[0.0, -0.0, 1e-9, -1e-9]])).tolist() == [[1, 1, 1, -1]]


@pytest.mark.parametrize("n", [17, 33, 49])
def test_no_batch_is_a_remainder_of_one(n):
    sizes = [len(rows) for rows in epoch_batches(np.arange(n), 16, torch.Generator())]
    assert sum(sizes) == n and min(sizes) >= 8 and max(sizes) <= 16


def test_samples_without_a_label_are_like_nobody():
    assert hashing.share_a_label(torch.zeros(2, 3), torch.ones(2, 3)).tolist() == [[0, 0], [0, 0]]


def test_unknown_methods_and_options_are_refused_by_name(tmp_path):
    with pytest.raises(DcmqError, match="'DCMHH' is not registered; did you mean DCMH"):
        METHODS["DCMHH"]
    with pytest.raises(DcmqError, match=r"DCMH.beta is no option of DCMH \(known: gamma, eta\)"):
        METHODS["DCMH"].fit(task_of("DCMH", tmp_path, options={"beta": 1.0}))
    with pytest.raises(DcmqError, match="'DCMH.etta' is no setting; did you mean DCMH.eta"):
        parsed_settings("DCMH.etta=1")
    with pytest.raises(DcmqError, match="'PQ.beta' is no setting"):
        parsed_settings("PQ.beta=1")


def test_captions_are_not_read_where_nobody_can(tmp_path):
    given = task_of("teacher-captions", tmp_path)
    held = FitTask(
        **(vars(given) | {"teacher": type(given.teacher)(**(vars(given.teacher) | {"name": "precomputed:x"}))})
    )
    with pytest.raises(DcmqError, match="a precomputed teacher cannot read captions"):
        METHODS["teacher-captions"].fit(held)


def test_hashing_in_several_processes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(DcmqError, match="CMHH trains in one process"):
        METHODS["CMHH"].fit(task_of("CMHH", tmp_path))


def test_every_row_says_what_it_is():
    for name, row in METHODS.items():
        assert row.name == name and row.reference and row.note
        assert row.fidelity in ("as published", "reconstruction", "inspired by", "control")
    assert sum(row.fidelity == CONTROL for row in METHODS.values()) == 11


def test_a_methods_runs_have_their_own_key(tmp_path):
    tasks = [task_of(name, tmp_path) for name in HASHING]
    assert len({training_fingerprint(task.config) for task in tasks}) == len(HASHING)
    keys = {run_key(task.config, task.dataset, task.teacher) for task in tasks}
    assert len(keys) == len(HASHING)


def test_tanh_outputs_stay_inside_one():
    network = hashing.TanhEncoder(SMALL, 3, 16).eval()
    dataset, _ = tiny_dataset()
    with torch.no_grad():
        image = network.encode_images(torch.from_numpy(dataset.images[:4]))
    assert image.abs().max() < 1 and torch.isfinite(F.normalize(image)).all()
