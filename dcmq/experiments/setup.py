"""A data set and a teacher by name, as every process of an experiment loads them."""

from dataclasses import dataclass, field

from dcmq.core.executors import mend_main
from dcmq.data.dataset import RetrievalDataset
from dcmq.data.datasets import load_dataset
from dcmq.experiments.teacher_shards import embed_in_shards
from dcmq.teachers.base import TeacherEmbeddings
from dcmq.teachers.registry import resolve_teacher


@dataclass(frozen=True)
class ExperimentSetup:
    """A data set and a teacher by name, as every process of an experiment loads them."""

    dataset: str
    teacher: str
    root: str = ""
    options: dict = field(default_factory=dict)
    validation: bool = False  # choose settings here: queries cut from train, never the real ones

    def __hash__(self) -> int:
        return hash(repr(self))

    def load(self) -> tuple[RetrievalDataset, TeacherEmbeddings]:
        """The data and the teacher's embeddings of it, from the cache if they were made before."""
        whole = self._whole()
        return self._view(whole), embed_in_shards(resolve_teacher(self.teacher, self.dataset), whole)

    def data(self) -> RetrievalDataset:
        """The data alone."""
        return self._view(self._whole())

    def _whole(self) -> RetrievalDataset:
        mend_main()  # several processes may draw or read the images
        return load_dataset(self.dataset, self.root, **self.options)

    def _view(self, whole: RetrievalDataset) -> RetrievalDataset:
        return whole.validation_view() if self.validation else whole
