"""Give the committed run records the keys of today's code, where that code is proven to give the same results.

    python scripts/rekey_records.py                                        # what the generated data set can prove
    python scripts/rekey_records.py --data coco=DIR --teacher coco=precomputed:FILE --weights NAME=FILE

After a change that should change no result (a rename, a refactoring), records of before would be looked for in vain, because a
run's key holds a fingerprint of the code. So of each kind of record (method and target, and the code it was made with) the
quickest run is repeated with today's code. Where everything in it is the same to the bit, all records of its kind get new keys;
where not, or where it cannot be repeated, they keep their own, and that is said.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from dcmq.config import RunConfig
from dcmq.core.code import fingerprint
from dcmq.core.errors import DcmqError
from dcmq.core.paths import display_path, reports_dir
from dcmq.core.sealed import read_sealed, sealed
from dcmq.core.storage import atomic_write
from dcmq.data.decode import DECODER
from dcmq.experiments.keys import evaluation_fingerprint, key_of, training_fingerprint
from dcmq.experiments.records import result_differences
from dcmq.experiments.runs import run
from dcmq.experiments.setup import ExperimentSetup
from dcmq.methods.registry import METHODS
from dcmq.networks.pretrained import weights_fingerprint
from dcmq.reporting.report import provenance, record_text
from dcmq.teachers.registry import TEACHERS

# Names of settings and parameters that have changed: records hold those of their day.
RENAMED = {
    "codewords": "num_codewords",
    "subvector_length": "subvector_dim",
    "normalise_subvectors": "normalize_subvectors",
    "subvector_lengths": "subvector_dims",
    "backbone_rate": "backbone_lr_factor",
    "quantisation": "quantization",  # an option of some methods, and with the next a word in the names of their losses
    "judges": "discriminators",
}
IMAGE_CODE = {"scenes": fingerprint("dcmq.data.scenes.sample"), "coco": DECODER}
LOADED = {  # which of the choices in a record are options of the loader
    "scenes": ("seed", "query", "train", "gallery", "label_missing"),
    "coco": ("query", "train", "words", "image_size", "seed", "ignore_classes"),
}


def renamed(part):
    """Settings or losses of a record, under today's names."""
    if isinstance(part, list):
        return [renamed(value) for value in part]
    if isinstance(part, dict):
        return {" ".join(RENAMED.get(w, w) for w in name.split()): renamed(value) for name, value in part.items()}
    return part


def settings_of(record: dict) -> RunConfig:
    """The settings in a record, under today's names."""
    settings = {"method": "DCMQ"} | renamed(record["config"])
    return METHODS[settings["method"]].settings_type.model_validate(settings)


def new_key(record: dict) -> str:
    """The key that the run of ``record`` has today."""
    config = settings_of(record)
    settings = config.model_dump(mode="json")
    settings["student"]["backbone_weights"] = record["backbone"]
    settings["student"]["text_weights"] = weights_fingerprint(settings["student"]["text_weights"])
    data = (record["dataset"]["fingerprint"], IMAGE_CODE[record["dataset"]["name"]])
    teacher = (record["teacher"]["fingerprint"], teacher_code(record))
    return key_of(settings, data, teacher, training_fingerprint(config))


def teacher_code(record: dict) -> str:
    """The fingerprint of the code that makes the teacher's embeddings."""
    return fingerprint(TEACHERS[record["teacher"]["name"].partition(":")[0]].make.__module__)


def repeated(record: dict, given: argparse.Namespace) -> dict | None:
    """The record of the same run, made now; None where its data, teacher or weights are not at hand."""
    name, choices = record["dataset"]["name"], record["dataset"]["choices"]
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in choices.items() if k in LOADED[name]}
    if name != "scenes" and name not in given.data:
        return None
    config = settings_of(record)
    if not at_hand(config.student.backbone_weights, record["backbone"]):
        file = given.weights.get(Path(config.student.backbone_weights).name)
        if file is None:
            return None
        config = config.model_copy(update={"student": config.student.model_copy(update={"backbone_weights": file})})
    teacher = given.teacher.get(name, record["teacher"]["name"])
    setup = ExperimentSetup(name, teacher, given.data.get(name, ""), options, choices.get("view") == "validation")
    return run(config, *setup.load(), r=record["evaluation"]["R"])


