"""The architecture as typed data, and its transformers wrapping."""

from typing import Literal, Self

from pydantic import Field, model_validator
from transformers import PretrainedConfig

from dial_core.config import Config, load_config, validate
from dial_core.model.bridges import BRIDGES, Bridge

STAGES = ("pretrain", "warmup", "end_to_end")


class ImageSize(Config):
    """What the vision tower sees [px]."""

    height: int
    width: int


class VisionTower(Config):
    """The backbone's vision tower, with its patch merger.

    In Qwen2.5-VL a block whose index is not in `full_attention_blocks` attends inside windows. In Qwen3-VL all attend to all,
    positions are learned in addition, and the features after `deepstack_layers` go to the first language layers.
    """

    layers: int
    width: int
    ffn_width: int
    heads: int
    patch_size: int  # [px]
    merge: int = 2  # patches an axis that the merger joins into one token
    window_size: int = 112  # [px]
    full_attention_blocks: tuple[int, ...] = ()
    deepstack_layers: tuple[int, ...] = ()
    position_rows: int = 2304  # of the learned position table, a square grid


class TextModel(Config):
    """The backbone's language model; its width is the width of the merged image tokens and of the foresight."""

    vocabulary: int
    layers: int
    width: int
    ffn_width: int
    heads: int
    kv_heads: int
    head_width: int | None = None  # width / heads where absent; Qwen3-VL's own
    rope_theta: float = 1e6
    rope_sections: tuple[int, ...]  # rotary pairs for time, height, width, time, ...; their sum is half a head
    norm_eps: float = 1e-6
    max_positions: int = 32768


class SpecialTokens(Config):
    """Vocabulary rows with a meaning of their own."""

    pad: int
    image: int
    video: int
    vision_start: int
    vision_end: int
    query: int | None = None  # first of the N rows that are the queries in the authors' release; None: they follow the last row


class AttentionStack(Config):
    """A stack of attention blocks; heads * head_width is its width."""

    layers: int
    heads: int
    head_width: int
    dropout: float = Field(0.2, ge=0, lt=1)
    # The release's blocks drop the output of attention twice, once in the attention and once after it: 0.36 in all instead of 0.2.
    drops_attention_twice: bool = False

    @property
    def width(self) -> int:
        """Width of the stack's tokens."""
        return self.heads * self.head_width


class Decoder(AttentionStack):
    """The action decoder and the small networks at its rim."""

    output_width: int  # between decoder and action head
    rim_width: int  # hidden width of state encoder and action head
    max_tokens: int = 1024  # rows of the learned position embedding


class Flow(Config):
    """How tau is drawn in training, and how it is embedded (model.md, System-1, 5)."""

    tau: Literal["paper", "released"]
    beta_alpha: float = 1.5
    beta_beta: float = 1.0
    beta_scale: float = 0.999
    buckets: int = 1000


class ViewEncoder(Config):
    """DINOv2, a second vision tower (bridge `dino`); its patches are averaged to the grid of the backbone's tokens."""

    pretrained: str | None = None  # hub name of its own weights
    layers: int
    width: int
    heads: int
    patch_size: int  # [px]
    pretrained_size: int = 518  # [px] side of the images that its position table is for


