"""Steps without commands, for the tests of runner and marks."""

from dial_core.errors import DialError
from dial_core.reproduction.done_marks import DoneMarks
from dial_core.reproduction.pipeline_step import PipelineStep
from dial_core.reproduction.step_runner import StepRunner


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
