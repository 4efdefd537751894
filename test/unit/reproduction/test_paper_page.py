import json
import shutil
from typing import Any

import pytest

from dial_core.config import validate
from dial_core.datasets.video import read_video, write_video
from dial_core.errors import DialError
from dial_core.evaluation.studies.probes import PROBES
from dial_core.files.atomic import write_json
from dial_core.reproduction import done_marks
from dial_core.reproduction.done_marks import DoneMarks, command_of, machine
from dial_core.reproduction.hours import readable_hours
from dial_core.reproduction.paper_page import write_page
from dial_core.reproduction.pipeline import Pipeline
from dial_core.reproduction.pipeline_step import PipelineStep
from dial_core.reproduction.plan import ReproductionPlan
from dial_core.training.cpu_execution import FILE

from .recorded_results import summary


@pytest.fixture
def save(pipeline):
    """(method, successes): leaves the result where its step would."""

    def write(method: str, *successes: bool, scene: str = "", **changes: Any) -> None:
        folder = pipeline.result(method, "seen")
        folder.mkdir(parents=True)
        result = summary(*successes) | changes
        result["episodes"][0]["scene"] = scene
        (folder / "result.json").write_text(json.dumps(result))

    return write


def test_a_page_of_nothing_yet_says_so_once_a_section(pipeline, plan, tmp_path):
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    assert (tmp_path / "paper.md").read_text() == text
    assert text.count("Not run yet.") == len(plan.sections)
    assert "They are not results on RoboCasa." in text
    count = len(pipeline.steps)
    assert f"{count} of {count} steps have not been run yet; `dial reproduce small --dry-run` lists them" in text


def test_steps_that_were_run_stand_with_their_commands(pipeline, tmp_path):
    marks, steps = DoneMarks(pipeline.out), list(pipeline.steps.values())
    for step in steps[:2]:
        marks.finish(step, 3600.0)
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    for step in steps[:2]:
        assert f"| {step.name} | `{command_of(step)}` | {readable_hours(3600.0)} |" in text
    assert f"{len(steps) - 2} of {len(steps)} steps have not been run yet" in text


@pytest.fixture
def trained(pipeline, monkeypatch):
    """(method, code, device, precision): leaves the mark of a training that was computed so."""

    def finish(method: str, code: str, device: str, precision: str) -> PipelineStep:
        monkeypatch.setattr(done_marks, "running_code", lambda: code)
        step = pipeline.steps[f"train/{method}"]
        write_json(step.trained_in / FILE, {"processes": 2, "precision": precision})
        marks = DoneMarks(pipeline.out)
        marks.begin(step, 60.0, device)
        marks.finish(step, 60.0)
        return step

    return finish


def test_rows_that_were_not_trained_alike_are_named_with_what_each_step_ran_on(pipeline, save, trained, tmp_path):
    save("dial", *[True] * 8)
    save("flare", *[True] * 8)
    step = trained("dial", "commit 0a1b", "cpu", "float32")
    trained("flare", "commit 2c3d", "NVIDIA H200", "bfloat16")
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    assert f"| `{command_of(step)}` | 1 min | {machine()}; cpu; 2 processes, float32; commit 0a1b |" in text
    for differing in (
        "Trained by different code: DIAL (commit 0a1b), + FLARE (commit 2c3d).",
        "Trained in different precision: DIAL (float32), + FLARE (bfloat16).",
        "Trained on different devices: DIAL (cpu), + FLARE (NVIDIA H200).",
    ):
        assert text.count(differing) == 2, "in the comparison, and in the curve"


def test_rows_that_were_trained_alike_or_do_not_say_it_are_not_named(pipeline, save, trained, tmp_path):
    save("dial", *[True] * 8)
    save("flare", *[True] * 8)
    trained("dial", "commit 0a1b", "cpu", "float32")
    step = trained("flare", "commit 0a1b", "cpu", "float32")
    assert "Trained" not in write_page(pipeline, "small", tmp_path / "paper.md")
    file = pipeline.out / f"steps/{step.name}.json"
    later = ("code", "device", "precision", "processes")
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key not in later}))
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    assert "Trained" not in text
    assert f"| `{command_of(step)}` | 1 min | {machine()} |" in text


