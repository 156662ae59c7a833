"""Encryption between the nodes of a cluster: certificates from files, or from Dask's configuration.

Both sides of each connection show a certificate that the one authority signed, so whoever has none of them can neither
read what is said nor send code. Names in the certificates are not compared with the hosts: Dask identifies a node by
its certificate alone.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask

from riskops.cluster.settings import Settings, Tls
from riskops.errors import ClusterError, InputError

if TYPE_CHECKING:
    from distributed import Security

__all__ = ["client_security", "inherited_tls", "network_security"]


def client_security(tls: Tls | None, *, address: str) -> Security:
    """Return what a client needs to talk to ``address``: the certificates given, or those of Dask's configuration.

    Raises
    ------
    InputError
        A file can't be read, or is not what it should be.
    ClusterError
        The address is ``tls://`` and there are no certificates.
    """
    from distributed.security import Security

    security = Security() if tls is None else _security(tls)
    if address.startswith("tls://") and _context(security, tls) is None:
        raise ClusterError(
            f"cluster.address: {address} needs certificates; set cluster.tls.ca, cert and key, "
            "or distributed.comm.tls in the Dask configuration"
        )
    return security


def network_security(settings: Settings) -> Security | None:
    """Return the encryption of a cluster whose scheduler is reached over the network; None where that is vouched for.

    Raises
    ------
    ClusterError
        There are no certificates, and ``allow_insecure`` is not set (contract C9).
    """
    from distributed.security import Security

    security = Security() if settings.tls is None else _security(settings.tls)
    if _context(security, settings.tls) is not None:
        return security
    if settings.allow_insecure:
        return None
    raise ClusterError(
        f"cluster.tls: is missing; the scheduler of kind {settings.kind} is reached over the network: set "
        "cluster.tls.ca, cert and key (riskops cluster certificates makes them), or cluster.allow_insecure: true on a "
        "network that you trust"
    )


def inherited_tls(tls: Tls | None) -> AbstractContextManager[Any]:
    """Put the certificates into Dask's configuration for the block: processes started elsewhere inherit that."""
    if tls is None:
        return nullcontext()
    role = {"cert": tls.cert, "key": tls.key}
    files = {"ca-file": tls.ca, "client": role, "scheduler": role, "worker": role}
    held = {f"distributed.comm.tls.{name}": value for name, value in files.items()}
    return dask.config.set({**held, "distributed.comm.require-encryption": True})


def _security(tls: Tls) -> Security:
    from distributed.security import Security

    for name in ("ca", "cert", "key"):
        path = Path(getattr(tls, name))
        if not path.is_file():
            raise InputError(f"cluster.tls.{name}: {path} is not a file")
    return Security(
        require_encryption=True,
        tls_ca_file=tls.ca,
        **{f"tls_{role}_cert": tls.cert for role in ("client", "scheduler", "worker")},
        **{f"tls_{role}_key": tls.key for role in ("client", "scheduler", "worker")},
    )


def _context(security: Security, tls: Tls | None) -> Any:
    """The context of the connections; None where there are no certificates."""
    try:
        return security.get_connection_args("client")["ssl_context"]
    except OSError as error:  # ssl.SSLError is one
        what = (
            "distributed.comm.tls in the Dask configuration" if tls is None else f"{tls.ca}, {tls.cert} and {tls.key}"
        )
        raise InputError(f"cluster.tls: {what} do not hold certificates and their key ({error})") from error
