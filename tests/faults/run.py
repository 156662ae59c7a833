"""``make faults``: inject every fault into real runs in real processes and print one table of what came of it.

    python -m tests.faults.run                       all of them
    python -m tests.faults.run "SIGINT twice" disk   those whose name holds one of these
    python -m tests.faults.run --list
    python -m tests.faults.run --json > faults.json

Exit status 1 when anything was lost, wrong, or otherwise than expected.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults import clocks, damage, disks, kills, network, operations, tasks
from tests.faults.ground import CASES, CONFIGURATION, Fault, Ground, Tally, missing_tool

__all__ = ["main"]

MODULES = (kills, operations, tasks, disks, damage, clocks, network)


def run_case(case: Fault, ground: Ground) -> Tally:
    """Inject one fault as often as it says; whatever goes wrong goes into its tally."""
    lacking = missing_tool(case.needs)
    if lacking is not None:
        ground.tally.unexpected.append(f"could not be injected: it needs {lacking}")
        return ground.tally
    try:
        for _ in case.inject(ground):
            ground.tally.times += 1
    except Exception:
        ground.tally.unexpected.append(traceback.format_exc())
    if not ground.tally.times:
        ground.tally.unexpected.append("it was never injected")
    return ground.tally


def _row(case: Fault, tally: Tally) -> tuple[str, ...]:
    outcome = case.expected if tally.survived else "OTHERWISE THAN EXPECTED"
    return case.name, str(tally.times), outcome, str(len(tally.lost) or "none"), str(len(tally.wrong) or "none")


def _table(rows: list[tuple[str, ...]]) -> str:
    head = ("fault", "times injected", "outcome", "data lost", "wrong figures")
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    first = "| " + " | ".join(text.ljust(width) for text, width in zip(head, widths, strict=True)) + " |"
    return "\n".join([first, rule, *lines])


def main() -> None:
    """Read the command line, inject, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="faults whose name holds one of these; all when left out")
    parser.add_argument("--list", action="store_true", help="only list the faults")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the runs, to look into")
    arguments = parser.parse_args()
    cases = sorted(CASES.values(), key=lambda case: MODULES.index(sys.modules[case.inject.__module__]))
    chosen = [case for case in cases if not arguments.names or any(name in case.name for name in arguments.names)]
    if arguments.list or not chosen:
        print("\n".join(case.name for case in cases))
        raise SystemExit(0 if arguments.list else 2)

    folder = Path(tempfile.mkdtemp(prefix="riskops-faults-"))
    configuration = folder / "job.yaml"
    configuration.write_text(CONFIGURATION, "utf-8")
    undisturbed = folder / "undisturbed"
    done = Ground(folder, configuration, undisturbed).run(undisturbed).result()
    if done.status != 0:
        raise SystemExit(f"the undisturbed run failed: {done.error}")

    rows, records, all_survived = [], [], True
    for number, case in enumerate(chosen):
        place = folder / f"{number:02d}"
        ground, since = Ground(place, configuration, undisturbed), time.monotonic()
        tally = run_case(case, ground)
        seconds = time.monotonic() - since
        all_survived &= tally.survived
        rows.append(_row(case, tally))
        records.append(dict(zip(("fault", "times", "outcome", "lost", "wrong"), rows[-1], strict=True)))
        records[-1]["problems"] = [*tally.lost, *tally.wrong, *tally.unexpected]
        print(
            f"{'ok  ' if tally.survived else 'FAIL'} {case.name}: {tally.times} times, {seconds:.0f} s", file=sys.stderr
        )
        for problem in records[-1]["problems"]:
            print(f"     {problem}", file=sys.stderr)
        if tally.survived and not arguments.keep:
            shutil.rmtree(place, ignore_errors=True)
    print(json.dumps(records, indent=1) if arguments.json else _table(rows))
    if all_survived and not arguments.keep:
        shutil.rmtree(folder)
    else:
        print(f"the runs are in {folder}", file=sys.stderr)
    raise SystemExit(0 if all_survived else 1)


if __name__ == "__main__":
    main()
