"""``dcmq reports run`` that is killed at any moment, alone or with all its processes, or loses a kernel: the report is whole, and no
process and no file is left that an undisturbed run does not leave."""

import kills
import nbformat
import pytest

pytestmark = [pytest.mark.slow, kills.MANY]  # two minutes for the first kill of each kind
KILLS = kills.seeds(1)

PARAMETERS = """
teacher: str = "clip"  # teacher
dataset: str = "scenes"  # data set
data_root: str = ""  # its folder
data_options: str = "query=20 train=60 gallery=100"  # its options
seeds: str = "0"  # comma-separated
profile: str = "demo"  # demo or paper
bits: int = 32  # per item
epochs: int = 1  # 0: the profile's
settings: str = "image_encoder=small_convnet batch_size=16"  # further ones
workers: int = 2  # runs at a time
scheduler: str = ""  # of a cluster
"""
STUDY = """
from typing import ClassVar
from dcmq.experiments.study import TrainingStudy, run_plan

class Parameters(TrainingStudy):
    notebook: ClassVar[str] = "{name}"
    item: ClassVar[str] = "none"
    title: ClassVar[str] = "Is it whole?"
    claim: ClassVar[str] = "It is."
    bits: int = 32

from dcmq.experiments.parameters import validated

p = validated(Parameters, globals())
plan = p.plan()
"""
REPORT = """
import matplotlib.pyplot as plt
from dcmq.reporting.report import write_report
from dcmq.reporting.results import results_frame, table

frame = results_frame(plan, records)
tables = {"table": table(frame, r=p.r), "table-again": table(frame, r=p.r)}
figure, axes = plt.subplots(figsize=(2, 2))
axes.plot([record["evaluation"]["t2i"]["gallery"]["mAP@all"] for record in records], "o")
folder = write_report(p, tables, [], records, {"figure": figure}, frame)
"""
phase = kills.by_files(
    kernel="runs/executed/*.ipynb",
    data="cache/splits/*",
    training="runs/*/inputs.json",
    trained="runs/*/record.json",
    report="reports/*/*/table*",
    record="reports/*/*/record.json",
    copy="reports/*/*/notebook.ipynb",
    page="reports/README.md",
)


def begun(folder, names):
    """A folder with notebooks that train a run each, which differ by their seed."""
    (folder / "notebooks").mkdir(parents=True)
    for seed, name in enumerate(names):
        parameters = PARAMETERS.strip().replace('seeds: str = "0"', f'seeds: str = "{seed}"')
        cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="0")]
        sources = (STUDY.format(name=name), "records = run_plan(p, plan)", REPORT)
        cells += [nbformat.v4.new_code_cell(source.strip(), id=str(n)) for n, source in enumerate(sources, 1)]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "notebooks" / f"{name}.ipynb")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Undisturbed notebooks, one or two at a time: the words of the command, the notebooks, the folder, the end."""
    made = {}

    def get(jobs):
        if jobs not in made:
            names = ["quickstart", "captions"][:jobs]
            words = ["-m", "dcmq", "reports", "run", *names, "--jobs", jobs]
            folder = begun(tmp_path_factory.mktemp("whole") / "home", names)
            made[jobs] = words, names, folder, kills.undisturbed(words, folder)
        return made[jobs]

    return get


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_batch_that_was_killed_is_whole_when_it_is_run_again(whole, tmp_path, jobs):
    words, names, folder, done = whole(jobs)
    for seed in KILLS:
        home = begun(tmp_path / f"home{seed}", names)
        kills.killed(words, home, (kills.EVERYONE, kills.MAIN)[seed % 2], seed, done, phase)
        kills.undisturbed(words, home)
        kills.assert_same(home, folder)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("whom", [kills.KERNEL, kills.WORKER])
def test_a_kernel_or_its_process_that_is_killed_is_replaced(whole, tmp_path, jobs, whom):
    words, names, folder, done = whole(jobs)
    for seed in KILLS:
        home = begun(tmp_path / f"home{seed}", names)
        killed = kills.killed(words, home, whom, seed, done, phase)
        assert killed.code == 0, killed.out + killed.err[-3000:]
        kills.assert_same(home, folder)
