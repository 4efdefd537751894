"""Measures the success rate in the real ROS loop, with a 95 % Wilson interval; `dial eval` does so without ROS.

python -m dial_ros.tools.evaluate_ros --trials 20
"""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from dial_core.errors import DialError
from dial_core.evaluation.reports.intervals import wilson_interval
from dial_core.files.atomic import write_json
from dial_core.robot.embodiment import load_embodiment
from dial_core.sim.task import load_task
from dial_ros.tools.demo import arguments, run_trials, table_of
from dial_ros.tools.demo_report import summary

OF_THE_TASK = 0.0  # as `--limit-s`: as long as the task allows


def main(words: Sequence[str] | None = None) -> int:
    """Runs the evaluation; returns 0 if all trials ran, whether or not the robot succeeded."""
    # The time limit of the harness without ROS, so that the two success rates compare.
    chosen = arguments(__doc__.splitlines()[0], trials=20, limit_s=OF_THE_TASK, out="out/ros_evaluation").parse_args(words)
    if chosen.limit_s == OF_THE_TASK:
        chosen.limit_s = load_task(chosen.task or "PlacematToPlate").max_steps / load_embodiment().rate_hz
    console = Console()
    try:
        _, results, model_id = run_trials(chosen, console, recording=False)
    except DialError as error:
        console.print(f"[red]evaluation failed:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    successes = sum(result.success for result in results)
    low, high = wilson_interval(successes, len(results))
    settings = {"limit_s": chosen.limit_s, "real_time_factor_limit": chosen.real_time_factor, "first_seed": chosen.seed}
    report = summary(results, model_id, settings) | {"success_rate": successes / len(results), "wilson_95": [low, high]}
    write_json(chosen.out / "summary.json", report)
    console.print(table_of(results))
    console.print(f"{successes} of {len(results)} succeeded; 95 % interval {low:.0%} to {high:.0%}", highlight=False)
    console.print(f"  {chosen.out / 'summary.json'}", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
