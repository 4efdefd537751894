"""Command line of the fault campaign: `make faults`, or python -m dial_ros.faults --help."""

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dial_core.errors import DialError
from dial_core.files.atomic import write_text
from dial_ros.faults.campaign import GROUPS, chosen_scenarios, play_all
from dial_ros.faults.report import line, page
from dial_ros.faults.soak import soak
from dial_ros.faults.stage import stage

RESULTS = Path("out/faults/report.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays what was asked for; the exit status: 0 if all passed, 1 if not, 2 if it could not be played."""
    options = _parser().parse_args(arguments)
    if options.list:
        for group, members in GROUPS.items():
            print(f"{group}\n" + "\n".join(f"  {s.name}{' (quick)' if s.quick else ''}" for s in members))
        return 0
    try:
        scenarios = [] if options.soak_only else chosen_scenarios(options.quick, options.only)
        print(f"{len(scenarios)} scenarios, logs of the nodes in {options.log_dir}", flush=True)
        with stage(options.log_dir, options.checkpoint, options.splice_lead) as set_up:
            outcomes = play_all(set_up, scenarios, options.repeats, lambda outcome: print(line(outcome), flush=True))
            soaked = soak(set_up, options.minutes) if options.minutes > 0 else None
    except DialError as error:
        print(f"[faults] {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("[faults] interrupted", file=sys.stderr)
        return 130
    command = shlex.join(["python", "-m", "dial_ros.faults", *(arguments if arguments is not None else sys.argv[1:])])
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    text = page(outcomes, soaked, command, time.strftime("%Y-%m-%d"), machine)
    if options.results:
        write_text(options.results, text)
    print(text)
    return 0 if all(outcome.passed for outcome in outcomes) and (soaked is None or soaked.passed) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dial_ros.faults", description="Real nodes on DDS, one fault after another.")
    parser.add_argument("--quick", action="store_true", help="only the scenarios marked quick: a few minutes")
    parser.add_argument("--only", default="", metavar="TEXT", help="only scenarios with TEXT in their name")
    parser.add_argument("--list", action="store_true", help="print the scenarios and stop")
    parser.add_argument("--repeats", type=int, default=1, help="how often each scenario is played (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=0.0, help="then run continuously for so long (default: not at all)")
    parser.add_argument("--soak-only", action="store_true", help="no scenarios, only the continuous run")
    parser.add_argument("--checkpoint", default="", help="folder of the model (default: the dial-tiny of the package)")
    parser.add_argument("--splice-lead", type=float, metavar="S", help="System-1's splice_lead [s] (default: that of config/nodes)")
    parser.add_argument("--results", type=Path, nargs="?", const=RESULTS, help=f"write the page here (without a path: {RESULTS})")
    parser.add_argument("--log-dir", type=Path, default=Path("out/faults"), help="logs of the nodes (default: %(default)s)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
