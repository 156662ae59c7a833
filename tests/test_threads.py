"""Thread pools are pinned inside the block and as they were after it."""

from __future__ import annotations

import os

import pytest

from riskops import threads


def test_pools_and_environment_are_pinned_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    pools = threads._pools()
    before = {name: get() for name, (get, _) in pools.items()}
    with threads.pinned_threads() as names:
        assert set(names) == set(pools)
        assert {get() for get, _ in pools.values()} <= {1}
        assert all(os.environ[name] == "1" for name in threads.ONE_THREAD)
    assert {name: get() for name, (get, _) in pools.items()} == before
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ
