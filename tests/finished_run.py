"""What a finished run of DCMQ leaves, for a student that nobody trained."""

import json
from pathlib import Path

from dcmq.config import StudentConfig, TrainConfig
from dcmq.core.storage import save_tensors
from dcmq.data.words import LETTERS
from dcmq.experiments.run_files import CHECKPOINT, INPUTS, RECORD
from dcmq.methods.dcmq.student import make_student

STUDENT = StudentConfig(bits=32, subvector_dim=4, image_encoder="small_resnet", image_size=32, text_hidden=(8, 6))
CONFIG = TrainConfig(student=STUDENT)
VOCABULARY = ("red", "blue", "boat", "sea", "größe")


def write_finished_run(home: Path) -> Path:
    """Write the files of a run under ``home``, and return its folder."""
    folder = home / "runs" / "npc-32bits-seed0-0123456789abcdef"
    folder.mkdir(parents=True)
    student = make_student(CONFIG, len(VOCABULARY))
    weights = {f"model.{name}": value for name, value in student.state_dict().items()}
    save_tensors(folder / CHECKPOINT, weights, {"key": "0123456789abcdef"})
    (folder / RECORD).write_text(json.dumps({"config": CONFIG.model_dump(mode="json")}))
    inputs = {"vocabulary": VOCABULARY, "dataset_image_size": 40, "word_pattern": LETTERS}
    (folder / INPUTS).write_text(json.dumps(inputs))
    return folder
