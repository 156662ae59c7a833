"""Peak memory against the plan, from one million paths to sixty-four: prints the table, and fails where it is not flat.

python tests/measure_memory.py                     # threads, 1 to 64 million paths, some minutes
python tests/measure_memory.py --cluster processes --most 16

Each size runs configs/scale/64m_paths.yaml, or another configuration that is given, in processes of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from riskops.bench.memory import Measured, measure

CONFIGURATION = Path(__file__).parents[1] / "configs" / "scale" / "64m_paths.yaml"
MILLIONS = (1, 4, 16, 64)
#: Planned over measured lies within this of one, and the largest run takes at most so much more than the smallest.
WITHIN, FLAT = 0.25, 1.2
HEAD = f"{'paths':>12} {'planned':>10} {'measured':>10} {'planned/measured':>17} {'seconds':>8}"


def line(row: Measured) -> str:
    """A measurement as a line of the table."""
    sizes = f"{row.planned / 2**20:>6,.0f} MiB {row.measured / 2**20:>6,.0f} MiB"
    return f"{row.paths:>12,} {sizes} {row.ratio:>17.2f} {row.seconds:>8,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("configuration", nargs="?", type=Path, default=CONFIGURATION)
    parser.add_argument("--cluster", default="threads", choices=("threads", "synchronous", "processes"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--least", type=int, default=MILLIONS[0], help="millions of paths to begin with")
    parser.add_argument("--most", type=int, default=MILLIONS[-1], help="millions of paths to go up to")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    rows = []
    print(HEAD, flush=True)
    for millions in (number for number in MILLIONS if given.least <= number <= given.most):
        rows.append(
            measure(
                given.configuration,
                overrides=[f"simulation.paths={millions * 2**20}", *given.overrides],
                cluster=given.cluster,
                workers=given.workers,
                folder=Path(tempfile.gettempdir()),
            )
        )
        print(line(rows[-1]), flush=True)
    far = [row for row in rows if abs(row.ratio - 1.0) > WITHIN]
    growth = max(row.measured for row in rows) / min(row.measured for row in rows)
    print(f"largest over smallest {growth:.2f}; planned within {WITHIN:.0%} of measured: {'NO' if far else 'yes'}")
    if far or growth > FLAT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
