"""Measures the success rate in the real ROS loop, with a 95 % Wilson interval; `dial eval` does so without ROS.

python -m dial_ros.tools.evaluate_ros --trials 20
python -m dial_ros.tools.evaluate_ros --suite in_distribution --trials 2
"""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.suites import suite_tasks
from dial_core.evaluation.reports.intervals import wilson_interval
from dial_core.files.atomic import write_json
from dial_core.sim.task import EVALUATION_SEEDS_FROM
from dial_ros.tools.demo import arguments, limits_s, run_trials, table_of
from dial_ros.tools.demo_report import TrialFigures, summary

TASK = "PlacematToPlate"  # where none is asked for


def main(words: Sequence[str] | None = None) -> int:
    """Runs the evaluation; returns 0 if all trials ran, whether or not the robot succeeded."""
    parser = arguments(__doc__.splitlines()[0], trials=20, tasks=[TASK], out="out/ros_evaluation")
    # The other suites change what a task's file says, and the simulation loads tasks by file.
    parser.add_argument("--suite", choices=["in_distribution"], help="all tasks of the suite, instead of --task")
    chosen = parser.parse_args(words)
    console = Console()
    try:
        if chosen.suite and chosen.task:
            raise DialError("--suite goes with all its tasks, --task with single ones; give one of them")
        if chosen.seed < EVALUATION_SEEDS_FROM:
            raise DialError(f"seed {chosen.seed} is for training; evaluate on seeds from {EVALUATION_SEEDS_FROM}")
        chosen.task = list(suite_tasks(chosen.suite)) if chosen.suite else chosen.task or [TASK]
        _, results, model_id = run_trials(chosen, console, recording=False)
    except DialError as error:
        console.print(f"[red]evaluation failed:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    settings = {
        "limit_s": limits_s(chosen),
        "real_time_factor_limit": chosen.real_time_factor,
        "first_seed": chosen.seed,
    }
    by_task = {task: _success([result for result in results if result.task == task]) for task in dict.fromkeys(r.task for r in results)}
    report = summary(results, model_id, settings) | _success(results) | {"by_task": by_task}
    write_json(chosen.out / "summary.json", report)
    console.print(table_of(results))
    low, high = report["wilson_95"]
    console.print(f"{report['successes']} of {len(results)} succeeded; 95 % interval {low:.0%} to {high:.0%}", highlight=False)
    console.print(f"  {chosen.out / 'summary.json'}", highlight=False, soft_wrap=True)
    return 0


def _success(results: Sequence[TrialFigures]) -> dict:
    successes = sum(result.success for result in results)
    return {"successes": successes, "success_rate": successes / len(results), "wilson_95": list(wilson_interval(successes, len(results)))}


if __name__ == "__main__":
    sys.exit(main())
