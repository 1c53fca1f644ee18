"""Choose the learning rate of the NPC ablation on the validation cut of train; the benchmark's queries stay unseen.

    python scripts/choose_learning_rate.py                  # the demo profile on scenes
    python scripts/choose_learning_rate.py dataset=coco data_root=DIR teacher=precomputed:DIR/teacher.npz profile=paper ...

Words NAME=VALUE are the parameters of notebooks/ablation_npc.ipynb. The rate with the best mean over all four targets and
both directions wins, so that no target is favoured; the seed is none of the reported ones.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import pandas as pd

from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, reports_dir
from dcmq.experiments.parallel import run_all
from dcmq.experiments.parameters import defaults, validated
from dcmq.reporting.report import write_record
from dcmq.reporting.results import results_frame, select
from dcmq.reporting.tables import markdown, write_table
from dcmq.studies.ablation_npc import Parameters

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "ablation_npc.ipynb"
SEED = 1000


def parameters(words: list[str]) -> Parameters:
    """The notebook's defaults, changed by NAME=VALUE words.

    Raises:
        DcmqError: a word that is no parameter of the notebook, or a value that it cannot have.
    """
    values = defaults(NOTEBOOK)
    for word in words:
        name, _, value = word.partition("=")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return validated(Parameters, values).model_copy(update={"seeds": str(SEED)})


def main() -> None:
    """Train at every rate, write the table, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3, 3e-3])
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    options = parser.parse_args()
    study = parameters(options.parameters)
    setup = dataclasses.replace(study.setup(), validation=True)
    plans = {
        f"{rate:g}": study.model_copy(update={"settings": f"{study.settings} learning_rate={rate:g}"}).plan()
        for rate in options.rates
    }
    plan = [run for runs in plans.values() for run in runs]
    records = run_all([run.config for run in plan], setup, study.workers, study.r)
    rows = {}
    for i, (rate, runs) in enumerate(plans.items()):
        frame = select(results_frame(runs, records[i * len(runs) : (i + 1) * len(runs)]), "mAP@all")
        means = frame.groupby("variant", sort=False).value.mean()
        rows[rate] = {**means.round(4), "mean": round(means.mean(), 4)}
    table = pd.DataFrame(rows).T.rename_axis("learning rate")
    folder = reports_dir() / "choices" / f"learning-rate-{study.name}"
    write_table(table, folder / "table")
    write_record(folder / "record.json", study.model_dump(), records, chosen=table["mean"].idxmax())
    print(markdown(table), f"best on the validation cut (mAP@all): {table['mean'].idxmax()}", sep="\n")
    print("written to", display_path(folder))


if __name__ == "__main__":
    try:
        main()
    except DcmqError as error:
        sys.exit(str(error))