def test_a_page_says_where_foresights_do_not_come_as_in_the_robots_loop(plan, save, tmp_path):
    own = {"system2_period_steps": 3, "system2_delay_steps": 0}
    plan.scenes["seen"] = plan.scenes["seen"].model_copy(update=own)
    plan.sections.pop()  # probes keep the robot's timing
    save("dial", *[True] * 8)
    text = write_page(Pipeline(plan, tmp_path / "out"), "small", tmp_path / "paper.md")
    assert "scenes 100000 to 100003 of each, `--system2-period-steps 3`, `--system2-delay-steps 0`." in text


def test_a_section_of_one_method_draws_its_tasks_into_a_folder_that_is_not_there_yet(plan, save, tmp_path):
    plan.sections[:] = [plan.sections[0].model_copy(update={"methods": ("dial",)})]
    save("dial", *[True] * 8)
    write_page(Pipeline(plan, tmp_path / "out"), "small", tmp_path / "new" / "paper.md")
    assert (tmp_path / "new" / "paper" / "the_comparison.png").is_file()


def test_a_page_says_which_method_is_the_shipped_checkpoint(plan, tmp_path):
    plan.methods["dial"] = plan.methods["dial"].model_copy(update={"shipped": "dial_tiny"})
    text = write_page(Pipeline(plan, tmp_path / "out", model_id=str.upper), "small", tmp_path / "paper.md")
    assert "With `--shipped`: DIAL is the checkpoint that comes with the package and was not trained again." in text
    assert "| DIAL | `dial` | `dial_tiny` | `dial_tiny` | robot: 2 demonstrations of 1 tasks | shipped: `checkpoints/dial_tiny` |" in text


def test_methods_are_compared_on_the_same_scenes_against_the_reference(pipeline, save, tmp_path):
    save("dial", *[True] * 8)
    save("flare", True, True, *[False] * 6)
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    row = next(line for line in text.splitlines() if line.startswith("| + FLARE | 25.0 (2/8)"))
    assert "| -75.0 |" in row
    assert "| 0.0312 | - | 0.125 |" in row  # 2 / 2^6: six scenes differ, all one way; of four seeds, 2 / 2^4, all do
    assert "0.0 (0/4) TrayToPot" in row
    assert "| DIAL | 100.0 (8/8) | 67.6 to 100.0 | - | - | - |" in text
    assert "| TrayToPot | 4/4 | 0/4 |" in text
    for image in ("the_comparison.png", "data.png"):
        assert (tmp_path / "paper" / image).stat().st_size > 5_000
        assert f"(paper/{image})" in text
    assert "| 2 | 100.0 (8/8), 67.6 to 100.0 |" in text  # the curve


def test_a_shard_is_not_taken_for_the_whole(pipeline, save, tmp_path):
    save("dial", *[True] * 8, episodes=summary(*[True] * 8)["episodes"][::2], shard="1/2")
    with pytest.raises(DialError, match=r"\(shard 1/2\), holds 4 of 8 scenes and is no result of the whole"):
        write_page(pipeline, "small", tmp_path / "paper.md")


def test_results_of_other_scenes_stand_unpaired_with_the_reason(pipeline, save, tmp_path):
    save("dial", *[True] * 8, scene="aaa")
    save("flare", True, True, *[False] * 6, scene="bbb")
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    assert "| + FLARE | 25.0 (2/8) | 7.1 to 59.1 | - | -75.0, unpaired | - | - | - | - |" in text
    reason = "these two results are not of the same scenes: PlacematToPlate 100000: scene aaa and bbb"
    assert f"+ FLARE and DIAL: unpaired, since {reason}" in text
    assert text.count(reason) == 1


def test_results_of_other_code_on_the_same_scenes_are_paired_and_named(pipeline, save, tmp_path):
    save("dial", *[True] * 8, scene="aaa")
    save("flare", True, True, *[False] * 6, scene="aaa", sources="f" * 12)
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    assert "| -75.0 |" in text
    assert f"+ FLARE and DIAL: the same scenes, other code (sources {summary(*[True] * 8)['sources']} and {'f' * 12})." in text


def test_results_of_another_loop_or_other_libraries_are_paired_and_named(pipeline, save, tmp_path):
    result = summary(*[True] * 8)
    save("dial", *[True] * 8)
    other = {"protocol": result["protocol"] | {"noise_seed": 0}, "versions": result["versions"] | {"mujoco": "9.9.9"}}
    save("flare", True, True, *[False] * 6, **other)
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    assert "| -75.0 |" in text
    libraries = f"other libraries (mujoco {result['versions']['mujoco']} and 9.9.9)"
    assert f"+ FLARE and DIAL: the same scenes, {libraries}, other protocol (noise_seed -1 and 0)." in text


