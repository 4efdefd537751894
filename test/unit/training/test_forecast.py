import io
import json

import pytest
from rich.console import Console

from dial_core.config import config_root, load_config
from dial_core.errors import DialError
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.training.forecast import forecast, parameter_counts
from dial_core.training.memory import RESERVE_GIB, frozen_bytes, memory_of, require_room
from dial_core.training.optimisation import Hardware, Optimisation
from dial_core.training.recipe import Recipe, SeenCamera
from dial_core.training.stages import check_stages

GIB = 2.0**30
PLAN = Optimisation(steps=1, batch_size=8, learning_rate=1e-4, bf16=True, gradient_checkpointing=True)


@pytest.fixture(scope="module")
def full_size() -> DialModel:
    model = DialModel.without_weights(DialConfig.from_preset("qwen2_5_vl_3b").arch)
    model.set_trainable("end_to_end")
    return model


def test_a_run_that_does_not_fit_is_described_to_the_end_before_it_is_refused():
    out = io.StringIO()
    recipe, console = load_config(Recipe, "training", "released_few_shot"), Console(file=out, width=160, force_terminal=False)
    with pytest.raises(DialError, match="more than 80 GiB; `--strategy ddp --micro-batch 64` does"):
        forecast(recipe, None, {}, Hardware(), 1, "ddp", console, 80.0)
    assert "stage 2 of 2" in out.getvalue()
    assert "system2.world_head" in out.getvalue()


def forecast_of(recipe: str, folders=None, hardware=None, gpus=1, strategy="ddp", **changes) -> str:
    out = io.StringIO()
    console = Console(file=out, width=160, force_terminal=False)
    forecast(
        load_config(Recipe, "training", recipe).model_copy(update=changes),
        None,
        folders or {},
        hardware or Hardware(),
        gpus,
        strategy,
        console,
    )
    return out.getvalue()


def test_more_cameras_than_the_model_tells_apart_are_refused_before_anything_is_made():
    cameras = tuple(SeenCamera(name=name) for name in ("ego", "left", "right"))
    message = r"`cameras` names 3 \(ego, left, right\), the model has room for 2; leave some out"
    with pytest.raises(DialError, match=message):
        forecast_of("dial_tiny", model="dial_tiny", cameras=cameras)
    recipe = load_config(Recipe, "training", "dial_tiny", ["model=dial_tiny"])
    with pytest.raises(DialError, match=message):
        check_stages(recipe.model_copy(update={"cameras": cameras}), None, Hardware(), 1)
    check_stages(recipe.model_copy(update={"cameras": cameras[:2]}), None, Hardware(), 1)


def test_a_dry_run_of_the_full_size_needs_neither_weights_nor_data():
    text = forecast_of("human", gpus=8, strategy="fsdp2")
    for line in (
        "system2.backbone.visual",
        "668.7 M",
        "2,774.8 M",
        "256 = 8 GPUs x 1 micro-batches x 32",
        "stage 3 of 3: robot_only",
        "50.0%",
    ):
        assert line in text


def test_a_dry_run_of_the_real_robot_counts_the_wider_vectors_of_iron():
    text = forecast_of("real_robot", gpus=8, strategy="fsdp2")
    for line in ("4,526.4 M", "80,000", "51.6%", "stage 3 of 3: task"):
        assert line in text


def test_the_authors_run_is_described_number_by_number():
    """Every line that their code and configuration decide: see "The release at training time" in docs/model.md."""
    text = " ".join(forecast_of("released_few_shot", hardware=Hardware(micro_batch=32), gpus=8).split())
    for line in (
        "ours, or that of the start: left and right wrist in the frame of the base, left_arm, right_arm, left_hand, right_hand, waist",
        "(L_world + L_fm) / 2",
        "(0.999 - s) / 0.999, s ~ Beta(1.5, 1.0), embedded in 1000 buckets",
        "fusion 0.2 (attention twice), decoder 0.2 (attention twice)",
        "one; in the last stage L_world trains a copy",
        "state 128 wide, sin_cos; action 128 wide; mean_std",
        "gr1 (24) of 32",
        "crop 0.95 (always; the central one at run time), brightness 0.3, contrast 0.4, saturation 0.5, hue 0.08",
        "rows 17% to 83%, columns 0% to 100%; fit stretch",
        "256 = 8 GPUs x 1 micro-batches x 32; 1 chunks a sample",
        "all 1.0e-04; warmup 5%, then cosine",
        "0.95, 0.999; 1e-05; 1.0",
        "AdamW, eps 1e-8",
        "stage 1 of 2: warmup",
        "stage 2 of 2: end_to_end",
        "by frames",
        "224x224 px, N = 64",
        "source robot │ slot gr1; all dimensions; 20 Hz, 16 steps are 0.80 s",
    ):
        assert line in text, line
    assert text.count("steps │ 20,000 │") == 2


