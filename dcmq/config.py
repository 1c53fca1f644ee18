"""Validated settings of a run. Unknown keys are refused; every field says whether the paper states it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from dcmq.codes.bits import codebooks_for_bits
from dcmq.core.errors import DcmqError

Width = Annotated[int, Field(gt=0, le=65536)]  # of a layer


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EncodersConfig(_Settings):
    """The two encoders, which all methods share, and the length of the code that they end in."""

    bits: int = Field(64, gt=0, le=65536, description="per item; stated: 32, 64, 128, and 8, 16 in Table 6")
    image_encoder: str = Field(
        "resnet18", description="resnet18 is stated; Table 7 has others; see dcmq.networks.encoders"
    )
    backbone_weights: str = Field("", description="'' random, 'imagenet' (stated), or a state_dict file")
    frozen: Literal["", "layer3", "layer4"] = Field(
        "",
        description="ours: pretrained layers up to this one are not trained, and run once per image; '' trains all layers",
    )
    image_size: int = Field(224, ge=16, le=4096, description="pixels a side, unknown")
    text_encoder: str = Field(
        "mlp", description="mlp is stated; Fig. 7, 8: CLIP's transformer, here small_clip or open_clip:ARCH"
    )
    text_input: Literal["bow", "caption", "tags"] = Field("bow", description="what it reads; bow (stated) for mlp only")
    text_weights: str = Field("", description="'' random, a bundled teacher, an open_clip tag, or a checkpoint file")
    text_hidden: tuple[Width, Width] = Field((4096, 1024), description="widths of the MLP, unknown")

    def model_post_init(self, _context) -> None:
        """Refuse text that its encoder cannot read, and frozen layers that nobody trained."""
        if (self.text_encoder == "mlp") != (self.text_input == "bow"):
            raise DcmqError(
                f"text_input: {self.text_encoder} cannot read {self.text_input}; mlp reads bow, others caption or tags"
            )
        if self.frozen and (self.image_encoder != "resnet18" or not self.backbone_weights):
            raise DcmqError(
                f"frozen: {self.frozen} of random weights would teach nothing; give resnet18 backbone_weights"
            )


class StudentConfig(EncodersConfig):
    """DCMQ's student: the encoders and the quantizer behind them."""

    quantizer: str = Field("pqg", description="Eq. 2 to 5 (stated); straight_through (ours), or your own")
    num_codewords: int = Field(16, ge=2, le=65536, description="K, inferred")
    subvector_dim: int = Field(16, gt=0, le=65536, description="D / M, ours")
    codebook_scale: float = Field(1.0, gt=0, le=1e6, description="factor on the initial codewords, ours")
    tau_q: float = Field(0.2, ge=1e-6, le=1e6, description="soft assignment, inferred")
    tau_g: float = Field(1.0, ge=1e-6, le=1e6, description="Gumbel assignment, inferred")
    gumbel_weight: float = Field(
        1.0, ge=0, le=1e6, description="lambda; stated 1.0 (MIRFlickr, NUS-WIDE), 0.5 (MS COCO)"
    )
    gumbel_form: Literal["raw", "scaled"] = Field("raw", description="reading of Eq. 5")
    gumbel_on: Literal["both", "image", "text"] = Field("both", description="modalities that get noise; both is stated")
    codebooks: Literal["shared", "per-modality"] = Field(
        "shared", description="shared by images and texts is stated; a set for each is ours, and twice the codewords"
    )
    normalize_subvectors: bool = Field(False, description="ours: training cosine = mean of searched sub-cosines")

    def model_post_init(self, context) -> None:
        """Refuse bits that K cannot reach, and what the encoders refuse."""
        codebooks_for_bits(self.bits, self.num_codewords)
        super().model_post_init(context)

    @property
    def num_codebooks(self) -> int:
        """M, the number of codebooks."""
        return codebooks_for_bits(self.bits, self.num_codewords)