def test_a_method_that_is_not_evaluated_yet_leaves_the_others_comparable(pipeline, save, tmp_path):
    save("dial", *[True] * 8)
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    assert "| DIAL | 100.0 (8/8)" in text
    assert "Not run yet: + FLARE" in text
    assert "| + FLARE |" not in text


def test_probes_and_foresight_stand_beside_their_section(pipeline, plan, tmp_path):
    section = plan.sections[2]
    for kind, name, values in (
        ("probe", "result.json", {probe: summary(*[True] * 8) for probe in list(PROBES)[:2]}),
        (
            "foresight",
            "foresight.json",
            {"by_task": {"TrayToPot": {"relative": 0.5, "interval": [0.4, 0.6]}}, "all": {"relative": None, "interval": None}},
        ),
    ):
        folder = pipeline.study(kind, section)
        folder.mkdir(parents=True)
        (folder / name).write_text(json.dumps(values))
    text = write_page(pipeline, "small", tmp_path / "paper.md")
    assert "| own foresight | 100.0 (8/8) | 67.6 to 100.0 |" in text
    assert "| foresight of zeros | not run yet |" in text
    assert "| TrayToPot | 0.500 |" in text
    assert "| the other object named, where there is one | 100.0 (8/8) |" in text
    assert "seeds, whose scenes are alike over tasks: the intervals" in text


def test_filmed_episodes_come_on_a_sheet_and_in_one_film_as_long_as_the_longest(pipeline, save, tmp_path, fake_episode):
    save("dial", True, *[False] * 7)
    videos = pipeline.result("dial", "seen") / "videos"
    frames = fake_episode(0).frames
    write_video(videos / "PlacematToPlate-100000.mp4", frames[:6], 20.0)
    write_video(videos / "TrayToPot-100000.mp4", frames[:9], 20.0)
    write_page(pipeline, "small", tmp_path / "paper.md")
    film = list(read_video(tmp_path / "paper/episodes.mp4"))
    assert len(film) == 9
    border = film[-1][80, 1].astype(int)  # of the first episode, which had ended and succeeded
    assert border[1] > border[0] + 50
    still_running = film[0][80, 1].astype(int)
    assert abs(still_running[1] - still_running[0]) < 20
    assert (tmp_path / "paper/episodes.png").is_file()


@pytest.mark.parametrize(("other", "sheets"), [({"episodes": 9}, 1), ({"episodes": 9, "seed": 100_001}, 2)])
def test_scenes_that_differ_in_their_number_alone_share_a_sheet(values, tmp_path, fake_episode, other, sheets):
    values["scenes"]["more"] = values["scenes"]["seen"] | other
    values["sections"][0]["scenes"] = ["seen", "more"]
    pipeline = Pipeline(validate(ReproductionPlan, values, source="test"), tmp_path / "out")
    for scenes in ("seen", "more"):
        folder = pipeline.result("dial", scenes)
        write_video(folder / "videos/TrayToPot-100000.mp4", fake_episode(0).frames[:2], 20.0)
        (folder / "result.json").write_text(json.dumps(summary(*[True] * 8)))
    assert write_page(pipeline, "small", tmp_path / "paper.md").count("![episodes") == sheets


def test_a_page_whose_results_are_nowhere_is_not_written_over(pipeline, save, tmp_path):
    page = tmp_path / "paper.md"
    save("dial", *[True] * 8)
    shown = write_page(pipeline, "small", page)
    shutil.rmtree(tmp_path / "paper/results")
    assert write_page(pipeline, "small", page) == shown, "as after an update, with the folder's own results"
    shutil.rmtree(tmp_path / "paper/results")
    shutil.rmtree(pipeline.out)
    with pytest.raises(
        DialError, match=rf"{page} shows rows such as \(8/8\), whose results lie neither beside it .* nor in {pipeline.out}"
    ):
        write_page(pipeline, "small", page)
    assert page.read_text() == shown
    save("dial", *[True] * 8)
    page.write_text("# A page of nothing yet\n")
    assert write_page(pipeline, "small", page) == shown
