"""The widget: it shows a bench in the browser, and carries its requests and answers there and back."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import anywidget
import pandas as pd
import traitlets

from dcmq.config import TrainConfig
from dcmq.core.errors import DcmqError
from dcmq.data.dataset import RetrievalDataset
from dcmq.explore.bench import Bench
from dcmq.explore.items import items_of_collection, items_of_dataset
from dcmq.explore.rankers import ranker_of_collection, ranker_of_run, ranker_of_teacher
from dcmq.explore.requests import answer
from dcmq.explore.selection import items_frame, write_selection
from dcmq.explore.snapshot import state_text, view_png
from dcmq.explore.views import VIEWS
from dcmq.search.collection import Collection
from dcmq.teachers.base import TeacherEmbeddings

_STATIC = Path(__file__).parent / "static"
_PARTS = ("dom", "bench", "grid", "canvas", *VIEWS, "frame")  # one script, in this order
_SHARED = {"query": "_query", "selection": "_selection"}  # parts of the state whose names are methods here


def script() -> str:
    """The JavaScript of the widget, one module without imports."""
    views = f"const VIEWS = [{', '.join(f'{name}View' for name in VIEWS)}];\n"
    *parts, frame = [(_STATIC / f"{name}.js").read_text(encoding="utf-8") for name in _PARTS]
    return "\n".join([*parts, views, frame])


class Explorer(anywidget.AnyWidget):
    """A bench in a cell of JupyterLab: search, and views of what was learnt and what goes wrong.

    Make one by :meth:`of_runs` or :meth:`of_collection`. ``view``, ``gallery``, ``left`` and ``right`` can be set from cells.
    Where no widget can live, as on a web page, its state is shown as a static image.

    Raises:
        DcmqError: on setting anything to a value that it cannot have.
    """

    _esm = script()
    _css = (_STATIC / "explorer.css").read_text(encoding="utf-8")

    view = traitlets.Unicode(next(iter(VIEWS))).tag(sync=True)
    gallery = traitlets.Unicode().tag(sync=True)
    left = traitlets.Unicode().tag(sync=True)
    right = traitlets.Unicode().tag(sync=True)
    _query = traitlets.Dict().tag(sync=True)
    _selection = traitlets.List().tag(sync=True)
    _info = traitlets.Dict().tag(sync=True)

    def __init__(self, bench: Bench):
        self.bench = bench
        super().__init__(_info=bench.info(), **{_SHARED.get(name, name): value for name, value in bench.state.items()})
        self.on_msg(self._on_message)

    @classmethod
    def of_runs(
        cls, data: RetrievalDataset, embeddings: TeacherEmbeddings, runs: Mapping[str, TrainConfig | Path | str]
    ) -> "Explorer":
        """An explorer of a data set, with the students of ``runs`` and the teacher as rankers.

        Args:
            runs: by the name to show, a configuration of DCMQ, trained now if it was not, or the folder of a finished run.

        Raises:
            DcmqError: a run of another method or of other data.
        """
        rankers = [ranker_of_run(name, run, data, embeddings) for name, run in runs.items()]
        return cls(Bench(items_of_dataset(data), [*rankers, ranker_of_teacher(embeddings, data)]))

    @classmethod
    def of_collection(cls, folder: Path | str) -> "Explorer":
        """An explorer of one's own images and texts, as ``dcmq search build`` made them.

        Raises:
            DcmqError: no collection, or an empty one.
        """
        collection = Collection(folder)
        return cls(Bench(items_of_collection(collection), [ranker_of_collection(collection)]))

    def showing(self, view: str) -> "Explorer":
        """A second explorer of the same bench that opens at ``view``: query, rankers and selection are the same in both.

        Raises:
            DcmqError: no such view.
        """
        other = Explorer(self.bench)
        other.view = view
        for name in self.bench.state:
            trait = _SHARED.get(name, name)
            traitlets.link((self, trait), (other, trait))
        return other

    @property
    def selection(self) -> pd.DataFrame:
        """The selected items: id, text, labels and split, by row."""
        return items_frame(self.bench.items, self.bench.selection)

    def select(self, items: Sequence) -> None:
        """Select items by their ids or rows. Raises DcmqError for what is neither, and for too many."""
        self._selection = list(items)

    def query(self, words: str = "", *, image=None, text=None) -> None:
        """Search for words, or for what is near the image or the text of an item, given by id or row.

        Raises:
            DcmqError: nothing is given, or no such item.
        """
        item = {"kind": "image", "row": image} if image is not None else {"kind": "text", "row": text}
        self._query = {"kind": "words", "text": words} if words or item["row"] is None else item

    def export(self, file: Path | str) -> Path:
        """Write the selected items with scores and codes to a CSV or parquet file, see
        :func:`dcmq.explore.selection.write_selection`."""
        return write_selection(self.bench, file)

    @traitlets.validate("gallery", "left", "right", "_query", "_selection")
    def _checked(self, proposal):
        name = proposal["trait"].name.removeprefix("_")
        self.bench.set(name, proposal["value"])
        return self.bench.state[name]

    @traitlets.validate("view")
    def _checked_view(self, proposal):
        if proposal["value"] not in VIEWS:
            raise DcmqError(f"view: {proposal['value']!r} is none of {', '.join(VIEWS)}")
        return proposal["value"]

    def _on_message(self, _, message: dict, buffers) -> None:
        """Answer a request of the browser; whatever goes wrong comes back as one line, so that nothing fails silently."""
        reply, files = {"id": message.get("id")}, []
        try:
            kind, arguments = str(message.get("kind")), message.get("arguments", {})
            reply["result"], files = self._set(arguments) if kind == "set" else answer(self.bench, kind, arguments)
        except DcmqError as error:
            reply["error"] = str(error)
        except Exception as error:  # a fault of the package: its lines go to the log
            self.log.error("explorer", exc_info=True)
            reply["error"] = f"explorer: {type(error).__name__}: {error}: please report"
        self.send(reply, files)

    def _set(self, arguments: dict) -> tuple[dict, list[bytes]]:
        """Set a part of the state, for the browser; the value that it has now."""
        name = arguments.get("name")
        if name != "view" and name not in self.bench.state:
            raise DcmqError(f"set: {name!r} is none of view, {', '.join(self.bench.state)}")
        trait = _SHARED.get(name, name)
        setattr(self, trait, arguments.get("value"))
        return {"value": getattr(self, trait)}, []

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        """The live widget, and for where there is none its state as a static image and a line, alike for the same state."""
        widget, metadata = super()._repr_mimebundle_(**kwargs)
        image = view_png(self.bench, VIEWS[self.view].figure)
        stable = {"text/plain": state_text(self.bench, self.view), "image/png": base64.b64encode(image).decode()}
        return widget | stable, metadata
