"""What things cost, against sums done by hand; and the quickstart's question, search and files."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import nn

from dcmq.codes.pack import pack
from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.core.storage import save_tensors
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.splits import draw_split
from dcmq.experiments import efficiency as cost
from dcmq.experiments.parameters import defaults, validated
from dcmq.methods.dcmq.student import make_student
from dcmq.reporting import cost_tables, search_times
from dcmq.studies import cost as study
from dcmq.studies import quickstart
from dcmq.teachers.base import Encoder, TeacherEmbeddings, l2_normalize
from dcmq.teachers.registry import resolve_teacher

ROOT = Path(__file__).parents[2]
STUDENT = StudentConfig(bits=16, subvector_dim=4, image_encoder="small_convnet", image_size=32, text_hidden=(6, 5))
CONFIG = TrainConfig(student=STUDENT)
WORDS = ("red", "blue", "boat", "sea", "cat")


def parameters(name, **changes):
    module = {"cost": study, "quickstart": quickstart}[name]
    return validated(module.Parameters, defaults(ROOT / "notebooks" / f"{name}.ipynb") | changes)


def tiny_dataset(n=40):
    """Pictures of noise whose tags are their labels."""
    rng = np.random.default_rng(0)
    labels = np.eye(3, dtype=np.uint8)[rng.integers(0, 3, n)]
    bow = csr_matrix(np.concatenate([labels, labels[:, :2]], 1).astype(np.float32))
    return RetrievalDataset(
        name="tiny", ids=np.arange(n) + 100, classes=("boat", "fire truck", "cat"), labels=labels, train_labels=labels,
        images=rng.integers(0, 256, (n, 32, 32, 3)).astype(np.uint8), bow=bow, vocabulary=WORDS, captions=(), tags=(),
        split=draw_split(n, 8, 16), fingerprint="tiny", choices={},
    )  # fmt: skip


# ---- parameters and multiplications


def test_macs_of_a_convolution_and_a_linear_layer():
    layers = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 8 * 8, 7))
    assert cost.parameters(layers) == (3 * 5 * 9 + 5) + (5 * 64 * 7 + 7)
    assert cost.macs(layers, torch.zeros(1, 3, 8, 8)) == 64 * (3 * 5 * 9) + 5 * 64 * 7
    assert cost.macs(layers, torch.zeros(4, 3, 8, 8)) == 4 * cost.macs(layers, torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_macs_of_attention_are_all_counted(device):
    """Four projections, the scores and the weighted sum; torch's fused kernel alone would count as nothing."""
    tokens, width = 5, 8
    layer = nn.MultiheadAttention(width, 2, batch_first=True, device=device).eval().requires_grad_(False)
    x = torch.zeros(1, tokens, width, device=device)
    by_hand = 4 * tokens * width**2 + 2 * tokens**2 * width
    assert cost.macs(lambda x: layer(x, x, x, need_weights=False), x) == by_hand
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_size_of_a_student_by_hand():
    data = tiny_dataset()
    student = make_student(CONFIG, len(WORDS)).eval()
    num_codebooks, words, length = 4, 16, 4
    first, second, dimension = 6, 5, num_codebooks * length
    size = cost.student_size(student, torch.zeros(1, len(WORDS)))
    assert size.text_parameters == (5 + 1) * first + (first + 1) * second + (second + 1) * dimension
    assert size.shared_parameters == num_codebooks * words * length
    assert size.parameters == sum(p.numel() for p in student.parameters())
    assert size.text_macs == 5 * first + first * second + second * dimension + num_codebooks * words * length
    convolutions = 16**2 * 3 * 32 * 25 + 8**2 * 32 * 64 * 9 + 4**2 * 64 * 96 * 9
    assert size.image_macs == convolutions + 384 * 256 + 256 * dimension + num_codebooks * words * length
    assert study.sizes({"DCMQ 16 bits": student}, data, object())["DCMQ 16 bits"] == size


