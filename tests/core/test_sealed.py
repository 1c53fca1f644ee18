"""JSON with a checksum of itself."""

import json

import pytest

from dcmq.core.sealed import BrokenSeal, read_sealed, sealed


def test_what_was_sealed_comes_back_without_its_seal(tmp_path):
    content = {"b": [1, 2.5, None], "a": {"größe": True, "t": (1, 2)}, "n": {1: 1e-300}}
    (tmp_path / "a.json").write_text(json.dumps(sealed(content)))
    assert read_sealed(tmp_path / "a.json", "again") == json.loads(json.dumps(content))
    (tmp_path / "a.json").write_text(json.dumps(content))  # as before there were seals
    assert read_sealed(tmp_path / "a.json", "again") == json.loads(json.dumps(content))


def test_a_change_anywhere_breaks_it(tmp_path):
    path, content = tmp_path / "a.json", sealed({"mAP": 0.5, "name": "a", "rows": [1, 2]})
    for change in ({"mAP": 0.6}, {"rows": [2, 1]}, {"more": 1}, {"sha256": "0"}):
        path.write_text(json.dumps(content | change))
        with pytest.raises(BrokenSeal, match="a.json was damaged or edited: run again"):
            read_sealed(path, "run again")
    for damaged in (b"", b"{", b"\xff{}", b"[" * 100_000, b"{}\x00", b"[1]", b'"text"', b"null"):
        path.write_bytes(damaged)
        with pytest.raises(BrokenSeal, match="a.json .*: run again") as caught:
            read_sealed(path, "run again")
        assert "\n" not in str(caught.value)
    with pytest.raises(BrokenSeal, match="No such file"):
        read_sealed(tmp_path / "none.json", "run again")
