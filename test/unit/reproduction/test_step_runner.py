import json
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from dial_core.errors import DialError
from dial_core.files.folder_lock import folder_lock
from dial_core.reproduction.done_marks import DoneMarks
from dial_core.reproduction.hours import OVERHEAD_S, corrections, expected_s, readable_hours, schedule_s
from dial_core.reproduction.pipeline import PipelineStep, on_their_bases
from dial_core.reproduction.step_runner import Commands, StepRunner, remaining


class Recorder:
    """Remembers the commands; `failing` ones raise."""

    def __init__(self, *failing: str) -> None:
        self.ran: list[str] = []
        self.failing, self.stopped = failing, False

    def __call__(self, words, log) -> None:
        self.ran.append(words[0])
        if words[0] in self.failing:
            raise DialError(f"{words[0]} broke")

    def stop(self) -> None:
        self.stopped = True


def step(name: str, *needs: str, **more) -> PipelineStep:
    return PipelineStep(name, (name,), needs, **more)


STEPS = [step("a"), step("b", "a"), step("c", "a"), step("d", "b"), step("e", "c")]


def run(tmp_path, execute, steps=STEPS, jobs=1) -> None:
    StepRunner(DoneMarks(tmp_path), execute, workers=2, jobs=jobs, announce=lambda text: None).run(steps)


def test_a_finished_step_is_not_run_again(tmp_path):
    run(tmp_path, first := Recorder())
    run(tmp_path, second := Recorder())
    assert (first.ran, second.ran) == (["a", "b", "c", "d", "e"], [])


def based(*steps: PipelineStep) -> list[PipelineStep]:
    """Steps of a plan: each knows what it rests on."""
    return list(on_their_bases(steps).values())


def test_results_of_a_method_that_is_trained_otherwise_are_refused_all_at_once(tmp_path):
    run(tmp_path, Recorder(), steps := based(step("train"), step("eval", "train"), step("probe", "train"), step("other")))
    DoneMarks(tmp_path).require(steps)
    changed = based(step("train", inputs={"recipe": 2}), *(replace(each, basis="") for each in steps[1:]))
    (tmp_path / "steps/train.json").unlink()  # as the message asks, and no more
    with pytest.raises(
        DialError, match=r"step eval rests on what other settings of train gave.* delete .*eval\.json.* The same holds of probe"
    ):
        DoneMarks(tmp_path).require(changed)
    for name in ("eval", "probe"):
        (tmp_path / f"steps/{name}.json").unlink()
    run(tmp_path, again := Recorder(), changed)
    assert again.ran == ["train", "eval", "probe"]


def earlier(tmp_path, *names: str) -> None:
    """Makes the marks those of a version that did not know what a step rests on."""
    for name in names:
        file = tmp_path / f"steps/{name}.json"
        file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key in EARLIER}))


EARLIER = ("command", "fingerprint", "wall_s", "expected_s", "machine", "version")


def test_what_an_earlier_version_has_done_counts_unless_something_it_needs_is_run_again(tmp_path):
    steps = based(*STEPS)
    run(tmp_path, Recorder(), steps)
    earlier(tmp_path, *"abcde")
    run(tmp_path, again := Recorder(), steps)
    assert again.ran == []
    (tmp_path / "steps/b.json").unlink()
    with pytest.raises(DialError, match=r"b would be run again, on which d rests"):
        run(tmp_path, again, steps)
    (tmp_path / "steps/d.json").rename(tmp_path / "kept.json")
    run(tmp_path, again, steps)
    assert again.ran == ["b", "d"]
    (tmp_path / "kept.json").replace(tmp_path / "steps/d.json")
    with pytest.raises(DialError, match="step d rests on what other settings of b gave"):
        DoneMarks(tmp_path).require(steps)


def test_what_an_earlier_version_began_is_refused_before_what_it_needs_is_run_again(tmp_path):
    steps = based(step("a"), step("b", "a"))
    with pytest.raises(DialError, match="b broke"):
        run(tmp_path, Recorder("b"), steps)
    earlier(tmp_path, "a", "b")
    (tmp_path / "steps/a.json").unlink()
    with pytest.raises(DialError, match="a would be run again, on which b rests"):
        run(tmp_path, again := Recorder(), steps)
    assert again.ran == []


def test_a_step_that_only_waits_for_another_does_not_rest_on_it(tmp_path):
    steps = based(step("a"), replace(step("b", "a"), after=("a",)))
    run(tmp_path, Recorder(), steps)
    earlier(tmp_path, "b")
    (tmp_path / "steps/a.json").unlink()
    run(tmp_path, again := Recorder(), steps)
    assert again.ran == ["a"]


def test_a_failure_stops_only_what_needs_it_and_the_next_call_resumes_there(tmp_path):
    with pytest.raises(DialError, match=r"1 of 5 steps failed: b: b broke; not run because of that: d\. The same command resumes"):
        run(tmp_path, Recorder("b"))
    run(tmp_path, again := Recorder())
    assert again.ran == ["b", "d"]


def test_steps_at_a_time_wait_for_what_they_need(tmp_path):
    both = threading.Barrier(2, timeout=20)

    class Meeting(Recorder):
        def __call__(self, words, log) -> None:
            super().__call__(words, log)
            if words[0] in ("b", "c"):
                both.wait()  # breaks unless both run at once

    run(tmp_path, meeting := Meeting(), STEPS[:3], jobs=2)
    assert meeting.ran[0] == "a"
    assert sorted(meeting.ran) == ["a", "b", "c"]