def test_the_bundled_teacher_has_the_parameters_it_says():
    teacher = resolve_teacher("clip", "scenes")
    size = cost.clip_size(cost.teacher_network(teacher))
    assert size.parameters == teacher.parameters
    assert min(size.image_parameters, size.text_parameters, size.image_macs, size.text_macs) > 0
    assert cost.teacher_training(teacher) > 0


def test_an_architecture_is_sized_without_its_weights():
    size, numbers = cost.architecture_size("RN50")
    assert (round(size.parameters / 1e6, 2), numbers) == (102.01, 1024)
    with pytest.raises(DcmqError, match="did you mean RN50"):
        cost.architecture_size("RN5O")


def test_the_papers_student_is_a_resnet18_with_a_head_and_an_mlp():
    size, numbers = cost_tables.real_students((64,))["student 64 bits"]
    assert numbers == 256
    assert size.image_parameters == 11_176_512 + 513 * 256
    assert size.text_parameters == 2027 * 4096 + 4097 * 1024 + 1025 * 256


# ---- bytes


def header_of(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


@pytest.mark.parametrize(("bits", "items"), [(16, 1), (64, 5500), (128, 77)])
def test_a_file_of_codes_is_its_header_and_its_bits(tmp_path, bits, items):
    packed = pack(np.random.default_rng(0).integers(0, 16, (items, bits // 4)))
    file = cost.stored(packed)
    assert file.bytes == file.header + items * bits // 8
    save_tensors(tmp_path / "same", {"items": packed})
    content = (tmp_path / "same").read_bytes()
    assert (len(content), header_of(content)) == (file.bytes, file.header)
    assert content[file.header :] == packed.tobytes()


def test_every_form_of_the_gallery_is_measured():
    data = tiny_dataset()
    texts = l2_normalize(torch.randn(40, 6, generator=torch.Generator().manual_seed(0)))
    embeddings = TeacherEmbeddings(texts, texts, "t", "t", 0, "t")
    forms = study.storage({"DCMQ 16 bits": make_student(CONFIG, len(WORDS)).eval()}, data, embeddings)
    assert forms["item"].tolist() == [6 * 4, 6 * 2, 16 * 4, 16 * 2, 2]
    assert (forms.file == forms.header + 32 * forms["item"]).all() and (forms["items"] == 32).all()
    assert study.halved(embeddings).image.dtype == torch.float32
    assert torch.equal(study.halved(embeddings).image, texts.half().float())


# ---- time


def test_the_median_counts_and_the_first_call_does_not(monkeypatch):
    clock = iter([0, 8, 10, 12, 20, 120])  # calls of 8, 2 and 100 seconds after the one to warm up
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(clock))
    threads, seen = torch.get_num_threads(), []
    assert cost.seconds_per_item(lambda: seen.append(torch.get_num_threads()), items=4, repeats=3) == 8 / 4
    assert seen == [1] * 4 and torch.get_num_threads() == threads


class Half(Encoder):
    """A teacher that embeds everything alike."""

    def encode_images(self, images):
        return torch.ones(len(images), 2)

    def encode_texts(self, texts):
        return torch.ones(len(texts), 2)


def test_times_are_per_item_and_extrapolated_to_the_training_data():
    data, made = tiny_dataset(), {"DCMQ 16 bits": make_student(CONFIG, len(WORDS)).eval()}
    taken = study.times(parameters("cost", batch=4, repeats=1), made, data, Half())
    assert list(taken) == ["teacher", "DCMQ 16 bits"] and all(t > 0 for pair in taken.values() for t in pair)
    shown = cost_tables.time_table({"teacher": (0.5, 0.25), "DCMQ 16 bits": (0.002, 0.001)}, data)
    whole = 0.5 * 16 + 0.25 * len(set(data.label_sentences(data.split.train)))
    assert shown.loc["s for the teacher to embed the training data, extrapolated", "DCMQ 16 bits"] == f"{whole:.1f}"
    assert shown.loc["ms per picture"].tolist() == ["500.000", "2.000"]


# ---- tables and judgements


def forms_of(scores, teacher=0.5):
    rows = [("teacher", "embeddings", "float32", 1024.0, [teacher]), ("DCMQ 64 bits", "codes", "uint8", 8.0, scores)]
    frame = pd.DataFrame(rows, columns=["model", "form", "kind", "item", "scores"])
    return frame.assign(items=10, header=100, file=(100 + 10 * frame["item"]).astype(int))


@pytest.mark.parametrize(
    ("scores", "word"),
    [([0.6, 0.61], "holds"), ([0.4, 0.41], "does not hold"), ([0.45, 0.56], "a tie"), ([0.6], "one seed cannot tell")],
)
def test_codes_are_held_against_the_teacher(scores, word):
    sizes = {"teacher": cost.Size(9, 9, 0, 50, 1), "DCMQ 64 bits": cost.Size(5, 5, 5, 40, 2)}
    found = {v.claim: v.word for v in study.verdicts(forms_of(scores), sizes, "mAP@all")}
    assert found["DCMQ 64 bits: codes rank better than the teacher itself"] == word
    assert found["DCMQ 64 bits: codes are 128 times smaller than the teacher's embeddings, or more"] == "holds"
    assert found["a gallery file holds items x bits / 8 bytes and a header"] == "holds"
    assert found["the student has fewer parameters than the teacher"] == "holds"
    assert found["the student has fewer MACs per text than the teacher"] == "does not hold"


def test_without_a_teachers_model_its_size_is_not_judged():
    sizes = {"DCMQ 64 bits": cost.Size(5, 5, 5, 40, 2)}
    words = [v.word for v in study.verdicts(forms_of([0.6, 0.6]), sizes, "mAP@all") if "MACs" in v.claim]
    assert words == ["not judged here"] * 2


def test_smaller_codes_than_they_should_be_are_noticed():
    forms = forms_of([0.6, 0.6]).assign(file=[99, 99])
    found = {v.claim: v.word for v in study.verdicts(forms, {}, "mAP@all")}
    assert found["a gallery file holds items x bits / 8 bytes and a header"] == "does not hold"


def test_tables_are_joined_by_model_and_gaps_are_named():
    one = pd.DataFrame({"DCMQ 64 bits": {"a": "1"}})
    other = pd.DataFrame({"teacher": {"b": "2"}, "DCMQ 64 bits": {"b": "3"}})
    whole = cost_tables.joined(one, other)
    assert list(whole) == ["teacher", "DCMQ 64 bits"]
    assert whole.loc["a"].tolist() == [cost_tables.UNKNOWN, "1"]
    assert whole.loc["b"].tolist() == ["2", "3"]


def test_the_paper_contradicts_itself_in_its_own_numbers():
    notes = cost_tables.paper_notes({"RN50": (cost.Size(38_320_000, 63_690_000, 0, 0, 0), 1024)})
    assert notes[0] == "Codes of 8 bytes are codes of 64 bits."
    assert notes[1].endswith("in Table 1 (MS COCO) that of 128 bits.")
    assert any("nearest to those of RN50, 102.01" in note for note in notes)


# ---- search times


SEARCH = {
    "result": {
        "cases": [
            {"items": n, "bits": bits, "seconds per query": {"DCMQ": [0.0003, 0.0001, 0.0002], "Hamming": [0.0005]}}
            for n, bits in ((1_000_000, 64), (1_000_000, 32), (10_000_000, 64))
        ]
    }
}


def test_search_times_are_read_from_the_benchmarks_record(tmp_path, monkeypatch):
    monkeypatch.setenv("DCMQ_REPORTS", str(tmp_path / "mine"))
    monkeypatch.setenv("DCMQ_PUBLISHED", str(tmp_path / "published"))
    assert search_times.measured() is None
    assert "make benchmarks" in search_times.table(None).to_string()
    for name in ("published", "mine"):  # one's own come first
        (tmp_path / name / "benchmarks").mkdir(parents=True)
        (tmp_path / name / "benchmarks" / "search.json").write_text(json.dumps(SEARCH | {"from": name}))
        assert search_times.measured()["from"] == name
    table = search_times.table(SEARCH)
    assert table.columns.tolist() == ["32 bits", "64 bits"]
    assert table.loc["DCMQ's codes, exact"].tolist() == ["0.2", "0.2"]  # medians, in milliseconds
    assert table.loc["DCMQ's codes by plain faiss PQ"].tolist() == ["", ""]


def test_the_readme_shows_the_committed_search_times():
    (report,) = (ROOT / "reports" / "cost").glob("scenes-clip-*/table-search.md")
    rows = report.read_text().splitlines()[2:]
    readme = (ROOT / "README.md").read_text()
    assert len(rows) == 4 and all(row in readme for row in rows if row)


def test_the_figure_has_quality_against_time_where_that_was_measured():
    rows = [
        dict(variant=v, seed=s, bits=b, direction=d, gallery=g, metric="mAP@all", value=0.5)
        for v in ("A",) for s in (0, 1) for b in (32, 64) for d in ("i2t", "t2i") for g in ("gallery", "continuous")
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    _, axis = plt.subplots()
    search_times.draw(axis, SEARCH, frame, frame, "mAP@all")
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["DCMQ's codes", "A's codes"]  # embeddings were not timed
    plt.close()


# ---- quickstart


def test_unknown_words_are_named_with_known_ones_like_them():
    text = quickstart.unread_text(["seas"], WORDS)
    assert "sea" in text and "boat" not in text


def test_classes_are_asked_for_by_all_their_words():
    data = tiny_dataset()
    assert quickstart.asked_classes("a Fire-Truck or cat", data) == [1, 2]
    assert quickstart.asked_classes("fire", data) == []
    held = quickstart.holds(data, np.arange(40), [0, 2])
    assert held.tolist() == [bool(row[0] or row[2]) for row in data.labels]


def test_the_table_and_the_verdict_follow_the_labels():
    data = tiny_dataset()
    gallery = data.split.gallery
    with_cat = gallery[data.labels[gallery, 2] == 1]
    order = np.concatenate([with_cat, np.setdiff1d(gallery, with_cat)])
    shown = quickstart.table(data, order[:3], np.array([0.5, 0.25, 0.125]), [2])
    assert shown["holds cat"].tolist() == ["yes"] * 3 and shown["picture"].tolist() == [str(i + 100) for i in order[:3]]
    (best,) = quickstart.verdicts(data, order, [2], first=len(with_cat))
    (worst,) = quickstart.verdicts(data, order[::-1], [2], first=len(gallery) - len(with_cat))
    (random,) = quickstart.verdicts(data, order, [2], first=len(gallery))
    assert (best.word, worst.word, random.word) == ("holds", "does not hold", "a tie")
    assert quickstart.verdicts(data, order, [])[0].word == "not judged here"


def test_ids_lead_back_to_rows_and_files_are_measured(tmp_path):
    data = tiny_dataset()
    assert quickstart.rows_of(data, data.ids[[5, 2]]).tolist() == [5, 2]
    for name, size in (("images", 1234), ("model", 99)):
        (tmp_path / f"{name}.safetensors").write_bytes(bytes(size))
    table = quickstart.files_table(tmp_path, 32)
    assert table["size on disk"].tolist() == ["1.2 kB", "0.1 kB"] and "32 pictures" in table.iloc[0, 0]


def test_a_quickstart_trains_one_student_of_the_seed_asked_for():
    chosen = parameters("quickstart", seed=3, bits=32)
    (run,) = chosen.plan()
    assert (run.config.seed, run.config.student.bits, run.config.target) == (3, 32, "npc")
    other = parameters("quickstart", seed=3, bits=32, words="cat")
    assert chosen.name != other.name and chosen.gallery_folder == other.gallery_folder
    assert chosen.gallery_folder != parameters("quickstart", seed=4, bits=32).gallery_folder
    with pytest.raises(DcmqError, match="seeds"):
        parameters("quickstart", seeds="0,1")
    assert json.loads(chosen.model_dump_json())["words"] == chosen.words
