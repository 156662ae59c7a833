"""Each kind has its settings: what is missing, unknown or idle is refused in one line, and all are described."""

from __future__ import annotations

from typing import Any

import pytest

from riskops.cluster.options import OPTIONS, cluster_options, options_of
from riskops.cluster.settings import KINDS, Adaptive, check_settings, has_meaning
from riskops.errors import InputError

TLS = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
SLURM: dict[str, Any] = {"kind": "slurm", "memory_limit": "4GiB"}
SSH: dict[str, Any] = {"kind": "ssh", "options": {"hosts": ["a"]}}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tls": TLS}, "cluster.tls: {'ca': 'ca.pem', 'cert': 'cert.pem', 'key': 'key.pem'} has no meaning with"),
        ({"kind": "address", "address": "tls://h:1", "tls": {"ca": "a"}}, "cluster.tls.cert: is missing; TLS needs"),
        (
            {"kind": "address", "address": "tcp://h:1", "tls": TLS},
            "cluster.tls: has no meaning with tcp://h:1; certificates are for tls://",
        ),
        ({"kind": "address", "tls": {**TLS, "pin": "1"}}, "cluster.tls: 'pin' is not one of ca, cert, key"),
        ({"adaptive": {"minimum": 1, "maximum": 2}}, "cluster.adaptive: {'minimum': 1, 'maximum': 2} has no meaning"),
        ({"kind": "processes", "adaptive": {"minimum": 1}}, "cluster.adaptive.maximum: is missing; adaptive scaling"),
        (
            {"kind": "processes", "adaptive": {"minimum": 0, "maximum": 2}},
            "cluster.adaptive.minimum: 0 is not an integer >= 1",
        ),
        (
            {"kind": "processes", "adaptive": {"minimum": 3, "maximum": 2}},
            "cluster.adaptive.maximum: 2 is not an integer >= 3",
        ),
        (
            {"kind": "processes", "workers": 2, "adaptive": {"minimum": 1, "maximum": 2}},
            "cluster.workers: 2 has no meaning with cluster.adaptive, which bounds them",
        ),
        ({"allow_insecure": True}, "cluster.allow_insecure: True has no meaning with cluster.kind: threads"),
        ({"kind": "cuda", "workers": 2}, "cluster.workers: 2 has no meaning with cluster.kind: cuda"),
        ({"kind": "slurm"}, "cluster.memory_limit: is missing; kind slurm asks for that much for each worker"),
        ({"kind": "ssh"}, "cluster.options.hosts: is missing; kind ssh needs a list of host names"),
        ({"kind": "kubernetes", "memory_limit": "1GiB"}, "cluster.options.image: is missing; kind kubernetes needs"),
        ({"options": {"queue": "q"}}, "cluster.options.queue: has no meaning with cluster.kind: threads; it is an"),
        (
            {**SLURM, "options": {"queeu": "q"}},
            "cluster.options.queeu: unknown option of kind slurm; did you mean queue?",
        ),
        (
            {**SLURM, "options": {"zzz": 1}},
            "cluster.options.zzz: unknown option of kind slurm; known are queue, ",
        ),
        ({"options": {"zzz": 1}}, "cluster.options.zzz: unknown option of kind threads; it has none"),
        ({**SLURM, "options": {"queue": 3}}, "cluster.options.queue: 3 is not a text of one line"),
        ({**SLURM, "options": {"prologue": "x"}}, "cluster.options.prologue: 'x' is not a list of texts"),
        (
            {**SLURM, "options": {"prologue": ["a", "b\nc"]}},
            "cluster.options.prologue[1]: 'b\\nc' is not a text",
        ),
        ({**SLURM, "options": {"workers_per_job": 0}}, "cluster.options.workers_per_job: 0 is not an integer >= 1"),
        ({**SLURM, "options": {"wait": 0}}, "cluster.options.wait: 0 is not above zero"),
        ({"kind": "ssh", "options": {"hosts": ["-oX"]}}, "cluster.options.hosts[0]: '-oX' is not a host's name or"),
        ({"kind": "ssh", "options": {"hosts": ["u@h"]}}, "cluster.options.hosts[0]: 'u@h' is not a host's name or add"),
        ({"kind": "ssh", "options": {"hosts": ["h"], "port": 0}}, "cluster.options.port: 0 is not an integer >= 1 and"),
        ({"kind": "cuda", "options": {"devices": [-1]}}, "cluster.options.devices[0]: -1 is not an integer >= 0"),
        (
            {"kind": "cuda", "options": {"rmm_pool_size": "x"}},
            "cluster.options.rmm_pool_size: 'x' is not a number of by",
        ),
    ],
)
def test_what_is_wrong_or_idle_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as error:
        check_settings(**settings)
    assert str(error.value).startswith(text)
    assert "\n" not in str(error.value)


def test_settings_come_out_checked_and_complete() -> None:
    settings = check_settings(**SLURM, adaptive={"minimum": 1, "maximum": 3}, options={"queue": "q", "account": None})
    assert settings.memory_limit == 4 * 2**30
    assert settings.adaptive == Adaptive(1, 3)
    assert settings.options is not None
    assert settings.options["queue"] == "q"
    assert settings.options["workers_per_job"] == 1
    assert set(settings.options) == set(options_of("slurm"))


def test_files_are_found_wherever_a_process_starts(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tls = check_settings(**SSH, tls=TLS).tls
    assert tls is not None
    assert tls.ca == str(tmp_path / "ca.pem")


def test_every_option_is_described_once_for_kinds_that_exist() -> None:
    assert len({option.name for option in OPTIONS}) == len(OPTIONS)
    for option in OPTIONS:
        assert set(option.kinds) <= set(KINDS)
        assert all(has_meaning("options", kind) for kind in option.kinds)
        assert len(option.description) > 10
        if not option.required and option.default is not None:
            assert option.check("x", option.default) == option.default
    for kind in KINDS:
        assert bool(options_of(kind)) == has_meaning("options", kind)
    assert cluster_options("threads", None) == {}