def test_people_in_the_authors_run_keep_their_rate_and_their_view():
    text = " ".join(forecast_of("released_human", hardware=Hardware(micro_batch=32), gpus=8).replace("│", " ").split())
    turned = "wrist axes left x, -y, -z and right -x, -y, z"
    view = "rows 30% to 100%, columns 0% to 100%; fit stretch"
    assert f"slot gr1; wrists only; 30 Hz, 16 steps are 0.53 s; {turned}; {view}" in text


def test_a_dry_run_on_data_counts_it_and_warns(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset")
    text = forecast_of("few_shot", {"robot": dataset.folder}, Hardware(micro_batch=16), gpus=2)
    assert "256 = 2 GPUs x 8 micro-batches x 16" in text
    assert "74" in text  # frames
    assert "hardly move" in text  # the idle left arm


def test_the_counts_tell_trainable_from_frozen(full_size):
    counts = parameter_counts(full_size)
    assert counts["system2.backbone.visual"][1] == 0
    assert counts["system2.backbone.language_model.embed_tokens"][1] == 0
    assert counts["system2.backbone.language_model"][0] == counts["system2.backbone.language_model"][1]
    assert sum(total for total, _ in counts.values()) == sum(p.numel() for p in full_size.parameters())


def test_memory_is_what_the_strategy_spreads(full_size):
    def gib(gpus: int, strategy: str) -> float:
        return memory_of(full_size, full_size.arch, PLAN, 8, gpus, strategy).total / GIB

    # What learns: weights, gradient and two moments in float32, and a bf16 copy. What is frozen: bf16.
    assert gib(1, "ddp") == pytest.approx((18 * 3.547e9 + 2 * 0.980e9) / GIB, rel=0.02)
    assert gib(8, "ddp") == gib(1, "ddp")
    assert gib(8, "zero3") < gib(8, "zero2") < gib(8, "fsdp2") < gib(8, "ddp")
    assert gib(64, "fsdp2") < gib(8, "fsdp2") < 40
    with pytest.raises(DialError, match="unknown strategy 'magic'; strategies: ddp, fsdp2, zero2, zero3"):
        gib(8, "magic")


def test_deepspeeds_buckets_are_those_of_its_configuration(full_size):
    def buckets(strategy: str) -> float:
        return memory_of(full_size, full_size.arch, PLAN, 8, 8, strategy).temporaries

    zero2, zero3 = (
        json.loads((config_root() / f"deepspeed/{strategy}.json").read_text())["zero_optimization"] for strategy in ("zero2", "zero3")
    )
    assert buckets("zero2") == 2 * (zero2["reduce_bucket_size"] + zero2["allgather_bucket_size"])
    assert {zero3["reduce_bucket_size"], zero3["stage3_prefetch_bucket_size"]} == {"auto"}
    assert "allgather_bucket_size" not in zero3
    assert buckets("zero3") == pytest.approx(2 * 1.9 * 2048**2)  # width^2, and 0.9 of it to prefetch


def test_what_recomputation_starts_from_is_float32_under_autocast_and_bfloat16_under_deepspeed(full_size):
    def stream(strategy: str) -> float:
        """Of the 36 layers' inputs: what one layer more adds."""
        arch = full_size.arch
        deeper = arch.model_copy(update={"text": arch.text.model_copy(update={"layers": arch.text.layers + 1})})
        one, other = (memory_of(full_size, sizes, PLAN, 8, 8, strategy).activations for sizes in (arch, deeper))
        return other - one

    numbers = 8 * (2 * 64 + 30) * 2048
    assert {strategy: stream(strategy) / numbers for strategy in ("ddp", "fsdp2", "zero2", "zero3")} == {
        "ddp": 4,
        "fsdp2": 4,
        "zero2": 2,
        "zero3": 2,
    }


def test_the_vision_pass_is_counted_where_it_is_the_largest(full_size):
    arch = full_size.arch
    memory = memory_of(full_size, arch, PLAN, 8, 1, "ddp")
    assert memory.vision > 8 * 2 * 256 * 1280 * 2 * 4  # two residual streams of 256 patches, of two images a sample
    wide = arch.model_copy(update={"vision": arch.vision.model_copy(update={"ffn_width": 100 * arch.vision.ffn_width})})
    widest = memory_of(full_size, wide, PLAN, 8, 1, "ddp")
    assert memory.total < widest.total == pytest.approx(memory.total - memory.activations + widest.vision)


def test_a_step_that_leaves_the_libraries_no_room_is_refused(full_size):
    needed = memory_of(full_size, full_size.arch, PLAN, 8, 1, "ddp").total / GIB
    require_room(full_size, full_size.arch, PLAN, 8, 1, "ddp", needed + RESERVE_GIB + 0.01)
    with pytest.raises(DialError, match="reserved for the libraries"):
        require_room(full_size, full_size.arch, PLAN, 8, 1, "ddp", needed + RESERVE_GIB - 0.01)


def test_each_pass_of_the_decoder_leaves_its_activations(full_size):
    once, twice, four = (memory_of(full_size, full_size.arch, PLAN, 8, 1, "ddp", passes).activations for passes in (1, 2, 4))
    assert once < twice
    assert four - once == pytest.approx(3 * (twice - once))


def test_frozen_weights_count_half_where_they_are_published_in_bfloat16(full_size):
    frozen = 979.8e6
    assert frozen_bytes(full_size, full_size.arch, PLAN) == pytest.approx(2 * frozen, rel=1e-3)
    assert frozen_bytes(full_size, full_size.arch, PLAN.model_copy(update={"bf16": False})) == pytest.approx(4 * frozen, rel=1e-3)
    tiny = DialModel.without_weights(DialConfig.from_preset("dial_tiny").arch)
    elements = sum(parameter.numel() for parameter in tiny.parameters() if not parameter.requires_grad)
    assert frozen_bytes(tiny, tiny.arch, PLAN) == 4 * elements


def test_a_step_that_does_not_fit_is_refused_with_the_next_way_that_does(full_size):
    arch = full_size.arch
    require_room(full_size, arch, PLAN, 8, 1, "ddp", 80)
    with pytest.raises(DialError, match=r"more than 80 GiB; `--strategy ddp --micro-batch 128` does"):
        require_room(full_size, arch, PLAN, 256, 1, "ddp", 80)
    with pytest.raises(DialError, match=r"`--strategy (zero2|fsdp2) --micro-batch 8` does"):
        require_room(full_size, arch, PLAN, 8, 8, "ddp", 48)
    with pytest.raises(DialError, match="nothing does on so few GPUs"):
        require_room(full_size, arch, PLAN, 8, 1, "ddp", 24)


@pytest.mark.parametrize("path", sorted((config_root() / "accelerate").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_launch_configuration_is_one_that_accelerate_reads(path):
    from accelerate.commands.config.config_args import load_config_from_file

    read = load_config_from_file(str(path))
    gpus = 1 if path.stem == "one_gpu" else int(path.stem.rsplit("_", 1)[1])
    assert read.num_processes == gpus
    assert read.num_machines == max(1, gpus // 8)
    if "zero" in path.stem:
        assert (config_root().parent / read.deepspeed_config["deepspeed_config_file"]).is_file()


def test_a_dry_run_of_muon_says_so_counts_one_moment_of_a_matrix_and_refuses_shards(full_size):
    shown = " ".join(forecast_of("dial_tiny", model="dial_tiny").split())
    assert "Muon for matrices, AdamW for the rest" in shown
    assert "all 5.0e-04, system2.backbone 1.0e-04; 15 times as much for matrices; warmup 5%" in shown
    muon = PLAN.model_copy(update={"optimiser": "muon"})
    arch = DialConfig.from_preset("qwen2_5_vl_3b").arch
    adamw_bytes, muon_bytes = (memory_of(full_size, arch, plan, 8, 8, "ddp").moments for plan in (PLAN, muon))
    assert 0.5 * adamw_bytes < muon_bytes < 0.6 * adamw_bytes  # nearly everything at full size is a matrix
    with pytest.raises(DialError, match=r"whole matrices.*DDP"):
        memory_of(full_size, arch, muon, 8, 8, "fsdp2")


def test_a_recipes_own_layout_is_described():
    text = " ".join(forecast_of("released_few_shot", hardware=Hardware(micro_batch=32), gpus=8, layout="released").split())
    assert "released: right and left wrist in the frame of the world, right_arm, right_hand, left_arm, left_hand, waist" in text
