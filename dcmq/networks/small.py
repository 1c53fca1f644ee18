"""Small image encoders that train in seconds on a CPU (ours)."""

from torch import nn


def small_resnet() -> tuple[nn.Module, int]:
    """Two residual blocks, 48 and 96 channels, for images of about 32 pixels (ours), and the length 96 of its
    features."""
    from torchvision.models.resnet import BasicBlock  # takes seconds

    def block(narrow: int, wide: int) -> BasicBlock:
        skip = nn.Sequential(nn.Conv2d(narrow, wide, 1, 2, bias=False), nn.BatchNorm2d(wide))
        return BasicBlock(narrow, wide, 2, skip)

    layers = nn.Sequential(
        nn.Conv2d(3, 24, 5, 4, 2, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(inplace=True),
        block(24, 48),
        block(48, 96),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return layers, 96


def small_convnet() -> tuple[nn.Module, int]:
    """Three plain convolutions and a wide linear layer, AlexNet's manner without skips or batch statistics (ours), and
    the length 256 of its features."""
    layers = nn.Sequential(
        nn.Conv2d(3, 32, 5, 2, 2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, 1, 1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 96, 3, 1, 1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(96 * 4, 256),
        nn.ReLU(inplace=True),
    )
    return layers, 256


def small_vit(size: int) -> tuple[nn.Module, int]:
    """torchvision's vision transformer, 3 layers of 96 on patches an eighth of the image wide (ours), and the length 96
    of its features."""
    import torchvision  # takes seconds

    model = torchvision.models.VisionTransformer(
        image_size=size // 8 * 8, patch_size=size // 8, num_layers=3, num_heads=3, hidden_dim=96, mlp_dim=192
    )
    model.heads = nn.Identity()
    return model, 96
