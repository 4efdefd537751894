import json
import threading
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dial_core.errors import DialError
from dial_core.files.atomic import write_json
from dial_core.reproduction import done_marks, step_runner
from dial_core.reproduction.done_marks import DoneMarks
from dial_core.reproduction.pipeline_step import PipelineStep, on_their_bases
from dial_core.reproduction.step_runner import StepRunner
from dial_core.training.cpu_execution import FILE

from .recorded_steps import STEPS, Recorder, run, step


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


def test_the_time_of_a_step_is_that_of_all_attempts(tmp_path):
    marks = DoneMarks(tmp_path)
    marks.begin(STEPS[0], 10.0)
    marks.note(STEPS[0], 60.0)
    marks.note(STEPS[0], 120.0)
    for attempt_s in (30.0, 5.0):  # the process was killed each time
        marks = DoneMarks(tmp_path)
        marks.begin(STEPS[0], 10.0)
        marks.note(STEPS[0], attempt_s)
    assert marks.read(STEPS[0]).wall_s is None
    marks.finish(STEPS[0], 7.0)
    assert marks.read(STEPS[0]).wall_s == 157.0


def test_a_mark_says_which_code_ran_and_how_a_training_was_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(done_marks, "running_code", lambda: "commit 0a1b")
    trained = step("train", trained_in=tmp_path / "train", precision="float32")
    write_json(tmp_path / "train" / FILE, {"processes": 2, "precision": "bfloat16", "compiled": False})
    asked = step("asked", trained_in=tmp_path / "asked", precision="bfloat16")
    runner = StepRunner(DoneMarks(tmp_path), Recorder(), workers=2, jobs=1, announce=lambda text: None, device="cpu")
    runner.run([trained, asked, step("eval")])
    marks = {name: DoneMarks(tmp_path).read(each) for name, each in (("train", trained), ("asked", asked), ("eval", step("eval")))}
    machine = done_marks.machine()
    assert marks["train"].ran_on == f"{machine}; cpu; 2 processes, bfloat16; commit 0a1b"
    assert marks["asked"].ran_on == f"{machine}; cpu; 1 process, bfloat16; commit 0a1b"
    assert marks["eval"].ran_on == f"{machine}; commit 0a1b"


def test_a_step_that_other_code_resumed_names_both(tmp_path, monkeypatch):
    for code, device, broken in (("one", "cpu", True), ("one", "cpu", True), ("two", "a GPU", True), ("two", "a GPU", False)):
        monkeypatch.setattr(done_marks, "running_code", lambda code=code: code)
        marks, executor = DoneMarks(tmp_path), Recorder("a") if broken else Recorder()
        runner = StepRunner(marks, executor, workers=2, jobs=1, announce=lambda text: None, device=device)
        with pytest.raises(DialError, match="a broke") if broken else nullcontext():
            runner.run([step("a", trained_in=tmp_path)])
    mark = DoneMarks(tmp_path).read(step("a"))
    assert (mark.code, mark.device) == ("one, then two", "cpu, then a GPU")


def test_a_mark_of_an_earlier_version_stays_valid_and_says_nothing_of_its_code(tmp_path):
    run(tmp_path, Recorder(), STEPS[:1])
    with pytest.raises(DialError, match="b broke"):
        run(tmp_path, Recorder("b"), STEPS[:2])
    earlier(tmp_path, "a", "b")
    run(tmp_path, again := Recorder(), STEPS[:2])
    assert again.ran == ["b"]
    marks = DoneMarks(tmp_path)
    assert marks.read(STEPS[0]).ran_on == marks.read(STEPS[0]).machine
    assert marks.read(STEPS[1]).code == "", "what its first attempt ran is not known"


class StepClock:
    """A clock that a command advances by ten seconds."""

    def __init__(self, monkeypatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(step_runner, "time", SimpleNamespace(monotonic=lambda: self.now_s))

    def over(self, execute):
        def run(words, log) -> None:
            self.now_s += 10.0
            execute(words, log)

        run.stop = execute.stop
        return run


def test_a_failed_attempt_counts_for_the_time_of_its_step(tmp_path, monkeypatch):
    clock = StepClock(monkeypatch)
    with pytest.raises(DialError, match="a broke"):
        run(tmp_path, clock.over(Recorder("a")), STEPS[:1])
    run(tmp_path, clock.over(Recorder()), STEPS[:1])
    assert DoneMarks(tmp_path).read(STEPS[0]).wall_s == 20.0


def test_the_time_of_an_attempt_is_noted_while_it_runs_so_that_one_that_is_killed_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(step_runner, "NOTE_PERIOD_S", 0.01)
    clock, noted = StepClock(monkeypatch), threading.Event()

    class Marks(DoneMarks):
        def note(self, step, attempt_s: float) -> None:
            super().note(step, attempt_s)
            if attempt_s:
                noted.set()

    class Waiting(Recorder):
        def __call__(self, words, log) -> None:
            clock.now_s = 50.0
            assert noted.wait(20)
            self.spent_s = DoneMarks(tmp_path).read(STEPS[0]).spent_s

    StepRunner(Marks(tmp_path), waiting := Waiting(), workers=0, jobs=1, announce=lambda text: None).run(STEPS[:1])
    assert waiting.spent_s == 50.0


def test_an_interrupted_attempt_counts(tmp_path, monkeypatch):
    clock = StepClock(monkeypatch)
    both = threading.Barrier(2, timeout=20)

    def interrupt(text: str) -> None:
        if text.startswith("["):
            raise KeyboardInterrupt

    class Stopped(Recorder):
        def __call__(self, words, log) -> None:
            both.wait()
            if words[0] == "b":
                ended.wait(20)

        def stop(self) -> None:
            ended.set()

    ended = threading.Event()
    runner = StepRunner(DoneMarks(tmp_path), clock.over(Stopped()), workers=0, jobs=2, announce=interrupt)
    with pytest.raises(KeyboardInterrupt):
        runner.run([step("a"), step("b")])
    assert DoneMarks(tmp_path).read(step("b")).spent_s > 0


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
