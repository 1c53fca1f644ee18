"""Keys that identify runs: settings, data, teacher, and the code that decides its result."""

from dcmq.config import RunConfig
from dcmq.core.code import fingerprint
from dcmq.core.hashing import digest
from dcmq.core.live import require_own
from dcmq.core.user_code import code_fingerprint, source_fingerprint
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
    data, taught = (dataset.fingerprint, dataset.image_code), (teacher.fingerprint, teacher.code)
    return key_of(settings, data, taught, training_fingerprint(config))


def key_of(settings: dict, data: tuple[str, str], teacher: tuple[str, str], code: str) -> str:
    """The key of a run by its parts.

    Args:
        settings: all of them, with fingerprints in the place of weights.
        data: fingerprints of the data set, and of the code that made its images.
        teacher: fingerprints of the teacher, and of the code that made its embeddings.
        code: as :func:`training_fingerprint` gives it.
    """
    return digest(settings, *data, *teacher, code)


def training_fingerprint(config: RunConfig) -> str:
    """Identifies the code that decides what a run learns: the method's, and a user's own parts that the settings name.

    Raises:
        DcmqError: as :func:`run_key`.
    """
    method, own = METHODS[config.method], _own_parts(config)
    require_own(EVALUATION)
    code = code_fingerprint(method.origin)
    if not METHODS.is_own(config.method):
        options = repr(sorted(method.options.items()))
        code = digest(code, code_fingerprint(method.fit), code_fingerprint(method.settings_type), options)
    return digest(code, own) if own else code


def evaluation_fingerprint() -> str:
    """Identifies the code that decides what is measured of a run: where it changed, finished runs are measured again."""
    return fingerprint(EVALUATION)


def _own_parts(config: RunConfig) -> dict[str, str]:
    """Fingerprints of what a user registered, by the setting that names it."""
    named = {
        setting: (registry, config.setting(setting)) for setting, registry in METHODS[config.method].named_parts.items()
    }
    if config.student.image_encoder in IMAGE_ENCODERS:  # else timm's or open_clip's
        named["image_encoder"] = (IMAGE_ENCODERS, config.student.image_encoder)
    return {
        setting: source_fingerprint(registry[name])
        for setting, (registry, name) in named.items()
        if not registry.is_own(name)
    }
