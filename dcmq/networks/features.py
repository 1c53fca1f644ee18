"""Embeddings and features that a network computes of a data set."""

import numpy as np
import torch
from torch import Tensor

from dcmq.data.dataset import RetrievalDataset
from dcmq.networks.dual_encoder import DualEncoder
from dcmq.networks.inputs import image_inputs, text_inputs


@torch.no_grad()
def embed(network: DualEncoder, dataset: RetrievalDataset, rows: np.ndarray, batch: int = 256) -> tuple[Tensor, Tensor]:
    """Image and text embeddings of ``rows``, each (len(rows), D) float32, in evaluation mode."""
    network.eval()
    device = network.mean.device
    images, texts = image_inputs(network, dataset), text_inputs(network, dataset)
    image_embeddings, text_embeddings = [], []
    for part in _parts(rows, batch):
        image_embeddings.append(network.encode_images(torch.from_numpy(images[part]).to(device)).cpu())
        text_embeddings.append(network.encode_texts(texts(part).to(device)).cpu())
    return torch.cat(image_embeddings), torch.cat(text_embeddings)


@torch.no_grad()
def image_features(network: DualEncoder, dataset: RetrievalDataset, batch: int = 256) -> Tensor:
    """(n, F) float32 of all images: what the image encoder computes before its last layer, in evaluation mode."""
    network.eval()
    device, images = network.mean.device, image_inputs(network, dataset)
    parts = _parts(np.arange(len(dataset.ids)), batch)
    return torch.cat([network.image_features(torch.from_numpy(images[p]).to(device)).cpu() for p in parts])


def _parts(rows: np.ndarray, batch: int) -> list[np.ndarray]:
    return np.array_split(rows, max(1, -(-len(rows) // batch)))
