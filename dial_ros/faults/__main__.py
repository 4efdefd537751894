"""Command line of the fault campaign: `make faults`, or python -m dial_ros.faults --help.

Every outcome is recorded at once, so a campaign may be interrupted and resumed, played in pieces and under several loads; the
page is made from all recorded outcomes.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from dial_core.errors import DialError
from dial_core.files.atomic import write_text
from dial_core.inference import COMPILE_SWITCH
from dial_ros.faults.campaign import chosen_groups, play
from dial_ros.faults.graph_under_test import graph_under_test
from dial_ros.faults.outcome import Outcome, load_outcomes, save_outcomes
from dial_ros.faults.report import line, page
from dial_ros.faults.soak import Soak, load_soaks, save_soaks, soak
from dial_ros.faults.timing_faults import busy_processes

FOLDER = Path("out/faults")


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays what was asked for; returns the exit status: 0 if all passed, 1 if not, 2 if it could not be played."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault(COMPILE_SWITCH, "0")  # a compiler beside the nodes would be a fault of its own
    file = options.records
    soaks_file = file.with_name(f"{file.stem}_continuous.jsonl")
    outcomes, soaks = (load_outcomes(file), load_soaks(soaks_file)) if options.resume or options.page_only else ([], [])
    try:
        if options.list:
            for group in chosen_groups(options.quick, options.only):
                print(f"{group.title}\n" + "\n".join(f"  {s.name}{' (quick)' if s.quick else ''}" for s in group.scenarios))
            return 0
        if not options.resume and not options.page_only:
            chosen_groups(options.quick, options.only)  # raises before anything recorded is lost
            soaks_file.unlink(missing_ok=True)
        with busy_processes(options.load) if options.load and not options.page_only else nullcontext():
            if not options.page_only:
                _play(options, outcomes, file)
            if options.minutes > 0 and not options.page_only and not _soaked(soaks, options):
                with graph_under_test(options.log_dir, checkpoint=options.checkpoint, splice_lead_s=options.splice_lead) as graph:
                    soaks.append(soak(graph, options.minutes, options.load))
                    save_soaks(soaks_file, soaks)
    except DialError as error:
        print(f"[faults] {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("[faults] interrupted; --resume continues", file=sys.stderr)
        return 130
    text = page(outcomes, soaks, time.strftime("%Y-%m-%d"), f"{os.cpu_count()} cores, Python {platform.python_version()}")
    write_text(options.results, text)
    print(f"page: {options.results}")
    return 0 if all(outcome.passed for outcome in outcomes) and all(soaked.passed for soaked in soaks) else 1


def _soaked(soaks: Sequence[Soak], options: argparse.Namespace) -> bool:
    """Whether the continuous run that is asked for has been recorded."""
    return any((each.minutes, each.busy_processes) == (options.minutes, options.load) for each in soaks)


def _play(options: argparse.Namespace, outcomes: list[Outcome], file: Path) -> None:
    """Plays the chosen scenarios that have no outcome under this load yet, until the time is up, and records each."""
    until_s = time.monotonic() + (options.budget or float("inf"))
    done = frozenset(outcome.scenario for outcome in outcomes if outcome.busy_processes == options.load)
    for relayed, scenarios in _by_relayed(options, done).items():
        if time.monotonic() > until_s:
            break
        with graph_under_test(options.log_dir, relayed, options.checkpoint, options.splice_lead) as graph:
            for scenario in [scenario for scenario in scenarios for _ in range(options.repeats)]:
                if time.monotonic() > until_s:
                    break
                began_s = time.monotonic()
                outcomes.append(play(graph, scenario, options.load))
                save_outcomes(file, outcomes)
                print(f"{line(outcomes[-1])}  [{time.monotonic() - began_s:.0f} s, load {outcomes[-1].load_average:.1f}]", flush=True)


def _by_relayed(options: argparse.Namespace, done: frozenset[str]) -> dict:
    """Relayed streams -> their scenarios: one start of the graph each."""
    together: dict = {}
    for group in [] if options.soak_only else chosen_groups(options.quick, options.only, done):
        together.setdefault(group.relayed, []).extend(group.scenarios)
    return together


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dial_ros.faults", description="Real nodes on DDS, one fault after another.")
    parser.add_argument("--quick", action="store_true", help="only the scenarios marked quick")
    parser.add_argument("--only", default="", metavar="TEXT", help="only scenarios with TEXT in their name")
    parser.add_argument("--list", action="store_true", help="print the scenarios and exit")
    parser.add_argument("--repeats", type=int, default=1, help="how often each scenario is played (default: %(default)s)")
    parser.add_argument("--load", type=int, default=0, metavar="N", help="N busy processes beside the graph (default: none)")
    parser.add_argument("--resume", action="store_true", help="keep the recorded outcomes and play what has none under this load")
    parser.add_argument("--budget", type=float, metavar="S", help="begin no scenario after S seconds; --resume continues")
    parser.add_argument("--page-only", action="store_true", help="play nothing, make the page from the recorded outcomes")
    parser.add_argument("--minutes", type=float, default=0.0, help="then run continuously for so long (default: not at all)")
    parser.add_argument("--soak-only", action="store_true", help="no scenarios, only the continuous run")
    parser.add_argument("--checkpoint", default="", help="folder of the model (default: the dial-tiny of the package)")
    parser.add_argument("--splice-lead", type=float, metavar="S", help="System-1's splice_lead [s] (default: that of config/nodes)")
    parser.add_argument("--records", type=Path, default=FOLDER / "outcomes.jsonl", help="recorded outcomes (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=FOLDER / "report.md", help="the page (default: %(default)s)")
    parser.add_argument("--log-dir", type=Path, default=FOLDER, help="logs of the nodes (default: %(default)s)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
