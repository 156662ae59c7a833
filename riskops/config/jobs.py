"""The kinds of jobs that a configuration file may describe, told apart by its key ``job``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from riskops.config.backtest import JOB, BacktestConfig, load_backtest
from riskops.config.load import load_config
from riskops.config.sections import Config
from riskops.errors import ConfigError
from riskops.textfile import read_yaml

__all__ = ["JOBS", "JobConfig", "load_job"]

JobConfig: TypeAlias = Config | BacktestConfig

#: What ``job`` may be, and a line about it.
JOBS = {
    "market_risk": "simulate portfolios: VaR, expected shortfall, contributions and stress (where job is left out)",
    JOB: "forecast VaR and expected shortfall from history, day by day, and judge the forecasts",
}


def load_job(path: str | Path, *, overrides: Sequence[str] = ()) -> JobConfig:
    """Read a configuration of any kind of job and check all of it.

    Parameters
    ----------
    path
        A YAML file.
    overrides
        As those of :func:`load_config`.

    Returns
    -------
    Config or BacktestConfig
        By the file's key ``job``; a file without one is of market risk.

    Raises
    ------
    InputError
        As :func:`load_config` and :func:`load_backtest`; ``job`` names no kind of job.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "small.yaml")
    ...     _ = file.write_text("job: var_backtest\\nmarket: {prices: sp500_index}")
    ...     type(load_job(file)).__name__
    'BacktestConfig'
    """
    data = read_yaml(path)
    kind = data.get("job", "market_risk") if isinstance(data, dict) else "market_risk"
    if not isinstance(kind, str) or kind not in JOBS:
        raise ConfigError(f"job: {kind!r} is not {' or '.join(JOBS)}")
    return load_backtest(path, overrides=overrides) if kind == JOB else load_config(path, overrides=overrides)
