"""The codebooks: usage, and the items of a codeword, a code and a ball, against loops on hand-made codes."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from benches import random_bench

from dcmq.codes.assign import lookup_tables
from dcmq.core.errors import DcmqError
from dcmq.explore.codebooks import ball, codeword_distances, hamming_distances, items_of_codeword, usage_summary
from dcmq.explore.requests import answer

CODES = torch.tensor([[0, 1], [0, 1], [0, 2], [1, 2], [3, 1]])  # M 2, K 4


def test_usage_of_hand_made_codes():
    summary = usage_summary(CODES, 4)
    assert summary["counts"].tolist() == [[3, 1, 0, 1], [0, 3, 2, 0]]
    first = -(3 * 0.2 * math.log(0.2) / 3 * 2 + 0.6 * math.log(0.6)) / math.log(4)
    second = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4)) / math.log(4)
    assert summary["entropy"].tolist() == pytest.approx([first, second])
    assert summary["mean_entropy"] == pytest.approx((first + second) / 2)
    assert summary["dead"] == 3
    assert summary["codes"] == 4 and summary["largest"] == 2


def test_counts_are_whole_numbers_for_any_number_of_items():
    codes = torch.randint(16, (997, 3), generator=torch.Generator().manual_seed(0))
    counts = usage_summary(codes, 16)["counts"]
    assert counts.dtype == torch.int64
    assert counts.tolist() == [[sum(code[m] == k for code in codes.tolist()) for k in range(16)] for m in range(3)]


def test_items_of_a_codeword_come_nearest_first():
    cosines = torch.tensor([0.1, 0.9, 0.5, 1.0, 0.2])
    assert items_of_codeword(CODES, cosines, 0, 0).tolist() == [1, 2, 0]
    assert items_of_codeword(CODES, cosines, 1, 1).tolist() == [1, 4, 0]
    assert items_of_codeword(CODES, cosines, 0, 2).tolist() == []  # a dead codeword


def test_hamming_ball():
    distances = hamming_distances(CODES, CODES[0])
    assert distances.tolist() == [0, 0, 1, 2, 1]
    assert ball(distances, 0).tolist() == [0, 1]  # the items of the code
    assert ball(distances, 1).tolist() == [0, 1, 2, 4]
    assert ball(distances, 2).tolist() == [0, 1, 2, 4, 3]


def test_codeword_distances_against_a_loop():
    codebooks = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(3))
    code = CODES[3]
    expected = []
    for other in CODES:
        total = 0.0
        for m in range(2):
            a, b = codebooks[m, code[m]], codebooks[m, other[m]]
            total += 1 - float(a @ b / (a.norm() * b.norm()))
        expected.append(total)
    distances = codeword_distances(CODES, code, codebooks)
    assert distances.tolist() == pytest.approx(expected, abs=1e-6)
    assert distances[3] == 0 and (distances >= 0).all()


def test_a_ball_of_equal_codewords_holds_more_than_the_hamming_ball():
    codebooks = torch.ones(2, 4, 3)  # all codewords alike: every code is no distance away
    assert sorted(ball(codeword_distances(CODES, CODES[0], codebooks), 1e-6).tolist()) == [0, 1, 2, 3, 4]


def test_usage_is_given_for_every_student_shown_and_each_kind():
    bench = random_bench()
    result, buffers = answer(bench, "codebook_usage", {})
    assert [(m["ranker"], m["kind"]) for m in result["maps"]] == [
        ("one", "images"), ("one", "texts"), ("two", "images"), ("two", "texts"),
    ]  # fmt: skip
    for summary, buffer in zip(result["maps"], buffers, strict=True):
        ranker, gallery = bench.rankers[summary["ranker"]], bench.items.gallery(summary["kind"])
        counts = np.frombuffer(buffer, np.int32).reshape(summary["M"], summary["K"])
        codes = ranker.codes[summary["kind"]][gallery].tolist()
        expected = [[sum(c[m] == k for c in codes) for k in range(summary["K"])] for m in range(summary["M"])]
        assert counts.tolist() == expected and summary["items"] == len(gallery)
        assert summary["dead"] == sum(row.count(0) for row in expected)
        assert summary["codes"] == len({tuple(code) for code in codes})
    json.dumps(result)


def test_rankers_without_codes_are_left_out():
    bench = random_bench()
    bench.set("right", "teacher tiny")
    assert {m["ranker"] for m in answer(bench, "codebook_usage", {})[0]["maps"]} == {"one"}
    bench.set("left", "teacher tiny")
    with pytest.raises(DcmqError, match="none of the rankers shown has codes"):
        answer(bench, "codebook_usage", {})


def test_codeword_items_are_the_gallery_rows_nearest_to_it():
    bench = random_bench()
    ranker, gallery = bench.rankers["two"], bench.items.gallery("texts")
    code = ranker.codes["texts"][int(gallery[0])]
    result, _ = answer(bench, "codeword_items", dict(ranker="two", kind="texts", m=1, k=int(code[1]), limit=500))
    table = lookup_tables(ranker.embeddings["texts"], ranker.codebooks)[:, 1, int(code[1])]
    own = [row for row in gallery.tolist() if ranker.codes["texts"][row, 1] == code[1]]
    assert result["rows"] == sorted(own, key=lambda row: -table[row]) and gallery[0] in result["rows"]
    assert result["count"] == len(own)
    assert result["cosines"] == pytest.approx([float(table[row]) for row in result["rows"]], abs=1e-3)


@pytest.mark.parametrize("distance, radius", [("hamming", 3), ("codewords", 3.0)])
def test_a_ball_around_the_code_of_an_image_holds_texts(distance, radius):
    bench = random_bench()
    ranker, gallery = bench.rankers["one"], bench.items.gallery("texts")
    arguments = dict(ranker="one", kind="texts", row=3, of="images", distance=distance, radius=radius, limit=500)
    result, _ = answer(bench, "code_ball", arguments)
    code, codes = ranker.codes["images"][3], ranker.codes["texts"][torch.from_numpy(gallery)]
    distances = (
        hamming_distances(codes, code).float()
        if distance == "hamming"
        else codeword_distances(codes, code, ranker.codebooks)
    )
    inside = [row for row, d in zip(gallery.tolist(), distances.tolist(), strict=True) if d <= radius]
    assert sorted(result["rows"]) == inside and result["count"] == len(inside) > 0
    assert result["distances"] == sorted(result["distances"])
    assert result["code"] == code.tolist() and sum(result["counts"]) == len(gallery)
    assert len(result["edges"]) == len(result["counts"])


def test_radius_zero_gives_the_items_of_the_same_code():
    bench = random_bench()
    row = int(bench.items.gallery("images")[5])
    result, _ = answer(bench, "code_ball", dict(ranker="one", kind="images", row=row, of="images"))
    codes = bench.rankers["one"].codes["images"]
    expected = [r for r in bench.items.gallery("images").tolist() if (codes[r] == codes[row]).all()]
    assert result["rows"] == expected and row in expected


@pytest.mark.parametrize(
    "kind, arguments, message",
    [
        ("codeword_items", dict(ranker="onne", kind="images", m=0, k=0), "did you mean one"),
        ("codeword_items", dict(ranker="one", kind="images", m=4, k=0), "4 codebooks of 16 codewords"),
        ("codeword_items", dict(ranker="one", kind="images", m=-1, k=0), "codeword_items: m: "),
        ("codeword_items", dict(ranker="teacher tiny", kind="images", m=0, k=0), "has no codes"),
        ("code_ball", dict(ranker="one", kind="images", row=90, of="images"), "no id and no row"),
        ("code_ball", dict(ranker="one", kind="images", row=1, of="images", radius=math.nan), "code_ball: radius"),
        ("code_ball", dict(ranker="one", kind="images", row=1, of="images", radius=-1), "code_ball: radius"),
        ("code_ball", dict(ranker="one", kind="images", row=1, of="images", distance="miles"), "distance"),
    ],
)
def test_bad_arguments_get_one_line(kind, arguments, message):
    with pytest.raises(DcmqError, match=message) as error:
        answer(random_bench(), kind, arguments)
    assert "\n" not in str(error.value)


def test_an_item_that_is_no_text_has_no_code_of_one():
    bench = random_bench()
    texts = np.arange(90) > 5
    bench.items = replace(bench.items, has=dict(bench.items.has, texts=texts))
    with pytest.raises(DcmqError, match="3 is no text"):
        answer(bench, "code_ball", dict(ranker="one", kind="images", row=3, of="texts"))
