"""Choose the learning rate of the NPC ablation on the validation cut of train; the benchmark's queries stay unseen.

    python scripts/choose_learning_rate.py                  # the demo profile on scenes
    python scripts/choose_learning_rate.py dataset=coco data_root=DIR teacher=precomputed:DIR/teacher.npz profile=paper ...

Words NAME=VALUE are the parameters of notebooks/ablation_npc.ipynb. The rate with the best mean over all four targets and
both directions wins, so that no target is favoured; the seed is none of the reported ones.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import nbformat
import pandas as pd

from dcmq.ablation_npc import TARGETS, Parameters, results_frame
from dcmq.experiments import run_all
from dcmq.paths import reports_dir, shown
from dcmq.reports import markdown, write_record, write_table

SEED = 1000


def parameters(words: list[str]) -> Parameters:
    """The notebook's defaults, changed by NAME=VALUE words."""
    path = Path(__file__).parents[1] / "notebooks" / "ablation_npc.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    values = {}
    exec(next(c.source for c in cells if "parameters" in c.metadata.get("tags", [])), values)
    values = {k: v for k, v in values.items() if not k.startswith("__")}
    for word in words:
        name, _, value = word.partition("=")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return Parameters(**values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3, 3e-3])
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    options = parser.parse_args()
    asked = parameters(options.parameters)
    workspace = dataclasses.replace(asked.workspace(), validation=True)
    tried = [asked.model_copy(update={"learning_rate": rate}) for rate in options.rates]
    records = run_all([p.config(t, SEED, p.tau) for p in tried for t in TARGETS], workspace, asked.workers, asked.r)
    rows = {}
    for i, rate in enumerate(options.rates):
        frame = results_frame(records[i * len(TARGETS) : (i + 1) * len(TARGETS)])
        frame = frame[frame.metric == "mAP@all"]
        rows[f"{rate:g}"] = {t: round(frame[frame.target == t].value.mean(), 4) for t in TARGETS} | {
            "mean": round(frame.value.mean(), 4)
        }
    table = pd.DataFrame(rows).T.rename_axis("learning rate")
    folder = reports_dir() / "choices" / f"learning-rate-{asked.name}"
    write_table(table, folder / "table")
    write_record(folder / "record.json", asked.model_dump(), records, chosen=table["mean"].idxmax())
    print(markdown(table), f"best on the validation cut (mAP@all): {table['mean'].idxmax()}", sep="\n")
    print("written to", shown(folder))


if __name__ == "__main__":
    main()
