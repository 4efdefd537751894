import pytest
from pydantic import ValidationError

from dial_core.errors import DialError
from dial_core.model.configuration import DialConfig
from dial_core.model.tokenizer import tiny_tokenizer


def test_tiny_sizes_are_those_of_the_design():
    arch = DialConfig.from_preset("dial_tiny").arch
    assert (arch.foresight_tokens, arch.width, arch.horizon) == (36, 192, 16)
    assert (arch.state_dim, arch.action_dim) == (47, 47)


def test_tiny_special_tokens_are_those_of_its_tokenizer():
    arch, tokenizer = DialConfig.from_preset("dial_tiny").arch, tiny_tokenizer()
    names = {"pad": "<|endoftext|>", "image": "<|image_pad|>", "video": "<|video_pad|>"}
    names |= {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    assert arch.tokens.model_dump(exclude_none=True) == {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}
    assert len(tokenizer) <= arch.text.vocabulary


def test_paper_and_release_differ_in_tau_and_loss(make_architecture):
    paper, released = (make_architecture().following(source) for source in ("paper", "released"))
    assert (paper.flow.tau, paper.loss) == ("paper", "sum")
    assert (released.flow.tau, released.loss) == ("released", "mean")
    assert DialConfig(released).arch == released


def test_the_tiny_language_model_distinguishes_columns():
    """Qwen's own base and blocks leave the width axis below 2e-4 rad a column at this head width: blind to x."""
    text = DialConfig.from_preset("dial_tiny").arch.text
    head = text.width // text.heads
    axis_of_pair = [i % 3 for i, count in enumerate(text.rope_sections) for _ in range(count)]
    for axis in (1, 2):
        fastest = max(text.rope_theta ** (-2 * pair / head) for pair, known in enumerate(axis_of_pair) if known == axis)
        assert fastest > 0.1, "rad a row or column"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": {"height": 40, "width": 32}}, "multiple of patch_size"),
        ({"fusion": {"layers": 1, "heads": 3, "head_width": 16}}, "must be d = 32"),
        ({"horizon": 17}, "max_tokens"),
        ({"speed": 1}, "Extra inputs"),
    ],
)
def test_inconsistent_architectures_are_refused(make_architecture, change, message):
    with pytest.raises(ValidationError, match=message):
        make_architecture(**change)


def test_a_config_without_architecture_names_what_is_missing():
    with pytest.raises(DialError, match="key 'image' is missing"):
        _ = DialConfig().arch


def test_the_language_models_width_is_found_by_the_name_that_trainer_fills_deepspeeds_sizes_with():
    """Without it a launch with `config/deepspeed/zero3.json` ended before the first step."""
    assert DialConfig.from_preset("dial_tiny").hidden_size == 192
