"""Certificates for the tests that encrypt."""

from __future__ import annotations

import pytest

from riskops.cluster import write_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of one cluster: ca, cert and key."""
    return write_certificates(tmp_path_factory.mktemp("certificates") / "one")
