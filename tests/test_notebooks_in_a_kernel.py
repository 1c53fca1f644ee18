"""Notebooks that are played with: in one kernel, cells run again, in another order, and after a parameter was changed.

All notebooks share a kernel, one after the other, as when a reader goes through them: what one leaves must not disturb the next.
"""

import asyncio
import re

import nbformat
import pytest
from nbclient import NotebookClient
from notebook_parameters import NOTEBOOKS

from dcmq.studies.registry import reading_order

CHANGES = {  # of each notebook's parameters, such that hardly a run must be trained
    "quickstart": {"words": "boat sea", "top": 4},
    "method": {"tau": 0.3, "seed": 1},
    "explorer": {"words": "boat sea"},
    "own_idea": {"rivals": "npc"},
    "similarity_histograms": {"tau": 0.1, "batches": 2},
    "main_results": {"methods": "DCMQ,PQ", "controls": "teacher-labels"},
    "backbones": {"backbones": "small_resnet,small_convnet"},
    "codewords": {"conditions": "default"},
    "cost": {"bits": "64", "repeats": 2},
    "qualitative": {"queries": 2},
    "low_bits": {"bits": "8,64"},
    "sensitivity": {"tau": "0.1"},
    "bits_and_dimension": {"bits": "8,64"},
}
SEEDS = {"seeds": "0,1"}  # of the others
MINUTES = 20


@pytest.fixture(scope="module")
def kernel():
    """A function that runs a cell in the one kernel, and returns what it printed."""
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=60 * MINUTES, kernel_name="python3")
    loop = asyncio.new_event_loop()

    async def start():
        await client.async_start_new_kernel(cwd=str(NOTEBOOKS))
        await client.async_start_new_kernel_client()

    def run(source):
        cell = nbformat.v4.new_code_cell(source)
        client.nb.cells = [cell]
        loop.run_until_complete(client.async_execute_cell(cell, 0))
        return "".join(output.get("text", "") for output in cell.outputs)

    client.create_kernel_manager()
    loop.run_until_complete(start())
    yield run
    loop.run_until_complete(client._async_cleanup_kernel())
    loop.close()


def code_cells(name):
    return [c for c in nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells if c.cell_type == "code"]


def changed(source: str, values: dict) -> str:
    """The parameters cell with other values."""
    for name, value in values.items():
        source, found = re.subn(
            rf"^{name}: (\w+) = (\(.*?^\)|[^#\n]*)", rf"{name}: \1 = {value!r}  ", source, flags=re.M | re.S
        )
        assert found == 1, name
    return source


@pytest.mark.slow
@pytest.mark.parametrize("name", reading_order())
def test_is_run_again_out_of_order_and_with_other_parameters_in_one_kernel(name, kernel):
    kernel("%reset -f")
    cells = code_cells(name)
    sources = [cell.source for cell in cells]
    (first,) = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    for source in sources:
        kernel(source)
    for source in reversed(sources):
        kernel(source)
    values = CHANGES.get(name, SEEDS)
    sources[first] = changed(sources[first], values)
    for source in sources[first:]:
        kernel(source)
    for parameter, value in values.items():
        assert kernel(f"print(p.{parameter} == {value!r})") == "True\n"
