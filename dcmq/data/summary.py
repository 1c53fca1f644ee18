"""A prepared folder in words."""

import json
from pathlib import Path

from dcmq.data.catalog import full_name, official_counts


def prepared_summary(folder: Path, about: dict) -> str:
    """The lines of text that say what a prepared folder holds: counts, choices, what was left out, split, fingerprint.

    Args:
        about: what its ``dataset.json`` says.
    """
    name = full_name(about["name"], about["population"])
    compared = about["counts_checked"] and name in official_counts()
    rows = {
        "data set": name,
        "folder": folder,
        "counts": ", ".join(f"{value:,} {what}" for what, value in about["counts"].items()),
        "": f"counts {'agree with the published ones' if compared else 'not compared with published ones'}",
        "left out": ", ".join(f"{value:,} {what}" for what, value in about["choices"]["dropped"].items()) or "nothing",
        "broken": ", ".join(about["left_out"]) or "none",
        "split": f"{about['split']} ({about['recipe']})",
        "fingerprint": about["fingerprint"],
        "choices": json.dumps({k: v for k, v in about["choices"].items() if k not in ("dropped", "content")}),
    }
    return "\n".join(f"{heading:<12} {value}" for heading, value in rows.items())
