"""Choose the compared methods' hyper-parameters on the validation cut of train; the benchmark's queries stay unseen.

    python scripts/choose_method_options.py              # the demo profile on scenes, 64 bits
    python scripts/choose_method_options.py DCMH CMHH    # only these

Tried for each method, DCMQ among them: learning rate and epochs as factors on the profile's, and for the compared ones the
values below of one option that no paper states. The best mean of both directions (mAP@all) wins; the seed is none of the
reported ones.
"""

import argparse
import dataclasses
import itertools
from pathlib import Path

import pandas as pd

from dcmq.config import RunConfig
from dcmq.core.paths import display_path, reports_dir
from dcmq.core.registry import suggestion
from dcmq.experiments.parallel import run_all
from dcmq.experiments.parameters import defaults
from dcmq.experiments.plan import method_variants
from dcmq.reporting.report import write_record
from dcmq.reporting.tables import markdown, write_table
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.studies.main_results import Parameters

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "main_results.ipynb"
SEED = 1000
LR_FACTORS, EPOCH_FACTORS = (1, 3), (1, 3)
OPTIONS = {  # of each method: one that no paper states, and its values
    "DCMQ": ("", ("",)),
    "DCMQ-multihot": ("", ("",)),
    "DCMQ-identity": ("", ("",)),
    "DCMH": ("eta", (1.0, 0.1, 0.01)),
    "SSAH": ("adversary", (0.0, 0.01, 0.1)),
    "CMHH": ("sharpness", (0.5, 1.0, 2.0)),
    "CMMQ": ("mutual", (0.1, 1.0)),
    "DCH-SCR": ("labels", (0.5, 0.8)),
}
ONCE = {"SSAH", "DCH-SCR"}  # three times the epochs would take them about a minute a run


def trials(name: str, study: Parameters) -> list[tuple[dict, RunConfig]]:
    """Pairs of a choice for a method and the configuration that follows from it."""
    option, values = OPTIONS[name]
    (row,) = method_variants(name)
    pairs = []
    epoch_factors = (1,) if name in ONCE else EPOCH_FACTORS
    for lr_factor, epoch_factor, value in itertools.product(LR_FACTORS, epoch_factors, values):
        own = {f"{name}.{option}": value} if option else {}
        variant = dataclasses.replace(row, lr_factor=lr_factor, epoch_factor=epoch_factor, settings=row.settings | own)
        choice = {
            "method": name,
            "lr_factor": lr_factor,
            "epoch_factor": epoch_factor,
            "option": option,
            "value": value,
        }
        pairs.append((choice, study.run(variant, study.curve_bits, SEED).config))
    return pairs


def main() -> None:
    """Train every trial, write the table, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=list(OPTIONS), metavar="METHOD")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    for name in options.methods:
        if name not in OPTIONS:
            parser.error(f"{name!r} is not among the methods{suggestion(name, OPTIONS)} (known: {', '.join(OPTIONS)})")
    study = Parameters(**defaults(NOTEBOOK))
    pairs = [pair for name in options.methods for pair in trials(name, study)]
    setup = dataclasses.replace(study.setup(), validation=True)
    records = run_all([config for _, config in pairs], setup, options.workers, study.r)
    rows = []
    for (choice, _), record in zip(pairs, records, strict=True):
        both = [record["evaluation"][direction]["gallery"]["mAP@all"] for direction in DIRECTIONS]
        rows.append(choice | {"mAP@all": round(sum(both) / 2, 4), "seconds": record["training_seconds"]})
    table = pd.DataFrame(rows)
    best = table.loc[table.groupby("method", sort=False)["mAP@all"].idxmax()]
    table["best"] = ["yes" if i in best.index else "" for i in table.index]
    folder = reports_dir() / "choices" / "method-options-scenes-64bits-demo"
    write_table(table.set_index("method"), folder / "table")
    write_record(folder / "record.json", {"methods": ",".join(options.methods), "seed": SEED}, records)
    print(markdown(table.set_index("method")), "written to " + display_path(folder), sep="\n")


if __name__ == "__main__":
    main()
