"""Loading a student from where somebody put it; the hub is asked in tests/sharing/test_push.py."""

import pytest
import torch
from finished_run import CONFIG, VOCABULARY

from dcmq.core.errors import DcmqError
from dcmq.core.storage import load_tensors, save_tensors
from dcmq.data.words import LETTERS
from dcmq.methods.dcmq.student import make_student
from dcmq.search import pretrained
from dcmq.search.pretrained import MODEL, PretrainedStudent


@pytest.fixture
def folder(tmp_path):
    """A folder with a student."""
    student = PretrainedStudent(make_student(CONFIG, len(VOCABULARY)), CONFIG, VOCABULARY, 40, LETTERS)
    student.save(tmp_path / "me" / "student" / MODEL)
    return tmp_path / "me" / "student"


@pytest.fixture
def asked(monkeypatch):
    """What the hub is asked for; it answers nothing."""
    requests = []

    def fetch(*words):
        requests.append(words)
        raise DcmqError("the hub was asked")

    monkeypatch.setattr(pretrained, "fetch", fetch)
    return requests


def test_a_folder_is_read_to_the_bit(folder):
    model = make_student(CONFIG, len(VOCABULARY))
    for source in (folder, str(folder)):
        loaded = PretrainedStudent.from_pretrained(source)
        assert (loaded.config, loaded.vocabulary, loaded.word_pattern) == (CONFIG, VOCABULARY, LETTERS)
        assert all(map(torch.equal, model.state_dict().values(), loaded.student.state_dict().values()))
        assert not loaded.student.training


def test_a_folder_wins_over_a_repository_of_its_name(folder, asked, monkeypatch):
    monkeypatch.chdir(folder.parents[1])
    assert PretrainedStudent.from_pretrained("me/student").vocabulary == VOCABULARY and asked == []
    with pytest.raises(DcmqError, match="me/student is a folder, which has no revisions: write hub:me/student"):
        PretrainedStudent.from_pretrained("me/student", "v1")
    for source, revision in (("hub:me/student", None), ("me/other", "v1"), ("hub:me/other", None)):
        with pytest.raises(DcmqError, match="the hub was asked"):
            PretrainedStudent.from_pretrained(source, revision)
    assert asked == [("me/student", MODEL, None), ("me/other", MODEL, "v1"), ("me/other", MODEL, None)]


@pytest.mark.parametrize("source", ["student", "./no/folder", "/no", "a/b/c", "me/", "", "~/no"])
def test_what_is_neither_is_said_without_asking(source, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if source == "":  # the current folder, which holds no student
        with pytest.raises(DcmqError, match="is missing, damaged"):
            PretrainedStudent.from_pretrained(source)
    else:
        with pytest.raises(DcmqError, match=f"there is no folder {source}, and it is no repository"):
            PretrainedStudent.from_pretrained(source)
    assert asked == []


def test_a_file_that_is_not_whole_is_one_line(folder):
    file = folder / MODEL
    whole = file.read_bytes()
    for content in (whole[:-7], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(content)
        with pytest.raises(DcmqError, match="is missing, damaged, or of another version: write the folder anew"):
            PretrainedStudent.from_pretrained(folder)
    file.unlink()
    with pytest.raises(DcmqError, match="is missing, damaged"):
        PretrainedStudent.from_pretrained(folder)


def test_another_format_is_named_and_one_without_is_read(folder):
    tensors, meta = load_tensors(folder / MODEL)
    save_tensors(folder / MODEL, tensors, meta | {"format": "2"})
    with pytest.raises(DcmqError, match="has format 2, and this version of dcmq reads 1: update dcmq"):
        PretrainedStudent.from_pretrained(folder)
    save_tensors(folder / MODEL, tensors, {name: value for name, value in meta.items() if name != "format"})
    assert PretrainedStudent.from_pretrained(folder).vocabulary == VOCABULARY


@pytest.mark.parametrize(
    "change",
    [{"config": "{}x"}, {"config": '{"former_setting": 1}'}, {"vocabulary": '["red"]'}, {"word_pattern": None}],
)
def test_another_version_is_one_line(folder, change):
    tensors, meta = load_tensors(folder / MODEL)
    save_tensors(folder / MODEL, tensors, {name: value for name, value in (meta | change).items() if value is not None})
    with pytest.raises(DcmqError, match="of another version"):
        PretrainedStudent.from_pretrained(folder)


def test_near_words_are_looked_for_to_a_bound(folder, monkeypatch):
    student, looked = PretrainedStudent.from_pretrained(folder), []
    plain = pretrained.get_close_matches
    monkeypatch.setattr(pretrained, "get_close_matches", lambda word, *rest: looked.append(word) or plain(word, *rest))
    known = student.vocabulary[0]
    assert student.near_words(f"{known} {known}x") == {f"{known}x": known}
    unknown = [
        "zz" + "abcdefghij"[i // 100 % 10] + "abcdefghij"[i // 10 % 10] + "abcdefghij"[i % 10] for i in range(800)
    ]
    looked.clear()
    assert student.near_words(" ".join([*unknown, f"{known}x"])) == dict.fromkeys([*unknown, f"{known}x"], "")
    assert looked == unknown[:5]
