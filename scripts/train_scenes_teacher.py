"""Train the bundled teacher of the ``scenes`` data set on generated image-caption pairs, disjoint from the benchmark.

    python scripts/train_scenes_teacher.py clip        # logit scale fixed at CLIP's final 100: narrow similarities
    python scripts/train_scenes_teacher.py clip-wide   # logit scale learned from 1/0.07: wide similarities

It sees captions only, never a label. Zero-shot retrieval at the end is measured on held-out pairs of the same generator.
"""

import argparse
import math
import time

import torch
from open_clip.loss import ClipLoss

from dcmq.data.scenes.load import caption_pairs
from dcmq.data.scenes.wording import caption_words
from dcmq.networks.small_clip import WordTokenizer, build_model, preprocess, save_small_clip

HELD_OUT = 1000


def train(variant: str, pairs: int, epochs: int, batch: int, learning_rate: float, threads: int) -> None:
    """Train ``variant`` and write its weights into the package."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    start = time.time()
    images, captions = caption_pairs(seed=0, start=0, count=pairs + HELD_OUT)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = torch.from_numpy(images).to(device)
    tokenizer = WordTokenizer(caption_words())
    tokens = tokenizer(captions).to(device)
    print(f"{pairs} pairs drawn in {time.time() - start:.0f} s, {tokenizer.vocab_size} tokens", flush=True)

    model = build_model(tokenizer.vocab_size).to(device, memory_format=torch.channels_last)
    fixed = variant == "clip"
    model.logit_scale.data.fill_(math.log(100.0 if fixed else 1 / 0.07))
    model.logit_scale.requires_grad_(not fixed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.05, betas=(0.9, 0.98))
    steps = epochs * (pairs // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    loss_of = ClipLoss()

    for epoch in range(epochs):
        model.train()
        order, total = torch.randperm(pairs), 0.0
        for rows in order[: pairs // batch * batch].view(-1, batch):
            inputs = preprocess(images[rows]).contiguous(memory_format=torch.channels_last)
            loss = loss_of(*model(inputs, tokens[rows]))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=math.log(100.0))
            total += loss.item() * batch / pairs
        r1, r10 = recall(model, images[pairs:], tokens[pairs:])
        seconds = time.time() - start
        print(
            f"epoch {epoch + 1}: loss {total:.3f}, held-out text-to-image R@1 {r1:.3f} R@10 {r10:.3f}, {seconds:.0f} s",
            flush=True,
        )
        card = dict(
            variant=variant,
            pairs=pairs,
            epochs=epoch + 1,
            batch=batch,
            learning_rate=learning_rate,
            logit_scale=round(model.logit_scale.exp().item(), 2),
            held_out_pairs=HELD_OUT,
            text_to_image_recall_at_1=round(r1, 4),
            text_to_image_recall_at_10=round(r10, 4),
            seconds=round(seconds),
            device=device.type,
        )
    print("wrote", save_small_clip(variant, model, tokenizer, card), card)


@torch.no_grad()
def recall(model, images: torch.Tensor, tokens: torch.Tensor) -> tuple[float, float]:
    """Share of captions whose own image is first, and among the first ten, of the held-out images."""
    model.eval()
    image_vectors = torch.cat([model.encode_image(preprocess(part), normalize=True) for part in images.split(250)])
    text_vectors = torch.cat([model.encode_text(part, normalize=True) for part in tokens.split(250)])
    scores = text_vectors @ image_vectors.T
    rank = (scores > scores.diag()[:, None]).sum(1)
    return (rank < 1).float().mean().item(), (rank < 10).float().mean().item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variant", choices=("clip", "clip-wide"))
    parser.add_argument("--pairs", type=int, default=80_000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    train(options.variant, options.pairs, options.epochs, options.batch, options.learning_rate, options.threads)
