"""The two encoders of a student as ONNX graphs, with the preprocessing that follows the squashed image inside."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dcmq.core.errors import DcmqError
from dcmq.methods.dcmq.student import Student
from dcmq.networks.hub import first_line

TOLERANCE = 1e-4  # largest difference to torch's embeddings, as a share of their largest number
_SAMPLES = 3  # that an exported graph is compared on


class Resize(nn.Module):
    """The resize of :func:`dcmq.data.resize.resize` as matrix products, on (n, side, side, 3) uint8.

    torch resizes uint8 by whole-number weights: along rows first, then along columns, and rounds each time. Other
    implementations round otherwise, Pillow's by up to two grey levels. Products in float64 hold these whole numbers
    exactly, so that the bytes are torch's.
    """

    def __init__(self, side: int, size: int):
        super().__init__()
        weights = _bilinear_weights(side, size)
        shift = _shift(weights.max())
        self.one = float(1 << shift)  # the weight 1
        self.register_buffer("weights", torch.from_numpy(np.floor(weights * self.one + 0.5)))

    def forward(self, images: Tensor) -> Tensor:
        """(n, size, size, 3) uint8."""
        rows = self._rounded(images.permute(0, 3, 1, 2).double() @ self.weights.T)
        return self._rounded(self.weights @ rows.double()).permute(0, 2, 3, 1)

    def _rounded(self, sums: Tensor) -> Tensor:
        return ((sums + self.one / 2) / self.one).to(torch.uint8)  # which cuts the fraction off


def _bilinear_weights(side: int, size: int) -> np.ndarray:
    """(size, side) float64: the share of each pixel of a row in each pixel of the resized row, with antialiasing."""
    scale = side / size
    support = max(scale, 1.0)
    centers = scale * (np.arange(size)[:, None] + 0.5)
    weights = np.maximum(0, 1 - np.abs(np.arange(side) + 0.5 - centers) / support)
    return weights / weights.sum(1, keepdims=True)


def _shift(largest: float) -> int:
    """The bits after the point of torch's weights: as many as let the ``largest`` fit into 16 bits, at most 22."""
    return next((bits for bits in range(22) if int(0.5 + largest * (1 << bits + 1)) >= 1 << 15), 22)


class ImageGraph(nn.Module):
    """Embeddings (n, D) float32 of (n, side, side, 3) uint8 images, squashed as the data set's were."""

    def __init__(self, student: Student, side: int):
        super().__init__()
        size = student.config.image_size
        self.student, self.resize = student, Resize(side, size) if side != size else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(n, D) float32."""
        return self.student.encode_images(self.resize(images))


class TextGraph(nn.Module):
    """Embeddings (n, D) float32 of (n, V) bags of words or (n, L) tokens."""

    def __init__(self, student: Student):
        super().__init__()
        self.student = student

    def forward(self, texts: Tensor) -> Tensor:
        """(n, D) float32."""
        return self.student.encode_texts(texts)


def require_onnx() -> None:
    """Raise DcmqError unless the packages that export are installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DcmqError(f"export: {error.name} is not installed: pip install 'dcmq[onnx]'") from None


def write_graph(path: Path, graph: nn.Module, samples: Tensor, name: str, encoder: str) -> None:
    """Write ``graph`` as ONNX, for any number of items at once, and compare its embeddings of ``samples`` with torch's.

    Args:
        samples: (n, ...) inputs. name: of the input. encoder: what messages call the network.

    Raises:
        DcmqError: torch cannot export the network, or the exported one gives other embeddings.
    """
    graph.eval()
    with torch.no_grad(), _quiet():
        expected = graph(samples).numpy()
        try:
            program = torch.onnx.export(
                graph,
                (samples[:2],),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("n")},),
                input_names=[name],
                output_names=["embeddings"],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise _refusal(encoder, error.__cause__ or error) from None
    program.save(path)
    try:
        embeddings = run_graph(path, name, samples.numpy())
    except Exception as error:  # onnxruntime's own kinds have no common one
        raise _refusal(encoder, error) from None
    difference = np.abs(embeddings - expected).max() / np.abs(expected).max()
    if not difference <= TOLERANCE:
        raise DcmqError(
            f"export: {encoder} as ONNX gives other embeddings than torch ({difference:.1e} of the largest number, "
            f"not {TOLERANCE:.0e}): this encoder cannot be exported"
        )


def _refusal(encoder: str, error: BaseException) -> DcmqError:
    return DcmqError(f"export: {encoder} cannot be written as ONNX ({first_line(error)})")


def run_graph(path: Path, name: str, inputs: np.ndarray) -> np.ndarray:
    """(n, D) float32: what onnxruntime makes of (n, ...) ``inputs`` by the graph in ``path``, on the processor."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {name: inputs})[0]


def to_int8(path: Path) -> None:
    """Replace the graph in ``path`` by one with weights of 8 bits, which rounds activations to 8 bits as they come.

    No images are needed to measure activations beforehand. Weights are unsigned: with signed ones, processors without
    VNNI cut sums off.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with _quiet():
        quant_pre_process(path, path)
        quantize_dynamic(path, path, weight_type=QuantType.QUInt8)


def image_samples(side: int) -> Tensor:
    """(3, side, side, 3) uint8: noise."""
    return torch.randint(0, 256, (_SAMPLES, side, side, 3), dtype=torch.uint8, generator=_generator())


def bag_samples(vocab_size: int) -> Tensor:
    """(3, V) float32 0/1."""
    return torch.randint(0, 2, (_SAMPLES, vocab_size), generator=_generator()).float()


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence of exporters, whose notes are for those who write models; what goes wrong is raised besides."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    nowhere = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(nowhere), redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
