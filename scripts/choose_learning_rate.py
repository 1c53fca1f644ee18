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

import pandas as pd

from dcmq.core.paths import display_path, reports_dir
from dcmq.experiments.parallel import run_all
from dcmq.experiments.parameters import defaults
from dcmq.reporting.report import write_record
from dcmq.reporting.results import results_frame, select
from dcmq.reporting.tables import markdown, write_table
from dcmq.studies.ablation_npc import Parameters

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "ablation_npc.ipynb"
SEED = 1000


def parameters(words: list[str]) -> Parameters:
    """The notebook's defaults, changed by NAME=VALUE words."""
    values = defaults(NOTEBOOK)
    for word in words:
        name, _, value = word.partition("=")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return Parameters(**values).model_copy(update={"seeds": str(SEED)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3, 3e-3])
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    options = parser.parse_args()
    asked = parameters(options.parameters)
    setup = dataclasses.replace(asked.setup(), validation=True)
    tried = {
        f"{rate:g}": asked.model_copy(update={"settings": f"{asked.settings} learning_rate={rate:g}"}).plan()
        for rate in options.rates
    }
    plan = [run for runs in tried.values() for run in runs]
    records = run_all([run.config for run in plan], setup, asked.workers, asked.r)
    rows = {}
    for i, (rate, runs) in enumerate(tried.items()):
        found = select(results_frame(runs, records[i * len(runs) : (i + 1) * len(runs)]), "mAP@all")
        means = found.groupby("variant", sort=False).value.mean()
        rows[rate] = {**means.round(4), "mean": round(means.mean(), 4)}
    table = pd.DataFrame(rows).T.rename_axis("learning rate")
    folder = reports_dir() / "choices" / f"learning-rate-{asked.name}"
    write_table(table, folder / "table")
    write_record(folder / "record.json", asked.model_dump(), records, chosen=table["mean"].idxmax())
    print(markdown(table), f"best on the validation cut (mAP@all): {table['mean'].idxmax()}", sep="\n")
    print("written to", display_path(folder))


if __name__ == "__main__":
    main()
