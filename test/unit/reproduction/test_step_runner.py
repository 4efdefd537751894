import subprocess
import sys
import threading

import pytest

from dial_core.errors import DialError
from dial_core.files.folder_lock import folder_lock
from dial_core.reproduction.done_marks import DoneMarks
from dial_core.reproduction.hours import OVERHEAD_S, corrections, expected_s, readable_hours, schedule_s
from dial_core.reproduction.step_runner import Commands, StepRunner, remaining

from .recorded_steps import STEPS, Recorder, run, step


def test_a_finished_step_is_not_run_again(tmp_path):
    run(tmp_path, first := Recorder())
    run(tmp_path, second := Recorder())
    assert (first.ran, second.ran) == (["a", "b", "c", "d", "e"], [])


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
