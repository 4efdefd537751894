"""System-1, latent inverse dynamics: foresight, current view and state to a chunk (model.md; paper Sec. 3.3)."""

from typing import NamedTuple

import torch
from torch import nn

from dial_core.model.action_decoder import ActionDecoder, Modulation
from dial_core.model.attention import KeysValues
from dial_core.model.bridges import present_rows
from dial_core.model.configuration import Architecture
from dial_core.model.embodiment_slots import ActionEncoder, Slot, SlotMLP
from dial_core.model.flow_matching import embedding_time
from dial_core.model.fusion import Fusion


class Steering(NamedTuple):
    """What the time tau contributes: to the action encoder, and to the decoder's adaptive norms; B times."""

    time_part: torch.Tensor  # (B, 1, width)
    modulations: list[Modulation]


Schedule = list[Steering]
"""The steering of every Euler step, each a batch of one that broadcasts; its length is the number of steps."""


class System1(nn.Module):
    """Fusion and action decoder, with the per-embodiment encoders and head at its rim."""

    def __init__(self, arch: Architecture):
        super().__init__()
        slots, decoder = len(arch.embodiments), arch.decoder
        self.flow, self.horizon, self.bridge = arch.flow, arch.horizon, arch.bridge_rules
        self.foresight_tokens, self.view_part = arch.foresight_tokens, arch.view_part
        self.image_type = nn.Parameter(torch.empty(arch.image_types, arch.width))
        self.fusion = Fusion(arch.fusion)
        self.state_encoder = SlotMLP(slots, arch.state_dim, decoder.rim_width, decoder.width)
        self.action_encoder = ActionEncoder(slots, arch.action_dim, decoder.width)
        self.position = nn.Parameter(torch.empty(decoder.max_tokens, decoder.width))
        # Another encoder's tokens are brought to the width that every variant fuses at.
        self.view_projection = nn.Linear(arch.view_width, arch.width) if arch.view_encoder else None
        self.decoder = ActionDecoder(decoder, arch.width, padded=self.bridge.shows_words)
        self.action_head = SlotMLP(slots, decoder.output_width, decoder.rim_width, arch.action_dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The two tables; the sub-modules initialise themselves."""
        nn.init.normal_(self.image_type, std=0.02)
        nn.init.normal_(self.position, std=0.02)

    def condition(self, intent_BMD: torch.Tensor, *views_BNF: torch.Tensor) -> torch.Tensor:
        """Intent and the cameras' image features, as far as the bridge shows them, fused; DIAL: (B, (1 + cameras) N, D)."""
        condition = self.typed(intent_BMD, *views_BNF)
        return self.fusion(condition, present_rows(condition) if self.bridge.shows_words else None)

    def typed(self, intent_BMD: torch.Tensor, *views_BNF: torch.Tensor) -> torch.Tensor:
        """The condition before fusion: words, foresight, views, one after the other; images each plus its type row."""
        streams = self.bridge.split(intent_BMD, self.foresight_tokens)
        words = [streams.pop(0)] if self.bridge.shows_words else []
        images = dict(enumerate(streams))  # type row 0 is the foresight's
        if self.bridge.shows_view:
            images |= {i: view[..., self.view_part].to(self.image_type.dtype) for i, view in enumerate(views_BNF, 1)}
        if self.view_projection is not None:
            images = {i: self.view_projection(image) for i, image in images.items()}
        return torch.cat([*words, *(image + self.image_type[i] for i, image in images.items())], 1)

    def steering(self, tau_B: torch.Tensor, slot: Slot) -> Steering:
        """All that depends on tau (B,) and the embodiment alone."""
        time_B = embedding_time(self.flow, tau_B)
        return Steering(self.action_encoder.time_part(time_B, slot), self.decoder.modulations(time_B))

    @torch.no_grad()
    def schedule(self, steps: int, slot: Slot) -> Schedule:
        """What the fixed times of a sampler contribute: the same for every chunk, as long as the weights stay."""
        # Tensors made in inference mode could not be used by a sampler that needs gradients.
        with torch.inference_mode(False):
            times = embedding_time(self.flow, torch.arange(steps, device=self.position.device, dtype=torch.float32) / steps)
            modulations = self.decoder.modulations(times)
            return [
                Steering(self.action_encoder.time_part(time, slot), [(gain[k : k + 1], shift[k : k + 1]) for gain, shift in modulations])
                for k, time in enumerate(times.split(1))
            ]

    def velocity(
        self,
        cache: list[KeysValues | None],
        state_token_B1D: torch.Tensor,
        noisy_BHA: torch.Tensor,
        steering: Steering,
        slot: Slot,
    ) -> torch.Tensor:
        """Flow velocity (B, H, A) from the cached condition, the encoded state, noisy chunks and their times."""
        hidden = self.velocity_hidden(cache, state_token_B1D, noisy_BHA, steering, slot)
        return self.action_head(hidden[:, -noisy_BHA.shape[1] :], slot)

    def velocity_hidden(self, cache, state_token_B1D, noisy_BHA, steering: Steering, slot: Slot) -> torch.Tensor:
        """The decoder's output (B, 1 + H, output_width) before the action head."""
        actions = self.action_encoder(noisy_BHA, steering.time_part, slot) + self.position[: noisy_BHA.shape[1]]
        return self.decoder(torch.cat([state_token_B1D, actions], 1), steering.modulations, cache)

    def encode_state(self, state_BS: torch.Tensor, slot: Slot) -> torch.Tensor:
        """State (B, S), normalised, to its token (B, 1, width)."""
        return self.state_encoder(state_BS.unsqueeze(1), slot)

    def sample_chunk(
        self, fused_BMD: torch.Tensor, state_BS: torch.Tensor, noise_BHA: torch.Tensor, schedule: Schedule, slot: Slot
    ) -> torch.Tensor:
        """Euler from noise (tau = 0) to a normalised chunk (tau = 1), (B, H, A), in the noise's dtype.

        The condition's keys and values and the state's token are computed once.
        """
        cache = self.decoder.condition_cache(fused_BMD)
        state_token = self.encode_state(state_BS, slot)
        chunk_BHA = noise_BHA
        for steering in schedule:
            velocity_BHA = self.velocity(cache, state_token, chunk_BHA.to(fused_BMD.dtype), steering, slot)
            chunk_BHA = chunk_BHA + velocity_BHA / len(schedule)
        return chunk_BHA
