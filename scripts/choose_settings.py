"""Choose each row's settings by one search for all: the same budget, the same ranges, the same queries.

    python scripts/choose_settings.py scenes-demo                # the demo profile on scenes
    python scripts/choose_settings.py photos dataset=coco data_root=DIR teacher=precomputed:DIR/teacher.npz profile=paper ...

The first word names the choices; words NAME=VALUE are parameters of notebooks/main_results.ipynb. Each row, a control among them,
gets the same points of a Sobol sequence: learning rate, its factor on pretrained layers, and one option of its own that its paper
does not state. The best mean of mAP@all in both directions wins, on the validation cut (queries cut from train, a gallery that is
mostly unseen), for ``scenes`` of draws that no report shows.
"""

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path

import pandas as pd
from scipy.stats import qmc

from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, reports_dir
from dcmq.experiments.choices import save_choices
from dcmq.experiments.parallel import run_all
from dcmq.experiments.parameters import defaults, validated
from dcmq.experiments.plan import method_variants
from dcmq.reporting.report import write_record
from dcmq.reporting.tables import markdown, write_table
from dcmq.retrieval.evaluate import DIRECTIONS
from dcmq.retrieval.galleries import judged_gallery
from dcmq.studies.main_results import Parameters

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "main_results.ipynb"
SEEDS = "1000"  # none of the reported ones
BITS = 64
EDGE = 0.04  # a choice nearer to an end of a range, as a share of it, is said to be on the edge
COMMON = {"learning_rate": (1e-4, 1e-2), "backbone_lr_factor": (0.01, 1.0)}
TAU = ("tau", (0.05, 1.0))
OWN = {  # of each row: one setting that its paper does not state, and its range; all on a logarithmic scale
    "DCMQ": TAU,
    "DCMQ-raw": TAU,
    "DCMQ-multihot": TAU,
    "DCMQ-identity": TAU,
    "DCMQ-shared": TAU,
    "DCMQ-best": TAU,
    "DCMH": ("DCMH.eta", (1e-5, 1.0)),
    "SSAH": ("SSAH.adversary", (1e-4, 1.0)),
    "CMHH": ("CMHH.sharpness", (0.05, 10.0)),
    "CMMQ": ("CMMQ.mutual", (1e-2, 10.0)),
    "DCH-SCR": ("DCH-SCR.margin", (0.1, 10.0)),
}


def trials(row: str, count: int) -> list[dict[str, float]]:
    """The ``count`` settings to try for ``row``: the same points for all rows, each in its own ranges."""
    ranges = [*COMMON.items(), OWN[row]]
    points = qmc.Sobol(len(ranges), seed=0).random(count)
    return [
        {name: float(f"{low * (high / low) ** x:.3g}") for (name, (low, high)), x in zip(ranges, point, strict=True)}
        for point in points
    ]


def on_edge(row: str, settings: dict[str, float]) -> list[str]:
    """The settings that are at an end of their range."""
    ranges = dict([*COMMON.items(), OWN[row]])
    share = {n: math.log(v / ranges[n][0]) / math.log(ranges[n][1] / ranges[n][0]) for n, v in settings.items()}
    return [name for name, x in share.items() if not EDGE <= x <= 1 - EDGE]


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
    return validated(Parameters, values)


def main() -> None:
    """Train every trial, write the tables and the choices, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--rows", nargs="+", default=list(OWN))
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--seeds", default=SEEDS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    options = parser.parse_intermixed_args()
    study = parameters(options.parameters)
    study = study.model_copy(update={"seeds": options.seeds, "settings": f"{study.settings} choices="})
    tried, runs = [], []
    for row in options.rows:
        (variant,) = method_variants(row)
        for number, settings in enumerate(trials(row, options.trials)):
            own = dataclasses.replace(variant, settings=dict(variant.settings) | settings)
            for seed in study.seed_list:
                setup = dataclasses.replace(study.setup(seed=seed), validation=True)
                tried.append({"row": row, "trial": number, "seed": seed, **settings})
                runs.append((study.run(own, BITS, seed).config, setup))
    records = run_all(runs, options.workers, study.r)
    for trial, record in zip(tried, records, strict=True):
        measured = record["evaluation"]
        for direction in DIRECTIONS:
            trial[direction] = measured[direction][judged_gallery(measured[direction])]["mAP@all"]
        trial |= {"key": record["key"], "seconds": record["training_seconds"]}
    frame = pd.DataFrame(tried)
    frame["mAP@all"] = frame[list(DIRECTIONS)].mean(axis=1)
    means = frame.groupby(["row", "trial"], sort=False)["mAP@all"].mean()
    chosen, table = {}, {}
    for row in options.rows:
        best = int(means[row].idxmax())
        chosen[row] = trials(row, options.trials)[best]
        table[row] = {
            "trials": options.trials,
            **{n: f"{chosen[row][n]:g}" for n in COMMON},
            "its own": "{} {:g}".format(OWN[row][0].rpartition(".")[2], chosen[row][OWN[row][0]]),
            "mAP@all": f"{means[row][best]:.3f}",
            "median trial": f"{means[row].median():.3f}",
            "on an edge": ", ".join(on_edge(row, chosen[row])),
        }
    folder = reports_dir() / "choices" / options.name
    summary = pd.DataFrame(table).T.rename_axis("row")
    write_table(summary, folder / "table")
    frame.round(5).to_csv(folder / "trials.csv", index=False, lineterminator="\n")
    about = {"name": options.name, "seeds": options.seeds, "trials": options.trials, "bits": BITS}
    circumstances = {k: records[0][k] for k in ("device", "machine", "versions", "git", "code", "dataset", "teacher")}
    write_record(folder / "record.json", study.model_dump() | about, [], chosen=chosen, made=circumstances)
    print(markdown(summary), display_path(save_choices(options.name, chosen)), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except DcmqError as error:
        sys.exit(str(error))
