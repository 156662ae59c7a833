"""Encryption by certificate files: who has them gets in, who has not is told, and what the network sees needs them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import pytest
from distributed import LocalCluster, Security

from riskops.cluster import open_cluster, write_certificates
from riskops.cluster.nodes import certificate_files, scheduler_command, worker_command
from riskops.cluster.security import client_security, network_security
from riskops.cluster.settings import Tls, check_settings
from riskops.errors import ClusterError, InputError, MissingExtraError


@pytest.fixture(scope="module")
def scheduler(certificates: dict[str, str]) -> Iterator[str]:
    """An encrypted scheduler that runs already, with one worker."""
    security = client_security(Tls(**certificates), address="tls://here")
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tls://",
        host="127.0.0.1",
        security=security,
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        silence_logs="CRITICAL",
    ) as local:
        yield local.scheduler_address


def test_the_files_open_an_encrypted_scheduler(scheduler: str, certificates: dict[str, str]) -> None:
    assert scheduler.startswith("tls://127.0.0.1:")
    with open_cluster("address", address=scheduler, tls=certificates) as cluster:
        assert cluster.compute(da.ones(8, chunks=4).sum()) == (8.0,)


def test_the_configuration_of_dask_opens_it_too(scheduler: str, certificates: dict[str, str]) -> None:
    tls = {"ca-file": certificates["ca"], "client.cert": certificates["cert"], "client.key": certificates["key"]}
    with (
        dask.config.set({f"distributed.comm.tls.{name}": path for name, path in tls.items()}),
        open_cluster("address", address=scheduler) as cluster,
    ):
        assert cluster.compute(da.ones(8, chunks=4).sum()) == (8.0,)


def test_other_certificates_do_not(scheduler: str, tmp_path: Path) -> None:
    stranger = write_certificates(tmp_path / "other")
    with pytest.raises(ClusterError, match=f"^cluster.address: {scheduler} hangs up on a Dask client") as error:
        open_cluster("address", address=scheduler, tls=stranger).__enter__()
    assert "\n" not in str(error.value)


def test_files_that_are_missing_or_hold_something_else(
    scheduler: str, certificates: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"^cluster.tls.key: {tmp_path}/none is not a file$"):
        open_cluster("address", address=scheduler, tls={**certificates, "key": f"{tmp_path}/none"}).__enter__()
    other = write_certificates(tmp_path / "other")
    with pytest.raises(InputError, match=r"^cluster.tls: .* do not hold certificates and their key \("):
        open_cluster("address", address=scheduler, tls={**certificates, "key": other["key"]}).__enter__()


def test_what_listens_on_the_network_is_encrypted_or_vouched_for(certificates: dict[str, str]) -> None:
    ssh: dict[str, Any] = {"kind": "ssh", "options": {"hosts": ["192.0.2.1"]}}
    with pytest.raises(ClusterError, match=r"^cluster.tls: is missing; the scheduler of kind ssh is reached"):
        network_security(check_settings(**ssh))
    assert network_security(check_settings(**ssh, allow_insecure=True)) is None
    security = network_security(check_settings(**ssh, tls=certificates))
    assert isinstance(security, Security)
    assert security.require_encryption
    assert security.tls_worker_key == certificates["key"]


def test_certificates_are_for_their_owner_alone_and_verify(tmp_path: Path) -> None:
    files = write_certificates(tmp_path / "new" / "folder", days=2)
    for path in (Path(files["ca"]).parent, *map(Path, files.values())):
        assert not stat.S_IMODE(os.stat(path).st_mode) & 0o077, path
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == ["ca.pem", "cert.pem", "key.pem"], "no authority's key"
    said = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", files["ca"], files["cert"]], capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    with pytest.raises(InputError, match=r"ca.pem, cert.pem, key.pem exists; choose another folder"):
        write_certificates(tmp_path / "new" / "folder")
    (tmp_path / "file").write_text("", "ascii")
    with pytest.raises(InputError, match=r"file: can't be written: "):
        write_certificates(tmp_path / "file")


def test_certificates_need_their_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtraError, match=r"^certificates: need cryptography: pip install 'riskops\[tls\]'$"):
        write_certificates(tmp_path / "a")


def test_the_scheduler_that_is_started_by_hand_is_safe(certificates: dict[str, str]) -> None:
    tls = certificate_files(Path(certificates["ca"]).parent)
    assert tls == certificates
    command = scheduler_command("10.0.0.1", 8786, tls=tls)
    assert command[3:9] == ["--host", "10.0.0.1", "--port", "8786", "--protocol", "tls"]
    assert f"--tls-key={certificates['key']}" in command
    assert command[command.index("--dashboard-address") + 1].startswith("127.0.0.1:")
    for host in ("10.0.0.1", "0.0.0.0", "2001:db8::1"):
        with pytest.raises(ClusterError, match="is neither on this machine nor encrypted"):
            scheduler_command(host, 8786, tls={})
    assert "tcp" in scheduler_command("10.0.0.1", 8786, tls={}, allow_insecure=True)
    assert "tcp" in scheduler_command("127.0.0.1", 8786, tls={})


def test_the_workers_that_are_started_by_hand_are_safe(certificates: dict[str, str]) -> None:
    command = worker_command("tls://10.0.0.1:8786", tls=certificates, workers=4, threads=2, memory_limit="2GiB")
    assert command[3] == "tls://10.0.0.1:8786"
    assert command[4:10] == ["--nworkers", "4", "--nthreads", "2", "--memory-limit", str(2 * 2**30)]
    assert f"--tls-ca-file={certificates['ca']}" in command
    with pytest.raises(ClusterError, match="is neither on this machine nor encrypted"):
        worker_command("tcp://10.0.0.1:8786", tls={})
    with pytest.raises(ClusterError, match=r"^--certificates: is missing; tls://10.0.0.1:8786 needs certificates"):
        worker_command("tls://10.0.0.1:8786", tls={})
    near = worker_command("tcp://127.0.0.1:8786", tls={})
    assert near[near.index("--host") + 1] == "127.0.0.1"
    for made in (command, near):
        assert made[made.index("--dashboard-address") + 1].startswith("127.0.0.1:")
    with pytest.raises(InputError, match=r"--memory-limit: 'x' is not a number of bytes"):
        worker_command("tls://10.0.0.1:8786", tls=certificates, memory_limit="x")


def test_a_folder_without_certificates_is_named(tmp_path: Path) -> None:
    assert certificate_files(None) == {}
    with pytest.raises(InputError, match=r"--certificates: .*ca.pem is not a file; riskops cluster certificates"):
        certificate_files(tmp_path)