class RunConfig(_Settings):
    """Settings that a run of any method has: its encoders and its schedule."""

    method: str
    student: EncodersConfig
    epochs: int = Field(20, gt=0, le=10**6, description="stated")
    batch_size: int = Field(
        128,
        ge=3,
        le=10**6,
        description="of all processes together, inferred; of 2, one sample of an odd number would be left alone",
    )
    learning_rate: float = Field(
        3e-4, gt=0, le=10, description="Adam's, by which each weight moves in a step, inferred"
    )
    backbone_lr_factor: float = Field(
        1.0, gt=0, le=1e6, description="factor on the pretrained layers' learning rate, ours"
    )
    weight_decay: float = Field(0.0, ge=0, le=10, description="Adam's L2, ours; the author's public code has 1e-5")
    lr_schedule: Literal["step", "cosine", "flat_cosine"] = Field(
        "step",
        description="step, to a tenth at half time, is stated; cosine from the start, flat_cosine from half time on",
    )
    warmup_epochs: int = Field(0, ge=0, description="epochs in which the learning rate rises from 0, ours")
    augment: Literal["", "shift", "simclr"] = Field(
        "", description="of training images, ours: mirrored and shifted, or as SimCLR does; '' leaves them"
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field("32-true", description="encoders only")
    threads: int = Field(1, ge=1, le=1024, description="CPU threads of a run; part of the result's last bits")
    seed: int = Field(0, ge=0, lt=2**31, description="initial weights, order of samples, noise")

    def model_post_init(self, _context) -> None:
        """Refuse augmentation where layers see each image once, and a run that is all warm-up."""
        if self.augment and self.student.frozen:
            raise DcmqError("augment: frozen layers see each image once; choose augment or frozen, not both")
        if self.warmup_epochs >= self.epochs:
            raise DcmqError(
                f"warmup_epochs: {self.warmup_epochs} leave none of {self.epochs} epochs at the full learning rate"
            )

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases."""
        return self.epochs

    @property
    def label(self) -> str:
        """The run in a word, for the name of its folder."""
        return self.method

    def setting(self, name: str):
        """The value of the setting ``name``, of the run or of its student."""
        return getattr(self if name in type(self).model_fields else self.student, name)


class TrainConfig(RunConfig):
    """Everything that decides the result of a run of DCMQ, besides the data and the teacher."""

    method: Literal["DCMQ"] = "DCMQ"
    student: StudentConfig = StudentConfig()
    target: str = Field(
        "npc",
        description="npc is stated; raw, multihot, identity (rows of Table 3); affine, lifted, npc_multihot (ours), or your own",
    )
    teacher_text: str = Field(
        "labels",
        description="what the teacher reads: labels is stated; captions, tags, names and sums such as labels+tags are ours, "
        "see dcmq.teachers.texts",
    )
    train_on: Literal["train", "gallery"] = Field(
        "train", description="train is stated; gallery (ours): all of it, without its labels"
    )
    loss: str = Field(
        "distillation",
        description="Eq. 6 and 7 (stated); distillation_text, distillation_image, distillation_intra (ours), or your own",
    )
    npc_scope: Literal["batch", "row", "dataset"] = Field("batch", description="inferred")
    tau: float = Field(0.2, ge=1e-6, le=1e6, description="of targets and logits, inferred")
    tau_target: float | None = Field(None, ge=1e-6, le=1e6, description="of targets alone, ours; none: tau")
    schedule: Literal["joint", "separate"] = Field(
        "joint",
        description="joint is stated; separate (Table 8): the encoders first, then as many epochs the codebooks",
    )

    def model_post_init(self, context) -> None:
        """Refuse a teacher that reads labels of the whole gallery, and what every run refuses."""
        if self.train_on == "gallery" and "labels" in self.teacher_text.split("+"):
            raise DcmqError(
                f"train_on: nobody may know the gallery's labels, so teacher_text={self.teacher_text} cannot be read; choose "
                "names, captions or tags"
            )
        super().model_post_init(context)

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases."""
        return self.epochs * (2 if self.schedule == "separate" else 1)

    @property
    def label(self) -> str:
        """DCMQ's runs are told apart by their target."""
        return self.target


class MethodConfig(RunConfig):
    """A run of a compared method. ``options``: its own hyper-parameters, by the names its class lists."""

    student: EncodersConfig = EncodersConfig()
    options: dict[str, float] = {}
