"""Train the bundled backbone of the ``scenes`` data set, ``small_resnet``, to name the objects in generated images.

    python scripts/train_scenes_backbone.py

It stands in for ImageNet weights: the paper's student starts from a ResNet-18 that has learnt to classify other images. Its images
are drawn by the same generator and are in no sample of the benchmark, nor among a teacher's pairs; captions and tags it never sees.
"""

import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F

from dcmq.data.scenes.load import labelled_images
from dcmq.networks.bundled import OBJECTS, save_bundled
from dcmq.networks.inputs import resized_images
from dcmq.networks.pixels import IMAGENET
from dcmq.networks.small import small_resnet
from dcmq.training.batches import shifted

HELD_OUT = 2000
IMAGE_SIZE = 32  # that of the demo profile


def train(count: int, epochs: int, batch: int, learning_rate: float) -> None:
    """Train and write the weights into the package."""
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images, labels = labelled_images(count + HELD_OUT)
    images = torch.from_numpy(resized_images(images, IMAGE_SIZE))
    labels = torch.from_numpy(labels).float().to(device)
    start = time.time()
    backbone, features = small_resnet()
    model = nn.Sequential(backbone, nn.Linear(features, labels.shape[1])).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.05)
    steps = epochs * (count // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(0)
    for epoch in range(epochs):
        model.train()
        order, total = torch.randperm(count, generator=generator), 0.0
        for rows in order[: count // batch * batch].view(-1, batch):
            loss = F.binary_cross_entropy_with_logits(
                model(_inputs(shifted(images[rows], generator), device)), labels[rows]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * batch / count
        score = mean_average_precision(model, images[count:], labels[count:], device)
        print(f"epoch {epoch + 1}: loss {total:.3f}, held-out mAP {score:.3f}, {time.time() - start:.0f} s", flush=True)
    card = dict(
        images=count,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        image_size=IMAGE_SIZE,
        held_out_images=HELD_OUT,
        held_out_map=round(score, 4),
        seconds=round(time.time() - start),
        device=device.type,
    )
    print("wrote", save_bundled(OBJECTS, backbone, card), card)


def _inputs(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    mean, deviation = (torch.tensor(part, device=device).view(1, 3, 1, 1) for part in IMAGENET)
    return (images.to(device).permute(0, 3, 1, 2).float() / 255 - mean) / deviation


@torch.no_grad()
def mean_average_precision(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, device: torch.device) -> float:
    """The mean over classes of the average precision with which ``images`` (n, H, W, 3) are ranked by each class."""
    from sklearn.metrics import average_precision_score

    model.eval()
    logits = torch.cat([model(_inputs(part, device)) for part in images.split(500)])
    return float(average_precision_score(labels.cpu().numpy(), logits.cpu().numpy(), average="macro"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    options = parser.parse_args()
    train(options.images, options.epochs, options.batch, options.learning_rate)
