"""Run the tests of ``store.url`` against a local S3 server: ``python tests/faults/on_s3.py``.

The server is moto's, in an environment of its own (it asks for older packages than riskops does): that of
``MOTO_SERVER``, else what ``uv tool run`` makes. It listens on loopback only and is ended with the tests.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
UV = Path(sys.executable).parent / "uv"
SERVER = os.environ.get("MOTO_SERVER", f"{UV if UV.exists() else 'uv'} tool run --from moto[server] moto_server")
BUCKET = "riskops-tests"
#: What riskops itself reads: nothing of it is ever part of a configuration.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@contextmanager
def server() -> Iterator[str]:
    """The address of a server with an empty bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [*shlex.split(SERVER), "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            make_bucket(address, process, seconds=180.0)
            yield address
        finally:
            os.killpg(process.pid, 15)


def make_bucket(address: str, process: subprocess.Popen[bytes], *, seconds: float) -> None:
    """Ask until the server answers; it may have to be installed first."""
    until = time.monotonic() + seconds
    while True:
        try:
            request = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")
            with urllib.request.urlopen(request, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"on_s3: {SERVER} does not answer at {address}") from None
            time.sleep(0.2)


def main() -> int:
    """The exit status of the tests."""
    with server() as address:
        environment = os.environ | ENVIRONMENT | {"AWS_ENDPOINT_URL": address, "RISKOPS_TEST_BUCKET": f"s3://{BUCKET}"}
        words = [sys.executable, "-m", "pytest", "-q", "tests/run/test_store_url.py", "-k", "s3", *sys.argv[1:]]
        return subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