class Architecture(Config):
    """Everything that fixes the tensors of a DIAL model. Widths: model.md, "Symbols and shapes"."""

    bridge: Literal["dial", "dino", "frozen", "finetuned", "flare", "seer", "seer_ev"] = "dial"  # model/bridges.py
    view_encoder: ViewEncoder | None = None  # of the bridge `dino`
    prompt_tokens: int = 128  # rows for the words at run time, image included, if the bridge shows them
    backbone: Literal["qwen2_5_vl", "qwen3_vl"] = "qwen2_5_vl"
    pretrained: str | None = None  # hub name of the backbone's own weights
    image: ImageSize
    vision: VisionTower
    text: TextModel
    tokens: SpecialTokens
    fusion: AttentionStack
    decoder: Decoder
    flow: Flow
    loss: Literal["sum", "mean"] = "sum"  # of L_world and L_fm: the paper sums, the release takes the mean
    # A foresight head of its own for L_world, a copy of the other: never (False), made when a recipe's last stage begins, as in the
    # release (`last_stage`), or there already (True).
    separate_world_head: Literal[False, "last_stage", True] = False
    # Rotary positions of the foresight queries: after the text, as in the release, or query i at the image's token i (docs/model.md).
    query_positions: Literal["text", "image"] = "text"
    image_types: int = 3  # rows of the image-type table: foresight, then one a camera
    horizon: int
    state_dim: int
    action_dim: int
    embodiments: tuple[str, ...]  # one slot of state encoder, action encoder and action head each

    @property
    def patch_grid(self) -> tuple[int, int]:
        """Rows and columns of vision patches."""
        return self.image.height // self.vision.patch_size, self.image.width // self.vision.patch_size

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of merged tokens."""
        rows, columns = self.patch_grid
        return rows // self.vision.merge, columns // self.vision.merge

    @property
    def foresight_tokens(self) -> int:
        """N: merged tokens of one image, and as many foresight queries."""
        rows, columns = self.token_grid
        return rows * columns

    @property
    def width(self) -> int:
        """d: width of image tokens and foresight."""
        return self.text.width

    @property
    def bridge_rules(self) -> Bridge:
        """What crosses from System-2 to System-1."""
        return BRIDGES[self.bridge]

    @property
    def view_width(self) -> int:
        """Width of the space in which foresight, goal and System-1's views lie: d, or that of the second vision tower."""
        return self.view_encoder.width if self.view_encoder else self.width

    @property
    def backbone_width(self) -> int:
        """Width of the backbone's features of an image, token by token: merged tokens, then what goes to layers in between."""
        return self.width * (1 + len(self.vision.deepstack_layers))

    @property
    def feature_width(self) -> int:
        """F: all that an image is to the model, token by token: the backbone's features, then a second tower's tokens."""
        return self.backbone_width + (self.view_encoder.width if self.view_encoder else 0)

    @property
    def view_part(self) -> slice:
        """Where in an image's features foresight, goal and System-1's views lie."""
        return slice(self.backbone_width, self.feature_width) if self.view_encoder else slice(0, self.width)

    @property
    def intent_shape(self) -> tuple[int, int]:
        """Rows and width of what travels from System-2 to System-1; DIAL: (N, d)."""
        rules = self.bridge_rules
        rows = (self.prompt_tokens if rules.shows_words else 0) + (self.foresight_tokens if rules.shows_foresight else 0)
        return rows, self.view_width

    def following(self, source: Literal["paper", "released"]) -> Self:
        """The same tensors, trained as the paper (uniform tau, summed losses) or the public release has it (Beta, mean)."""
        loss = {"paper": "sum", "released": "mean"}[source]
        return self.model_copy(update={"flow": self.flow.model_copy(update={"tau": source}), "loss": loss})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unit = self.vision.patch_size * self.vision.merge
        if self.image.height % unit or self.image.width % unit:
            raise ValueError(f"image {self.image.height}x{self.image.width} px must be a multiple of patch_size * merge = {unit} px")
        if self.text.width % self.text.heads or self.text.heads % self.text.kv_heads:
            raise ValueError(
                f"text: heads ({self.text.heads}) must divide width ({self.text.width}) and be a multiple of "
                f"kv_heads ({self.text.kv_heads})"
            )
        qwen3 = self.backbone == "qwen3_vl"
        if (self.text.head_width is not None) != qwen3 or (self.vision.deepstack_layers and not qwen3):
            raise ValueError(f"backbone '{self.backbone}': qwen3_vl needs text.head_width; that and vision.deepstack_layers are its own")
        half_head = (self.text.head_width or self.text.width // self.text.heads) // 2
        if sum(self.text.rope_sections) != half_head:
            raise ValueError(f"text.rope_sections {self.text.rope_sections} must add up to half a head ({half_head})")
        if self.fusion.width != self.width:
            raise ValueError(f"fusion is {self.fusion.width} wide (heads * head_width), must be d = {self.width}")
        if (self.bridge == "dino") != (self.view_encoder is not None):
            raise ValueError(f"bridge '{self.bridge}': a view_encoder belongs to the bridge 'dino', and only to that")
        if self.view_encoder and any(
            pixels % (tokens * self.view_encoder.patch_size)
            for pixels, tokens in zip((self.image.height, self.image.width), self.token_grid, strict=True)
        ):
            raise ValueError(f"view_encoder.patch_size ({self.view_encoder.patch_size} px) must divide the pixels of one token")
        if self.bridge_rules.shows_words and self.prompt_tokens <= self.foresight_tokens:
            raise ValueError(f"bridge '{self.bridge}' needs prompt_tokens above the {self.foresight_tokens} of the image")
        if self.separate_world_head and not self.bridge_rules.predicts:
            raise ValueError(f"bridge '{self.bridge}' has no world loss, so no separate_world_head")
        if self.decoder.max_tokens < self.horizon:
            raise ValueError(f"decoder.max_tokens ({self.decoder.max_tokens}) is below horizon ({self.horizon})")
        return self


class DialConfig(PretrainedConfig):
    """transformers' face of an `Architecture`: written to and read from `config.json`."""

    model_type = "dial"

    def __init__(self, architecture: Architecture | dict | None = None, **kwargs):
        if isinstance(architecture, Architecture):
            architecture = architecture.model_dump(mode="json")
        self.architecture = architecture
        super().__init__(**kwargs)

    @classmethod
    def from_preset(cls, name: str) -> "DialConfig":
        """The configuration of `config/models/<name>.yaml`."""
        return cls(load_config(Architecture, "models", name))

    @property
    def arch(self) -> Architecture:
        """The validated architecture.

        Raises:
            DialError: a missing, unknown or inconsistent value; the message names the key.
        """
        return validate(Architecture, self.architecture or {}, source="architecture in config.json")

    @property
    def hidden_size(self) -> int:
        """Width of the language model, by which Trainer fills in the `auto` sizes of a DeepSpeed configuration."""
        return self.arch.width
