"""Numbers as people read them."""

from __future__ import annotations

import pytest

from riskops.report.formatting import (
    DASH,
    Figure,
    Money,
    count_text,
    horizon_text,
    level_text,
    percent_text,
    short_name,
)


@pytest.mark.parametrize(
    ("scale", "value", "text"),
    [
        (1_000_000.0, 12_345.678, "12,346 USD"),
        (50_000.0, 12_345.678, "12,345.68 USD"),
        (100.0, 4.18123, "4.1812 USD"),
        (1.0, 0.0418123, "0.04181 USD"),
        (1e7, 1_066_197.8, "1,066,198 USD"),
        (1e9, 12_345_678.9, "12,345,679 USD"),
        (4e9, 12_345_678.9, "12,346 USD thousand"),
        (3e12, 12_345_678.9, "12 USD million"),
        (0.0, 0.0, "0.00 USD"),
    ],
)
def test_money_has_about_six_digits(scale: float, value: float, text: str) -> None:
    assert Money.fit("USD", scale=scale).with_unit(value) == text


def test_money_takes_the_unit_of_the_largest_amount() -> None:
    assert Money.fit("USD", scale=1e6, largest=2e9).with_unit(12_345.678) == "12.35 USD thousand"
    assert Money.fit("USD", scale=1e6, largest=1e6) == Money.fit("USD", scale=1e6)


def test_errors_intervals_and_signs() -> None:
    money = Money.fit("EUR", scale=1e6)
    figure = Figure(12_345.0, 67.0, 12_214.0, 12_476.0)
    assert money.with_error(figure) == "12,345 ± 67"
    assert money.interval(figure) == "12,214 to 12,476"
    assert money.with_error(figure, sign=True) == "+12,345 ± 67"
    assert money.with_error(Figure(12.0)) == "12"
    assert money.interval(Figure(12.0)) == money.text(None) == money.with_unit(None) == DASH
    assert money.text(-0.2) == "0"  # never a negative zero
    assert (money.tick_format, Money.fit("EUR", scale=1e3).tick_format) == ("0,0", "0,0[.]00")


def test_levels_mean_the_decimal_they_print_as() -> None:
    assert [level_text(level) for level in (0.95, 0.975, 0.999, 0.07, 0.5)] == [
        "95 %",
        "97.5 %",
        "99.9 %",
        "7 %",
        "50 %",
    ]


def test_other_texts() -> None:
    assert (horizon_text(1.0), horizon_text(0.5), horizon_text(252.0)) == ("1 day", "0.5 days", "252 days")
    assert (percent_text(0.1234), percent_text(None)) == ("12.3 %", DASH)
    assert (count_text(1_048_576), count_text("gbm"), count_text(True)) == ("1,048,576", "gbm", "True")
    assert (short_name("short"), short_name("a" * 20 + "b" * 30, longest=11)) == ("short", "aaaaa…bbbbb")
