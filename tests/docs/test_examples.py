"""The Python in the pages does what the pages say."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_run import write_finished_run
from galleries import assert_ranks_as, make_index

from dcmq.codes.assign import unit_subvectors
from dcmq.codes.engines import ENGINES
from dcmq.codes.export import export_index
from dcmq.codes.index import AUTO, CodeIndex
from dcmq.core.errors import DcmqError
from dcmq.data.scenes.load import load_scenes
from dcmq.experiments.parameters import defaults, validated
from dcmq.methods.base import METHODS
from dcmq.methods.dcmq.losses import LOSSES
from dcmq.methods.dcmq.quantizer import QUANTIZERS
from dcmq.methods.dcmq.targets import TARGETS
from dcmq.networks.encoders import IMAGE_ENCODERS
from dcmq.search.collection import Collection
from dcmq.search.runs import model_of
from dcmq.sharing.lance_export import export_lance
from dcmq.sharing.parquet_export import export_parquet
from dcmq.studies.registry import STUDIES

ROOT = Path(__file__).parents[2]


def examples(page):
    """The Python blocks of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def registries(monkeypatch):
    """Registries that forget, after a test, what it registers."""
    for registry in (TARGETS, LOSSES, QUANTIZERS, IMAGE_ENCODERS, METHODS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def parameters(name, **changes):
    return validated(STUDIES[name], defaults(ROOT / "notebooks" / f"{name}.ipynb") | changes)


def test_own_parts_become_rows_of_a_plan(registries):
    target, loss, quantizer, encoder, method = examples("architecture.md")
    study = parameters("ablation_npc")
    names = {"p": study, "plan": study.plan(), "__name__": "__main__"}
    before = len(names["plan"])
    for example in (target, loss, quantizer, encoder):
        exec(example, names)
    added = names["plan"][before:]
    assert [run.variant for run in added[::10]] == ["NPC, cubed", "t2i counted twice", "sharper", "one layer"]
    assert all(run.tags == {"bits": 64, "tau": 0.0} for run in added) and len(added) == 40
    assert TARGETS["npc_cubed"](torch.eye(2), torch.ones(2, 1)).tolist() == [[1, -1], [-1, 1]]
    assert IMAGE_ENCODERS["one_layer"](8, 32, "")(torch.zeros(2, 3, 32, 32)).shape == (2, 8)
    exec(method, names)
    rows = {run.variant for run in parameters("main_results", methods="DCMQ,Pairwise", controls="").plan()}
    assert rows == {"DCMQ", "Pairwise"}


def test_a_cell_with_an_own_method_leaves_no_name_that_the_parameters_refuse(registries):
    notebook = ROOT / "notebooks" / "main_results.ipynb"
    names = defaults(notebook) | {"methods": "DCMQ,Pairwise"}
    exec(examples("architecture.md")[-1], names | {"__name__": "__main__"}, names)
    validated(STUDIES["main_results"], names)


def test_the_index_is_used_as_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    codebooks, embeddings = torch.randn(16, 16, 4, generator=generator), torch.randn(200, 64, generator=generator)
    names = {"codebooks": codebooks, "embeddings": embeddings, "ids": np.arange(200), "queries": embeddings[:3]}
    exec(examples("search.md")[0], names)
    assert names["scores"].shape == names["names"].shape == (3, 100)
    assert len(CodeIndex.load(tmp_path / "gallery.safetensors")) == 200 and names["index"].codes.shape[1] == 8


def test_a_query_for_databases_is_made_as_shown(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Collection.create("photos", model_of(write_finished_run(home)))
    exec(examples("databases.md")[0], names := {})
    np.testing.assert_allclose(
        np.linalg.norm(names["query"].reshape(len(names["student"].codebooks), -1), axis=1), 1, 1e-6
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with an index as each of the files that databases read; the index, and an embedding to ask with."""
    folder, (index, queries) = tmp_path_factory.mktemp("databases"), make_index(n=500)
    export_parquet(index, folder / "photos.parquet")
    for name, write in (("photos.lance", export_lance), ("plain", export_index)):
        with suppress(DcmqError):  # the package is not installed
            write(index, folder / name)
    return folder, index, queries[:1]


@pytest.mark.parametrize("example", [example for example in examples("databases.md") if "hits = " in example])
def test_databases_are_asked_as_shown_and_rank_as_the_index_does(exported, monkeypatch, example):
    folder, index, embedding = exported
    monkeypatch.chdir(folder)
    for module in re.findall(r"^(?:import|from) (\w+)", example, re.M):
        pytest.importorskip(module, reason=f"{module} is not installed")
    if "psycopg" in example:
        pytest.skip("needs a server")
    names = {"query": unit_subvectors(embedding, index.num_codebooks)[0].numpy()}
    exec(example, names)
    ids, scores = (np.array([part]) for part in zip(*names["hits"], strict=True))
    assert ids.shape == (1, 10)
    assert_ranks_as(index, embedding, ids, scores)


def test_every_engine_is_explained():
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^- `(\w+)`", text, re.M)) >= {AUTO, *ENGINES}


def test_a_file_of_embeddings_teaches_as_shown(tmp_path, monkeypatch):
    from dcmq.teachers.registry import resolve_teacher

    monkeypatch.chdir(tmp_path)
    dataset = load_scenes(query=4, train=8, gallery=12)
    monkeypatch.setattr("dcmq.data.datasets.load_dataset", lambda name, root: dataset)
    embeddings = np.random.default_rng(0).normal(size=(2, 16, 5))
    exec(examples("teachers.md")[0], {"image_embeddings": embeddings[0], "text_embeddings": embeddings[1]})
    image, text = resolve_teacher("precomputed:teacher.npz", "scenes").embed_dataset(dataset)
    assert image.shape == text.shape == (16, 5)


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_every_example_is_python(page):
    for example in examples(page):
        compile(example, page, "exec")


@pytest.mark.slow
def test_the_explorer_opens_on_the_runs_of_a_plan(home):
    small = dict(
        data_options="query=20 train=60 gallery=100", settings="image_size=16 batch_size=16", epochs=1, seeds="0"
    )
    names = {"p": parameters("ablation_npc", **small)}
    of_runs, of_collection = examples("explore.md")
    exec(of_runs, names)
    assert list(names["explorer"].bench.rankers) == ["one", "other", "teacher clip"]
    assert of_collection == 'explorer = Explorer.of_collection("photos")\n'
