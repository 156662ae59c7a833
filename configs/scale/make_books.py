"""Writes books.csv: a thousand long and short books in the twenty bundled stocks, the same ones on every machine.

python configs/scale/make_books.py
"""

from __future__ import annotations

import random
from pathlib import Path

from riskops.market import load_prices

BOOKS, HELD, SEED = 1000, 12, 20221228


def table(assets: list[str]) -> str:
    """A position a line: every book is long in some of its twelve stocks, short in the others, for about a million."""
    number = random.Random(SEED).random  # of all its methods the one whose values Python promises to keep
    lines = ["portfolio,asset,unit,amount"]
    for book in range(1, BOOKS + 1):
        chosen = sorted(assets, key=lambda _: number())[:HELD]
        longs = 3 + int(number() * (HELD - 5))
        for k, asset in enumerate(chosen):
            amount = round((0.5 + number()) * 1e5, -2)
            lines.append(f"book_{book:04d},{asset},money,{amount if k < longs else -amount:.0f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    names = [str(name) for name in load_prices("sp500")["asset"].values]
    Path(__file__).with_name("books.csv").write_text(table(names), "utf-8")
