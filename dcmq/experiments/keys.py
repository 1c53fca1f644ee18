"""What identifies a run: settings, data, teacher, and the code that decides its result."""

from dcmq.config import RunConfig
from dcmq.core.code import fingerprint
from dcmq.core.hashing import digest
from dcmq.core.live import is_own, require_own
from dcmq.data.dataset import RetrievalDataset
from dcmq.methods.registry import METHODS
from dcmq.networks.encoders import IMAGE_ENCODERS
from dcmq.networks.pretrained import weights_fingerprint
from dcmq.teachers.base import TeacherEmbeddings

EVALUATION = "dcmq.retrieval.evaluate"  # the module that measures


def run_key(config: RunConfig, dataset: RetrievalDataset, teacher: TeacherEmbeddings) -> str:
    """Identifies a run, 16 hexadecimal digits: settings, data with split, teacher, and the code that decides what is learnt.

    Raises:
        DcmqError: a name in the settings is not registered, or code of the package is not what its files say.
    """
    settings = config.model_dump(mode="json")
    for weights in ("backbone_weights", "text_weights"):
        settings["student"][weights] = weights_fingerprint(settings["student"][weights])
    return digest(
        settings,
        dataset.fingerprint,
        dataset.image_code,
        teacher.fingerprint,
        teacher.code,
        training_fingerprint(config),
    )


def training_fingerprint(config: RunConfig) -> str:
    """Identifies the code that decides what a run learns: the method's, and a user's own parts that the settings name.

    Raises:
        DcmqError: as :func:`run_key`.
    """
    method = METHODS[config.method]
    require_own(*{method.origin.__module__, EVALUATION})
    own = _own_parts(config)
    return digest(method.fingerprint(), own) if own else method.fingerprint()


def uses_own_parts(config: RunConfig) -> bool:
    """Whether the settings name something that a user registered in this process."""
    return bool(_own_parts(config)) or not is_own(METHODS[config.method].origin)


def _own_parts(config: RunConfig) -> dict[str, str]:
    """Fingerprints of what a user registered, by the setting that names it."""
    parts = {
        name: registry.fingerprint(getattr(config, name))
        for name, registry in METHODS[config.method].named_parts.items()
    }
    encoder = config.student.image_encoder
    if encoder in IMAGE_ENCODERS:
        parts["image_encoder"] = IMAGE_ENCODERS.fingerprint(encoder)
    return {name: code for name, code in parts.items() if code}


def evaluation_fingerprint() -> str:
    """Identifies the code that decides what is measured of a run: where it changed, finished runs are measured again."""
    return fingerprint(EVALUATION)
