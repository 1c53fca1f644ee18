"""A set of codebooks for images and one for texts: trained apart, searched by the gallery's own, and refused where one is needed."""

import numpy as np
import pytest
import torch
from tiny import STUDENT, config, tiny_dataset

from dcmq.core.errors import DcmqError
from dcmq.methods.dcmq.retriever import QuantizedRetriever
from dcmq.methods.dcmq.student import Student, load_student, make_student
from dcmq.methods.dcmq.trainer import Trainer
from dcmq.retrieval.evaluate import evaluate
from dcmq.search.pretrained import PretrainedStudent

APART = STUDENT.model_copy(update={"codebooks": "per-modality"})


def test_both_sets_start_as_the_shared_one_and_nothing_else_starts_otherwise():
    shared, apart = (make_student(config(student=s), 3).state_dict() for s in (STUDENT, APART))
    book = shared.pop("quantizer.codebooks")
    assert torch.equal(book, apart.pop("image_quantizer.codebooks"))
    assert torch.equal(book, apart.pop("text_quantizer.codebooks"))
    assert shared.keys() == apart.keys() and all(torch.equal(shared[name], apart[name]) for name in shared)


def test_each_modality_is_quantized_by_its_own_set():
    torch.manual_seed(0)
    student = Student(APART, 3).eval()
    torch.nn.init.normal_(student.text_quantizer.codebooks)
    data, _ = tiny_dataset()
    images, texts = torch.from_numpy(data.images[:6]), torch.from_numpy(data.bow[:6].toarray())
    image, image_quantized, text, text_quantized = student(images, texts)
    assert torch.equal(image_quantized, student.image_quantizer(image))
    assert torch.equal(text_quantized, student.text_quantizer(text))
    assert not torch.allclose(text_quantized, student.image_quantizer(text))


def test_a_query_is_scored_by_the_codebooks_of_the_gallery_it_asks():
    torch.manual_seed(0)
    student = Student(APART, 3).eval()
    torch.nn.init.normal_(student.text_quantizer.codebooks)
    data, _ = tiny_dataset()
    retriever = QuantizedRetriever(student, data)
    image, text = retriever.embed(np.arange(8))
    for modality, query, items in (("image", text, image), ("text", image, text), ("text", text, text)):
        books = getattr(student, f"{modality}_quantizer").codebooks.detach()
        gallery = retriever.toward(modality)
        found = gallery.scores(gallery.queries(query), gallery.codes(items))
        for q in range(8):
            for i in range(8):
                expected = 0.0
                for m, book in enumerate(books):
                    part = slice(4 * m, 4 * m + 4)
                    codeword = book[torch.cosine_similarity(items[i, part][None], book).argmax()]
                    expected += torch.cosine_similarity(query[q, part], codeword, dim=0).item()
                assert found[q, i].item() == pytest.approx(expected, abs=1e-5)


def test_shared_codebooks_have_one_retriever_for_both():
    retriever = QuantizedRetriever(Student(STUDENT, 3), tiny_dataset()[0])
    assert retriever.toward("image") is retriever.toward("text") is retriever


@pytest.mark.parametrize(
    "use",
    [
        lambda student, data: student.quantizer,
        lambda student, data: QuantizedRetriever(student, data).codebooks,
        lambda student, data: PretrainedStudent(student, config(student=APART), ("a",), 16, ""),
    ],
)
def test_who_needs_one_set_is_told_so_in_a_line(use):
    with pytest.raises(DcmqError, match="codebooks=per-modality") as caught:
        use(Student(APART, 3), tiny_dataset()[0])
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_training_moves_the_sets_apart_and_a_checkpoint_has_both(tmp_path):
    settings = config(student=APART, epochs=1)
    trained = Trainer(settings, *tiny_dataset(), tmp_path / "c", "key").run()
    image, text = trained.image_quantizer.codebooks, trained.text_quantizer.codebooks
    assert not torch.equal(image, text)
    assert torch.equal(trained.codebooks, torch.cat([image, text]))
    loaded = load_student(settings, 3, tmp_path / "c")
    assert torch.equal(loaded.codebooks, trained.codebooks)


def test_evaluation_asks_each_gallery_by_its_own_codebooks():
    data, _ = tiny_dataset()
    apart, shared = make_student(config(student=APART), 3).eval(), make_student(config(), 3).eval()
    measured, same = (evaluate(QuantizedRetriever(student, data), data, 10) for student in (apart, shared))
    assert measured == same  # both sets are still the shared one
    torch.nn.init.normal_(apart.text_quantizer.codebooks)
    moved = evaluate(QuantizedRetriever(apart, data), data, 10)
    assert moved["i2t"] != same["i2t"]
    assert moved["t2i"] == same["t2i"] and moved["i2i"] == same["i2i"]
    assert moved["codewords"]["image"] == same["codewords"]["image"]
    assert moved["codewords"]["text"]["cosine"] != same["codewords"]["text"]["cosine"]