def at_hand(weights: str, fingerprint: str) -> bool:
    """True where the ``weights`` of a backbone, by the name in a record, are those of the record."""
    try:
        return weights_fingerprint(weights) == fingerprint
    except DcmqError:
        return False


def prove(records: list[dict], given: argparse.Namespace) -> bool:
    """Whether the quickest of ``records`` that can be repeated gives the same result to the bit. Prints what happened."""
    kind = kind_of(records[0])
    if "code" not in records[0]["evaluation"]:
        print(f"{' '.join(kind):<42} {len(records):>4} records; measured by a former version: they keep their keys")
        return False
    for record in sorted(records, key=lambda r: (r["dataset"]["name"] != "scenes", r["training_seconds"])):
        try:
            again = repeated(record, given)
        except DcmqError as error:  # such as a part of somebody's own, which only his notebook knows
            print(f"{record['key']}: {error}")
            continue
        if again is None:
            continue
        wrong = result_differences(record | {"losses": renamed(record["losses"])}, again)
        verdict = f"differs in {', '.join(wrong[:5])}" if wrong else "the same to the bit"
        print(
            f"{' '.join(kind):<42} {len(records):>4} records; {record['key']} on {record['dataset']['name']}: {verdict}"
        )
        return not wrong
    print(f"{' '.join(kind):<42} {len(records):>4} records; none can be repeated here: they keep their keys")
    return False


def kind_of(record: dict) -> tuple[str, str]:
    """What is proven together: the method, or DCMQ's target, and the code the record was made with."""
    return settings_of(record).label, record["code"]


def update_names(record: dict) -> None:
    """Write settings, losses and the teacher under today's names."""
    record["losses"] = renamed(record["losses"])
    record["config"] = settings_of(record).model_dump(mode="json")
    if "resolved" in record["teacher"]:
        record["teacher"]["description"] = record["teacher"].pop("resolved")


def update_key(record: dict) -> None:
    """Write the key and the fingerprints of today's code."""
    record["key"] = new_key(record)
    record["code"] = training_fingerprint(settings_of(record))
    record["evaluation"]["code"] = evaluation_fingerprint()
    record["dataset"]["image_code"] = IMAGE_CODE[record["dataset"]["name"]]
    record["teacher"]["code"] = teacher_code(record)


def main() -> int:
    """Prove and rewrite; 1 if any kind of record keeps its keys."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("data", "teacher", "weights"):
        parser.add_argument(f"--{option}", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--check", action="store_true", help="prove only, and write nothing")
    given = parser.parse_args()
    for option in ("data", "teacher", "weights"):
        setattr(given, option, dict(word.split("=", 1) for word in getattr(given, option)))
    files = {file: read_sealed(file, "make the report again") for file in sorted(reports_dir().glob("*/*/record.json"))}
    kinds = defaultdict(list)
    for report in files.values():
        for record in report["runs"]:
            kinds[kind_of(record)].append(record)
    proven = {kind for kind, records in kinds.items() if prove(records, given)}
    for file, report in files.items() if not given.check else ():
        before = json.dumps(report)
        report["parameters"] = renamed(report["parameters"])
        for record in report["runs"]:
            kind = kind_of(record)
            update_names(record)
            if kind in proven:
                update_key(record)
        if json.dumps(report) == before:
            continue
        if report.get("provenance"):
            report["provenance"] = provenance(report["runs"])
        atomic_write(file, record_text(sealed(report)).encode())
        print("written to", display_path(file))
    return int(len(proven) < len(kinds))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DcmqError as error:
        sys.exit(str(error))