def test_each_command_gets_the_options_that_it_takes(tmp_path):
    class Words(Recorder):
        def __call__(self, words, log) -> None:
            self.ran.append(" ".join(words))

    steps = [step("eval", parallel=True), step("train", trains=True), step("pretrain", parallel=True, trains=True), step("begin")]
    StepRunner(DoneMarks(tmp_path), words := Words(), workers=3, jobs=1, announce=lambda text: None, ray="auto").run(steps)
    assert words.ran == [
        "eval --workers 3 --ray auto",
        "train --processes 3",
        "pretrain --workers 3 --processes 3 --ray auto",
        "begin",
    ]


def test_an_interrupt_ends_the_commands_that_run(tmp_path):
    def interrupt(text: str) -> None:
        if text.startswith("["):
            raise KeyboardInterrupt

    runner = StepRunner(DoneMarks(tmp_path), recorder := Recorder(), workers=0, jobs=1, announce=interrupt)
    with pytest.raises(KeyboardInterrupt):
        runner.run(STEPS)
    assert recorder.stopped
    assert recorder.ran == ["a"]


def test_an_interrupted_step_is_started_and_not_done(tmp_path):
    with pytest.raises(DialError, match="b: "):
        run(tmp_path, Recorder("b"), STEPS[:2])
    marks = DoneMarks(tmp_path)
    assert marks.read(STEPS[1]).wall_s is None
    assert not marks.done(STEPS[1])
    assert marks.done(STEPS[0])


def test_a_product_that_appears_whole_counts_where_the_mark_was_lost(tmp_path):
    made = step("collect", product=tmp_path / "dataset")
    marks = DoneMarks(tmp_path)
    marks.begin(made, 1.0)
    assert not marks.done(made)
    (tmp_path / "dataset").mkdir()  # and killed before `finish`
    assert marks.done(made)


def test_a_step_of_other_settings_is_not_passed_off_as_done(tmp_path):
    run(tmp_path, Recorder(), [step("train", inputs={"steps": 1})])
    with pytest.raises(DialError, match=r"step train was started with other settings: .*Choose another --out, or delete .*train\.json"):
        run(tmp_path, Recorder(), [step("train", inputs={"steps": 2})])


def test_a_broken_mark_says_what_to_do(tmp_path):
    run(tmp_path, Recorder(), STEPS[:1])
    (tmp_path / "steps/a.json").write_text("{")
    with pytest.raises(DialError, match=r"a\.json cannot be read: .*delete it to run step a again"):
        DoneMarks(tmp_path).done(STEPS[0])


def test_a_failed_command_shows_the_end_of_its_log(tmp_path):
    with (
        folder_lock(tmp_path, "dial reproduce") as lock,
        pytest.raises(DialError, match=r"exit code 1, see .*x\.log.*no suites configuration 'kitchen'"),
    ):
        Commands({}, lock)(["tasks", "--suite", "kitchen"], tmp_path / "x.log")


def test_one_reproduction_at_a_time_works_in_a_folder_and_its_orphans_hold_the_lock(tmp_path):
    with folder_lock(tmp_path, "dial reproduce") as lock:
        orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
    with pytest.raises(DialError, match="another `dial reproduce`"), folder_lock(tmp_path, "dial reproduce"):
        pass
    orphan.communicate(b"\n", timeout=20)
    with folder_lock(tmp_path, "dial reproduce"):
        pass


def test_what_was_stopped_begins_no_command(tmp_path):
    with (tmp_path / "held").open("w") as held:
        commands = Commands({}, held.fileno())
        commands.stop()
        with pytest.raises(DialError, match="stopped before it began"):
            commands(["--help"], tmp_path / "step.log")


def test_hours_follow_from_costs_needs_and_steps_at_a_time(tmp_path):
    durations = dict.fromkeys("abcde", 10.0)
    assert schedule_s(STEPS, durations, jobs=1) == 50.0
    assert schedule_s(STEPS, durations, jobs=2) == 30.0
    assert schedule_s(STEPS[3:], {"d": 10.0, "e": 5.0}, jobs=2) == 10.0  # the others are done
    assert expected_s(step("x", core_s=100.0, parallel=True), workers=4) == OVERHEAD_S + 25.0
    assert expected_s(step("x", core_s=100.0, trains=True), workers=4) == OVERHEAD_S + 25.0
    assert expected_s(step("x", core_s=100.0), workers=4) == OVERHEAD_S + 100.0
    assert (readable_hours(90), readable_hours(5400)) == ("2 min", "1.5 h")


def test_steps_that_finished_here_correct_the_cost_of_their_kind(tmp_path):
    marks = DoneMarks(tmp_path)
    steps = [step("train/a", core_s=90.0), step("train/b", core_s=190.0), step("eval/a", core_s=40.0)]
    marks.begin(steps[0], expected_s(steps[0], 1))
    marks.finish(steps[0], 300.0)  # three times as long as expected
    assert corrections(steps, marks) == {"train": 3.0}
    todo, durations, left_s = remaining(steps, marks, workers=1, jobs=1)
    assert [step.name for step in todo] == ["train/b", "eval/a"]
    assert durations == {"train/b": 600.0, "eval/a": 50.0}
    assert left_s == 650.0
