"""DialModel: System-2 and System-1 in one set of weights, with the two training stages' losses."""

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from dial_core.errors import DialError
from dial_core.model.backbone import Backbone
from dial_core.model.configuration import STAGES, Architecture, DialConfig
from dial_core.model.embodiment_slots import Slot, SlotLinear
from dial_core.model.flow_matching import draw_tau, interpolate, masked_mean_square
from dial_core.model.step_views import encode_what_is_read, encoded_together
from dial_core.model.system1 import Schedule, System1
from dial_core.model.system2 import System2
from dial_core.model.view_encoder import DinoView
from dial_core.model.vision import build_vision_encoder

Part = Literal["whole", "system1", "system2"]
"""Of the model: all of it; the vision tower and System-1; or the backbone with the foresight queries and head."""
_LEFT_OUT: dict[Part, list[str]] = {"whole": [], "system1": [r"^system2\.(?!backbone\.visual\.)"], "system2": [r"^system1\."]}
"""Patterns of the tensors that do not belong to a part."""


@dataclass
class DialOutput(ModelOutput):
    """Of a training step: scalar losses."""

    loss: torch.Tensor | None = None
    world_loss: torch.Tensor | None = None
    action_loss: torch.Tensor | None = None


class DialModel(PreTrainedModel):
    """The policy. Vectors are normalised here; sessions convert to physical units."""

    config_class = DialConfig
    base_model_prefix = "dial"
    main_input_name = "image_tokens"
    supports_gradient_checkpointing = True  # of the language model's layers
    _supports_sdpa = True

    def __init__(self, config: DialConfig, part: Part = "whole"):
        """`part`: what is there: all, or only what the session of one system computes with."""
        super().__init__(config)
        self.arch: Architecture = config.arch
        self.system2 = System2(self.arch)
        self.system1 = System1(self.arch)
        self.vision = build_vision_encoder(self.arch)
        self.view_encoder = DinoView(self.arch) if self.arch.view_encoder else None
        self.part = part
        self._keys_to_ignore_on_load_unexpected = _LEFT_OUT[part]
        if part == "system1":
            self.system2.keep_vision_tower_only()
        elif part == "system2":
            del self.system1
        self.post_init()
        self._freeze()

    @classmethod
    def from_preset(cls, name: str, seed: int = 0) -> "DialModel":
        """A model of `config/models/<name>.yaml` with random weights, equal for equal seeds."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(DialConfig.from_preset(name))

    @classmethod
    def without_weights(cls, architecture: Architecture) -> "DialModel":
        """The model on the meta device: every tensor's name, shape and `requires_grad`, and no memory at any size."""
        with torch.device("meta"):
            return cls(DialConfig(architecture))

    @classmethod
    def from_pretrained(cls, *args, **kwargs) -> "DialModel":
        """As transformers, but in float32 unless `dtype` says otherwise, and strict.

        A second argument is the part of the model (`Part`): its own tensors are read and no others.

        Raises:
            DialError: tensors that are missing, unexpected or of another shape; the message lists them.
        """
        kwargs.setdefault("dtype", torch.float32)
        loaded: Any = super().from_pretrained(*args, **kwargs, output_loading_info=True, ignore_mismatched_sizes=True)
        model, report = loaded
        problems = [
            f"{kind}: {', '.join(sorted(str(key) for key in report[f'{kind}_keys']))}"
            for kind in ("missing", "unexpected", "mismatched")
            if report[f"{kind}_keys"]
        ]
        if problems:
            raise DialError(f"the weights in {args[0]} do not fit the model that its config.json describes. {'; '.join(problems)}")
        model._freeze()  # loading unfreezes everything
        return model

    def leaves_out(self, tensor: str) -> bool:
        """Whether a stored tensor of this name belongs to another part of the model."""
        return any(re.search(pattern, tensor) for pattern in _LEFT_OUT[self.part])

    def _freeze(self) -> None:
        if self.part == "whole":
            self.set_trainable("warmup")
        else:
            self.requires_grad_(False)

    @property
    def backbone(self) -> Backbone:
        """The vision-language model."""
        return cast("Backbone", self.system2.backbone)

    def get_input_embeddings(self) -> nn.Module:
        """The text embedding table, for what asks a transformers model for it (FSDP2)."""
        return self.backbone.get_input_embeddings()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.LayerNorm)):
            if module.weight is not None:  # adaptive norms have no weights
                module.reset_parameters()
        elif isinstance(module, (SlotLinear, System1, System2)):
            module.reset_parameters()

    def set_trainable(self, stage: str) -> None:
        """Chooses what learns: `pretrain` the backbone only; `warmup` and `end_to_end` all but ViT and text embedding.

        The bridge `frozen` keeps all of the backbone; DINOv2 never learns. What no loss of the stage reaches does not learn either:
        data-parallel training waits for the gradient of everything that does.

        Raises:
            DialError: unknown stage.
        """
        if stage not in STAGES:
            raise DialError(f"unknown stage '{stage}'; stages: {', '.join(STAGES)}")
        pretraining = stage == "pretrain"
        self.requires_grad_(not pretraining)
        self.backbone.let_learn(tower=pretraining, language=pretraining or self._language_learns(stage))
        self.system1.image_type.requires_grad_(not pretraining and self.arch.bridge_rules.shows_images)
        if self.system2.world_head is not None and self.system2.foresight_head is not None:  # then L_fm alone reaches this one
            self.system2.foresight_head.requires_grad_(stage == "end_to_end" and self.arch.bridge_rules.shows_foresight)
        if self.view_encoder is not None:
            self.view_encoder.requires_grad_(False)

    def _language_learns(self, stage: str) -> bool:
        """Whether a loss reaches the language model: in warmup only L_world does."""
        rules = self.arch.bridge_rules
        return rules.trains_language and (rules.predicts or stage == "end_to_end")

    def compile_blocks(self, compiled: bool = True) -> None:
        """Compiles the repeated blocks (vision, language model, fusion, decoder), each kind once for every shape that comes; or stops that.

        A block is small, so that compiling takes seconds, and whatever wraps the model (DDP, recomputation) stays outside of it.
        """
        for block in (*self.backbone.language_model.layers, *self.system1.fusion.blocks, *self.system1.decoder.blocks):
            if compiled:
                block.compile(dynamic=False)
            else:
                block._compiled_call_impl = None  # torch has no method for it
        self.vision.block = torch.compile(self.vision.plain_block, dynamic=False) if compiled else self.vision.plain_block

    def separate_world_head(self) -> None:
        """Gives L_world a copy of the foresight head, so that the one that feeds System-1 learns from L_fm alone."""
        self.system2.world_head = deepcopy(self.system2.foresight_head)
        self.arch = self.arch.model_copy(update={"separate_world_head": True})
        self.config.architecture = self.arch.model_dump(mode="json")

    @torch.no_grad()
    def encode_image(self, pixels_BHWC: torch.Tensor) -> torch.Tensor:
        """Enc_ViT: uint8 images (B, H, W, 3) to the merged tokens (B, N, D) that the language model receives.

        Where an image is more than that to the model, the rest follows in the last dimension: (B, N, F), `arch.feature_width`.
        """
        tokens = self.vision.tokens(self.backbone.visual, pixels_BHWC)
        return tokens if self.view_encoder is None else torch.cat([tokens, self.view_encoder(pixels_BHWC).to(tokens.dtype)], -1)

    def tokens_of(self, *views: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Image tokens (B, N, F) of views that may still be pixels (B, H, W, 3); all pixels in one call of the tower."""
        return encoded_together(self.encode_image, views)

    def vision_tokens(self, pixels_BHWC: torch.Tensor) -> torch.Tensor:
        """`encode_image` with gradients, for pretraining."""
        return self.vision.tokens(self.backbone.visual, pixels_BHWC)

    def foresight(self, image_tokens_BND: torch.Tensor, input_ids_BT: torch.Tensor, attention_mask_BT: torch.Tensor) -> torch.Tensor:
        """System-2: image tokens and left-padded prompts to the intent; DIAL: the foresight (B, N, D)."""
        return self.system2(image_tokens_BND, input_ids_BT, attention_mask_BT)

    def condition(self, intent_BMD: torch.Tensor, *views_BNF: torch.Tensor) -> torch.Tensor:
        """Intent and every camera's current view to the fused condition; DIAL: (B, (1 + cameras) N, D)."""
        return self.system1.condition(intent_BMD, *views_BNF)

    def velocity(
        self,
        fused_BMD: torch.Tensor,
        state_BS: torch.Tensor,
        noisy_BHA: torch.Tensor,
        tau_B: torch.Tensor,
        embodiment_id: Slot = 0,
    ) -> torch.Tensor:
        """Flow velocity (G, H, A) of noisy chunks at tau (G,) in [0, 1]; G / B of them, one after the other, share a condition and a state.

        What does not depend on the noise is computed once.
        """
        dtype = self.system1.position.dtype  # of the weights: actions and noise are mixed in their own, and rounded here at the most
        noisy_BHA, state_BS = noisy_BHA.to(dtype), state_BS.to(dtype)
        cache = self.system1.decoder.condition_cache(fused_BMD)
        state_token = self.system1.encode_state(state_BS, embodiment_id)
        if (draws := len(noisy_BHA) // len(state_BS)) > 1:
            cache = [keys_values and keys_values.repeated(draws) for keys_values in cache]
            state_token = state_token.repeat_interleave(draws, 0)
            embodiment_id = embodiment_id if isinstance(embodiment_id, int) else embodiment_id.repeat_interleave(draws)
        return self.system1.velocity(cache, state_token, noisy_BHA, self.system1.steering(tau_B, embodiment_id), embodiment_id)

    @torch.no_grad()
    def sample_chunk(
        self,
        fused_BMD: torch.Tensor,
        state_BS: torch.Tensor,
        noise_BHA: torch.Tensor,
        steps: int = 4,
        embodiment_id: Slot = 0,
        schedule: Schedule | None = None,
    ) -> torch.Tensor:
        """Normalised chunk (B, H, A) from noise by `steps` Euler steps (paper: 4).

        A caller of many chunks passes `system1.schedule(steps, embodiment_id)`, which it keeps.
        """
        schedule = schedule or self.system1.schedule(steps, embodiment_id)
        return self.system1.sample_chunk(fused_BMD, state_BS, noise_BHA, schedule, embodiment_id)

    def forward(
        self,
        stage: str,
        image_tokens: torch.Tensor,
        goal_tokens: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        state: torch.Tensor,
        action: torch.Tensor,
        action_mask: torch.Tensor,
        noise: torch.Tensor | None = None,
        tau: torch.Tensor | None = None,
        system1_image_tokens: torch.Tensor | None = None,
        further_image_tokens: torch.Tensor | None = None,
        embodiment_id: Slot = 0,
        action_elements: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
        padded: bool = True,
    ) -> DialOutput:
        """Losses of a training step (model.md, "Loss and stages").

        The columns of `TrainingBatch`, where they and their shapes are documented. `action_mask` may be any shape that broadcasts to the
        actions', and `embodiment_id` 0 where it is not given.

        Raises:
            DialError: unknown stage, or a prompt without exactly one image.
        """
        if stage not in ("warmup", "end_to_end"):
            raise DialError(f"unknown training stage '{stage}'; stages: warmup, end_to_end")
        further = () if further_image_tokens is None else further_image_tokens.unbind(1)
        seen = () if system1_image_tokens is None else (system1_image_tokens,)
        image_tokens, goal_tokens, views = encode_what_is_read(self, image_tokens, goal_tokens, seen, further)
        layout = None if positions is None else self.system2.layout_at(positions, attention_mask, padded)
        intent, world_loss = self._think(stage, image_tokens, goal_tokens, input_ids, attention_mask, layout)
        intent = intent.repeat_interleave(len(views[0]) // len(intent), 0)
        noise = torch.randn_like(action) if noise is None else noise
        tau = draw_tau(self.arch.flow, len(action), action.device) if tau is None else tau
        fused = self.condition(intent, *views)
        if (draws := len(noise) // len(action)) > 1:
            action, action_mask = (column.repeat_interleave(draws, 0) for column in (action, action_mask.expand_as(action)))
            action_elements = None if action_elements is None else draws * action_elements
        velocity = self.velocity(fused, state, interpolate(action, noise, tau), tau, embodiment_id)
        action_loss = masked_mean_square(velocity.float() - (action - noise).float(), action_mask, action_elements)

        loss = action_loss if world_loss is None else world_loss + action_loss
        if world_loss is not None and self.arch.loss == "mean":
            loss = loss / 2
        return DialOutput(loss=loss, world_loss=world_loss, action_loss=action_loss)

    def _think(self, stage, image_tokens, goal_tokens, input_ids, attention_mask, layout):
        """System-2's part of a training step: the intent (B, M, D) and L_world, None without queries.

        In warmup the stages of the policy are decoupled: the true goal stands for the foresight, and no gradient of the
        action loss enters System-2 through the words.
        """
        words, states = self.system2.outputs(image_tokens, input_ids, attention_mask, self.system2.queries, layout)
        if words is not None and stage == "warmup":
            words = words.detach()
        if states is None:
            return self.arch.bridge_rules.message(words, None), None
        foresight, judged = self.system2.both_heads(states)
        goal = goal_tokens[..., self.arch.view_part]
        shown = goal.to(judged.dtype) if stage == "warmup" else foresight
        # Losses are float32 whatever the weights are.
        return self.arch.bridge_rules.message(words, shown), F.mse_loss(judged.float(), goal.float())
