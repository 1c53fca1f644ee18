"""Changes of codes and margins of codewords, against loops over single bits and cosines."""

import pytest
import torch

from dcmq.codes.assign import assign
from dcmq.codes.stability import changes, largest_change, margins
from dcmq.core.errors import DcmqError


def test_changes_count_items_codewords_and_bits_as_a_loop_does():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(16, (30, 5), generator=generator)
    others = torch.where(
        torch.rand(30, 5, generator=generator) < 0.2, torch.randint(16, (30, 5), generator=generator), codes
    )
    items = codewords = bits = 0
    for a, b in zip(codes.tolist(), others.tolist(), strict=True):
        items += a != b
        for one, other in zip(a, b, strict=True):
            codewords += one != other
            bits += sum(x != y for x, y in zip(f"{one:04b}", f"{other:04b}", strict=True))
    found = changes(codes, others, 16)
    assert found.items == pytest.approx(items / 30)
    assert found.codewords == pytest.approx(codewords / 150)
    assert found.bits == pytest.approx(bits / 600)


def test_equal_codes_have_no_change_and_opposite_ones_change_all():
    codes = torch.tensor([[0, 255], [170, 85]])
    assert changes(codes, codes, 256).items == 0
    flipped = changes(codes, 255 - codes, 256)
    assert (flipped.items, flipped.codewords, flipped.bits) == (1, 1, 1)


def test_codewords_that_make_no_bits_are_refused():
    with pytest.raises(DcmqError, match="K = 12 is not a power of two"):
        changes(torch.zeros(1, 1).long(), torch.zeros(1, 1).long(), 12)


def test_margins_are_the_lead_of_the_best_codeword():
    torch.manual_seed(0)
    x, books = torch.randn(7, 6), torch.randn(3, 4, 2)
    found = margins(x, books)
    for i in range(7):
        for m in range(3):
            cosines = sorted(torch.cosine_similarity(x[i, 2 * m : 2 * m + 2], word, dim=0).item() for word in books[m])
            assert found[i, m].item() == pytest.approx(cosines[-1] - cosines[-2], abs=1e-6)


@pytest.mark.parametrize("noise", [1e-4, 1e-2, 0.3])
def test_no_codeword_changes_whose_margin_is_above_twice_the_largest_change(noise):
    torch.manual_seed(1)
    x, books = torch.randn(400, 12), torch.randn(3, 16, 4)
    moved = x + noise * torch.randn_like(x)
    safe = margins(x, books) > 2 * largest_change(x, moved, books)
    differs = assign(x, books) != assign(moved, books)
    assert differs.any() or noise < 1e-3
    assert not (safe & differs).any()
