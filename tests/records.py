"""Folders of runs with made-up records, for lists and comparisons of runs."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

AP = {"i2t": "500 250 125 1000", "t2i": "100 200 300 400"}  # of four queries, in thousandths


def record(key: str, **changes) -> dict:
    """A record with the parts that lists and comparisons read. ``changes``: of its settings, AP, date, data set or teacher."""
    values = {"ap": AP, "finished": "2026-01-01T00:00:00+00:00", "dataset": "scenes", "teacher": "clip"} | changes
    ap, finished, dataset, teacher = (values.pop(name) for name in ("ap", "finished", "dataset", "teacher"))
    bits = values.pop("bits", 64)
    method = values.setdefault("method", "DCMQ")
    settings = {"epochs": 2, "seed": 0} | ({"target": "npc", "tau": 0.2} if method == "DCMQ" else {}) | values
    return {
        "key": key,
        "config": settings | {"student": {"bits": bits, "image_encoder": "small_resnet"}},
        "dataset": {"name": dataset, "fingerprint": f"of {dataset}", "split": "5p117", "choices": {"query": 4}},
        "teacher": {"name": teacher, "description": f"{teacher} [small]", "parameters": 7, "fingerprint": teacher},
        "bytes_per_item": bits / 8,
        "student_parameters": 123,
        "training_seconds": 1.5,
        "losses": [{"i2t": 3.0, "t2i": 4.0}, {"i2t": 2.0, "t2i": 2.5}],
        "device": "cpu",
        "finished": finished,
        "code": "c0de",
        "git": "0123+",
        "versions": {"torch": "2.6"},
        "evaluation": {
            "R": 500,
            "seconds": 0.1,
            "codewords": {kind: {"entropy": 0.5, "dead": 0.25, "usage": [0.5, 0.5]} for kind in ("text", "image")},
            **{
                direction: {"gallery": metrics(line), "continuous": metrics("1000 1000")}
                for direction, line in ap.items()
            },
        },
    }


def metrics(line: str) -> dict:
    """Metrics whose mAPs are the mean of a line of APs."""
    mean = float(np.mean([int(word) for word in line.split()]) / 1000)
    return {
        "mAP@500 (hits)": mean,
        "mAP@all": mean,
        "precision@N": {"1": mean, "10": mean / 2},
        "queries": len(line.split()),
        "AP per query": {"mAP@500 (hits)": line, "mAP@all": line},
    }


def write_run(home: Path, key: str, **changes) -> Path:
    """Write a finished run under ``home``. Returns its folder."""
    content = record(key, **changes)
    folder = run_folder(home, content["config"], key)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(content))
    (folder / "checkpoint.safetensors").write_bytes(b"x" * 1000)
    return folder


def write_unfinished(home: Path, key: str, epochs: int, target: str = "raw") -> Path:
    """Write what a run leaves that was ended after ``epochs`` epochs. Returns its folder."""
    folder = run_folder(home, {"target": target, "seed": 3, "student": {"bits": 16}}, key)
    folder.mkdir(parents=True)
    (folder / "inputs.json").write_text("{}")
    if epochs:
        save_file({"history.i2t": np.zeros(epochs)}, folder / "checkpoint.safetensors")
    return folder


def run_folder(home: Path, config: dict, key: str) -> Path:
    """The folder of a run, named as :func:`dcmq.experiments.runs.run_folder` names it."""
    label = config.get("target") or config["method"]
    return home / "runs" / f"{label}-{config['student']['bits']}bits-seed{config['seed']}-{key}"


def write_report(home: Path, *keys: str) -> Path:
    """Write a report that refers to runs. Returns its record."""
    file = home / "reports" / "ablation_npc" / "scenes" / "record.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"notebook": "ablation_npc", "runs": [{"key": key} for key in keys]}))
    return file
