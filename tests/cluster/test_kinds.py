"""The kinds that need other machines: what they ask of their packages, and what they say without them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from riskops.cluster import job_script, open_cluster
from riskops.cluster.cuda import cuda_arguments
from riskops.cluster.extras import needed
from riskops.cluster.jobqueue import job_arguments
from riskops.cluster.kubernetes import kubernetes_spec
from riskops.cluster.settings import check_settings
from riskops.cluster.ssh import ssh_arguments
from riskops.errors import ClusterError, InputError, MissingExtraError

OPTIONS: dict[str, Any] = {
    "queue": "night",
    "account": "risk",
    "walltime": "02:00",
    "workers_per_job": 4,
    "prologue": ["module load python"],
    "directives": ["--exclusive"],
    "python": "/opt/python",
}
HEAD = {
    "slurm": ["-J riskops", "-p night", "-A risk", "-n 1", "--cpus-per-task=8", "--mem=8G", "-t 02:00", "--exclusive"],
    "pbs": ["-N riskops", "-q night", "-A risk", "-l select=1:ncpus=8:mem=8192MB", "-l walltime=02:00", "--exclusive"],
    "lsf": [
        "-J riskops",
        "-q night",
        '-P "risk"',
        "-n 8",
        '-R "span[hosts=1]"',
        "-M 8589935",
        "-W 02:00",
        "--exclusive",
    ],
}


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf"])
def test_a_job_asks_for_what_its_workers_need(kind: str) -> None:
    section = {"kind": kind, "memory_limit": "2GiB", "threads_per_worker": 2, "allow_insecure": True}
    script = job_script({**section, "dashboard": True, "options": OPTIONS})
    lines = script.splitlines()
    assert [line.split(" ", 1)[1] for line in lines if line.startswith(("#SBATCH", "#PBS", "#BSUB"))] == HEAD[kind]
    body = lines[lines.index("module load python") :]
    assert body[1:5] == [f"export {name}_NUM_THREADS=1" for name in ("MKL", "NUMBA", "OMP", "OPENBLAS")]
    command = body[5].split()
    assert command[:4] == ["/opt/python", "-m", "distributed.cli.dask_worker", "tcp://SCHEDULER:PORT"]
    told = dict(zip(command[4::2], command[5::2], strict=False))
    assert told["--nthreads"] == "2"
    assert told["--memory-limit"] == "2.00GiB"
    assert told["--nworkers"] == "4"
    assert command[command.index("--dashboard-address") + 1] == "127.0.0.1:0"
    assert "--no-dashboard" in command


def test_the_script_shown_is_the_one_that_is_submitted() -> None:
    settings: dict[str, Any] = {"memory_limit": "2GiB", "allow_insecure": True, "options": OPTIONS}
    shown = job_script({"kind": "slurm", **settings})
    arguments = job_arguments(check_settings("slurm", **settings), None)
    local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "dashboard": False}
    with needed("slurm").SLURMCluster(scheduler_options=local, silence_logs="CRITICAL", **arguments) as cluster:
        address = cluster.scheduler_address
        submitted = cluster.job_script()
    assert submitted.replace(address, "tcp://SCHEDULER:PORT").replace("dummy-name", "NAME") == shown


def test_a_job_gets_certificates_by_their_files(certificates: dict[str, str]) -> None:
    script = job_script({"kind": "pbs", "memory_limit": "2GiB", "tls": certificates})
    assert "tls://SCHEDULER:PORT" in script
    for name, key in (("ca-file", "ca"), ("cert", "cert"), ("key", "key")):
        assert f"--tls-{name} {certificates[key]}" in script
    with pytest.raises(ClusterError, match=r"^cluster.tls: is missing; the scheduler of kind pbs is reached over the"):
        job_script({"kind": "pbs", "memory_limit": "2GiB"})


def test_only_batch_systems_have_job_scripts() -> None:
    with pytest.raises(InputError, match=r"cluster.kind: processes has no job script; slurm, pbs, lsf have one"):
        job_script({"kind": "processes"})


@pytest.mark.parametrize(("kind", "command"), [("slurm", "sbatch"), ("pbs", "qsub"), ("lsf", "bsub")])
def test_a_batch_system_that_is_not_here_is_named(
    kind: str, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=f"^cluster.kind: {kind} needs the command {command} on this machine; run"):
        open_cluster(kind, memory_limit="1GiB", allow_insecure=True).__enter__()


def test_workers_come_in_whole_jobs() -> None:
    settings: dict[str, Any] = {"memory_limit": "1GiB", "allow_insecure": True, "options": {"workers_per_job": 4}}
    with pytest.raises(InputError, match=r"cluster.workers: 6 is not a multiple of cluster.options.workers_per_job, 4"):
        open_cluster("slurm", workers=6, **settings).__enter__()
    with pytest.raises(InputError, match=r"cluster.adaptive.maximum: 10 is not a multiple of"):
        open_cluster("slurm", adaptive={"minimum": 4, "maximum": 10}, **settings).__enter__()


def test_a_gpu_has_one_worker_on_loopback() -> None:
    arguments = cuda_arguments(check_settings("cuda", options={"devices": [0, 2], "rmm_pool_size": "4GiB"}))
    assert arguments["CUDA_VISIBLE_DEVICES"] == [0, 2]
    assert arguments["threads_per_worker"] == 1
    assert arguments["rmm_pool_size"] == 4 * 2**30
    assert arguments["rmm_allocator_external_lib_list"] == ["cupy"]
    assert arguments["host"] == "127.0.0.1"
    assert cuda_arguments(check_settings("cuda"))["rmm_allocator_external_lib_list"] is None


def test_ssh_hosts_each_run_workers_and_the_first_the_scheduler() -> None:
    options = {"hosts": ["one", "two"], "user": "risk", "port": 2222, "key": "k", "known_hosts": "h", "python": "/p"}
    settings = check_settings(
        "ssh", threads_per_worker=2, memory_limit="2GiB", options={**options, "workers_per_host": 3}
    )
    arguments = ssh_arguments(settings, None)
    assert arguments["hosts"] == ["one", "one", "two"]
    assert arguments["connect_options"] == {"username": "risk", "port": 2222, "client_keys": "k", "known_hosts": "h"}
    assert arguments["worker_options"] == {
        "nthreads": 2,
        "n_workers": 3,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
        "memory_limit": 2 * 2**30,
    }
    assert arguments["scheduler_options"]["dashboard_address"] == "127.0.0.1:0"
    assert arguments["remote_python"] == "/p"
    here = ssh_arguments(check_settings("ssh", options={"hosts": ["localhost"]}), None)
    assert here["worker_options"]["host"] == here["scheduler_options"]["host"] == "127.0.0.1"
    assert "known_hosts" not in here["connect_options"], "None would trust any host"


def test_ssh_to_other_machines_needs_certificates() -> None:
    with pytest.raises(ClusterError, match=r"^cluster.tls: is missing; the scheduler of kind ssh is reached over the"):
        open_cluster("ssh", options={"hosts": ["192.0.2.1"]}).__enter__()


def test_pods_get_what_they_ask_for() -> None:
    settings = check_settings(
        "kubernetes",
        workers=3,
        threads_per_worker=2,
        memory_limit="2GiB",
        allow_insecure=True,
        options={"image": "riskops:1", "name": "night"},
    )
    spec = kubernetes_spec(settings)
    assert spec["kind"] == "DaskCluster"
    assert spec["metadata"] == {"name": "night"}
    workers = spec["spec"]["worker"]
    pod = workers["spec"]["containers"][0]
    assert workers["replicas"] == 3
    assert pod["image"] == spec["spec"]["scheduler"]["spec"]["containers"][0]["image"] == "riskops:1"
    assert pod["args"][:6] == ["dask", "worker", "--nthreads", "2", "--memory-limit", str(2 * 2**30)]
    assert pod["resources"]["limits"] == pod["resources"]["requests"] == {"cpu": "2", "memory": str(2 * 2**30)}
    assert {"name": "NUMBA_NUM_THREADS", "value": "1"} in pod["env"]
    again = check_settings("kubernetes", memory_limit="1GiB", allow_insecure=True, options={"image": "i"})
    assert kubernetes_spec(again)["metadata"] != kubernetes_spec(again)["metadata"], "two clusters, two names"


def test_pods_without_encryption_have_to_be_vouched_for() -> None:
    with pytest.raises(ClusterError, match=r"^cluster.allow_insecure: kind kubernetes needs true, for Dask's operator"):
        open_cluster("kubernetes", memory_limit="1GiB", options={"image": "i"}).__enter__()


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [
        ("cuda", "dask_cuda", "dask-cuda: pip install 'riskops[gpu-cuda12]' or 'riskops[gpu-cuda13]'"),
        ("ssh", "asyncssh", "asyncssh: pip install 'riskops[ssh]'"),
        ("slurm", "dask_jobqueue", "dask-jobqueue: pip install 'riskops[jobqueue]'"),
        ("pbs", "dask_jobqueue", "dask-jobqueue: pip install 'riskops[jobqueue]'"),
        ("lsf", "dask_jobqueue", "dask-jobqueue: pip install 'riskops[jobqueue]'"),
        ("kubernetes", "dask_kubernetes", "dask-kubernetes: pip install 'riskops[kubernetes]'"),
    ],
)
def test_a_missing_package_names_its_extra(kind: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    settings: dict[str, Any] = {"allow_insecure": True, "memory_limit": "1GiB"}
    if kind == "cuda":
        settings = {}
    if kind in ("ssh", "kubernetes"):
        settings["options"] = {"hosts": ["192.0.2.1"]} if kind == "ssh" else {"image": "i"}
    with pytest.raises(MissingExtraError) as error:
        open_cluster(kind, **settings).__enter__()
    assert str(error.value) == f"cluster.kind: {kind} needs {extra}"


def test_a_package_leaves_interrupts_alone() -> None:
    """In a process of its own: this one has imported it already."""
    code = "import signal; from riskops.cluster.extras import needed; needed('slurm');" + (
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
