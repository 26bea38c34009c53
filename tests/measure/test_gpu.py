"""What children see of the machine's GPUs, what an artifact for one is bound to, and the limit of its memory."""

import os
from pathlib import Path

import numpy as np
import pytest

from bakeoff.backends import Resources, Setting
from bakeoff.candidates import Candidate
from bakeoff.contest import artifacts
from bakeoff.contest.plan import Entry
from bakeoff.errors import UserError
from bakeoff.measure import gpu, gpu_memory
from bakeoff.measure.child import StageFailed

CARDS = 'echo "NVIDIA H200, 570.86.15, 143771, 9.0"; echo "NVIDIA L4, 570.86.15, 23034, 8.9"'


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """An nvidia-smi that answers by what it is asked."""

    def answer(cards="", held=""):
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\ncase "$1" in --query-gpu*) {cards or ":"};; *) {held or ":"};; esac\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        gpu.architecture.cache_clear()

    yield answer
    gpu.architecture.cache_clear()


@pytest.mark.parametrize(
    ("given", "device", "seen"),
    [
        (None, "cpu", ""),
        ("0,1", "cpu", ""),
        (None, "cuda", "0"),
        (None, "cuda:1", "1"),
        (None, "cuda:2+0", "2,0"),
        ("3,GPU-5a", "cuda", "3"),
        ("3,GPU-5a", "cuda:1", "GPU-5a"),
        ("3,GPU-5a", "cuda:1+0", "GPU-5a,3"),
    ],
)
def test_a_child_sees_the_replicas_gpus_alone_and_counts_them_anew(monkeypatch, given, device, seen):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert gpu.environment(device) == {"CUDA_VISIBLE_DEVICES": seen, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_more_gpus_than_this_process_was_given_are_a_mistake(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(UserError, match="device: cuda:1: CUDA_VISIBLE_DEVICES=3 leaves 1 GPUs to choose from"):
        gpu.environment("cuda:1")


def test_an_engine_on_the_cpu_is_shown_no_gpu(bench, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with bench.start("Honest") as engine:
        (child,) = engine._children
        environment = Path(f"/proc/{child.process.pid}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=" in environment
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def place(device, prepared):
    candidate = Candidate("fast", "fp32", Setting("1x1"), device=device)
    return artifacts.folder(prepared, Entry(candidate, "m:Fast", build_key="{}"), "avx2", "run")


def test_an_artifact_is_bound_to_the_gpu_and_on_the_cpu_its_place_is_what_it_was(smi, tiny_prepared, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    smi(CARDS)
    assert gpu.architecture("cuda:1") == "1 of NVIDIA H200 9.0, NVIDIA L4 8.9"
    assert gpu.architecture("cpu") == ""
    here = {device: place(device, tiny_prepared) for device in ("cpu", "cuda", "cuda:1")}
    assert len(set(here.values())) == 3
    smi(CARDS.replace("H200", "B200"))
    assert place("cpu", tiny_prepared) == here["cpu"]
    assert place("cuda", tiny_prepared) != here["cuda"]
    smi()
    assert gpu.architecture("cuda") == "0 of none known"


def test_the_memory_of_some_processes_is_added_up_over_gpus(smi):
    smi(held='echo "11, 500"; echo "12, 700"; echo "11, 20"; echo "13, [N/A]"')
    assert gpu.memory_bytes({11, 12}) == 1220 << 20
    assert gpu.memory_bytes({11, 13}) is None
    assert gpu.memory_bytes({99}) is None


@pytest.mark.parametrize(("limit_mib", "outcome"), [(None, None), (1000, None), (500, "out-of-memory")])
def test_a_warm_engine_is_held_to_its_gpu_memory(smi, limit_mib, outcome):
    smi(held=f'echo "{os.getpid()}, 600"')
    limit_bytes = limit_mib and limit_mib << 20
    if outcome is None:
        assert gpu_memory.held("cuda", [os.getpid()], limit_bytes) == {"gpu_memory_bytes": 600 << 20}
        return
    with pytest.raises(StageFailed) as failed:
        gpu_memory.held("cuda", [os.getpid()], limit_bytes)
    assert (failed.value.stage, failed.value.outcome) == ("load", outcome)
    assert failed.value.reason == "holds 600 MiB of GPU memory, above the limit of 500"
    assert failed.value.facts == {"gpu_memory_bytes": 600 << 20}


def test_what_the_driver_does_not_tell_passes_no_limit_and_is_no_fact(smi):
    smi()
    assert gpu_memory.held("cuda", [os.getpid()], None) == {}
    assert gpu_memory.held("cpu", [os.getpid()], 1) == {}
    with pytest.raises(StageFailed) as failed:
        gpu_memory.held("cuda", [os.getpid()], 1 << 30)
    assert (failed.value.outcome, failed.value.remedy) == (
        "unavailable",
        "leave out resources.gpu_memory, or share the host's pids",
    )


def test_engines_loaded_together_share_the_smallest_gpu(smi):
    smi(CARDS)
    assert gpu.least_memory_bytes("cuda") == 23034 << 20
    assert gpu.least_memory_bytes("cpu") is None
    smi()
    assert gpu.least_memory_bytes("cuda") is None


def test_what_an_engine_counts_of_its_transfers_is_a_fact_of_the_block(bench):
    with bench.start("Split") as engine:
        block = engine.closed(0.2)
    with bench.start("Honest") as engine:
        plain = engine.closed(0.1)
    assert block.facts["transfer_ns"] == 100_000 * len(block)
    assert block.transfer_share() > 0.0
    assert "transfer_ns" not in plain.facts
    assert np.isnan(plain.transfer_share())


def test_the_plugin_hears_how_many_gpus_there_are_and_the_kind_of_device(monkeypatch, tmp_path):
    from bakeoff.measure import stages

    heard = {}

    def ask(verb, stage, launch, order, limit_s):
        heard.update(order, launch=launch)
        facts = {"version": "1", "details": {}}
        return {"facts": facts, "precisions": [], "settings": [], "build_keys": {}, "instances": "", "on_request": []}

    monkeypatch.setattr(stages, "ask", ask)
    stages.probe("m:Fast", "cuda:0+1", Resources(2, gpus=2), tmp_path / "log")
    assert (heard["device"], heard["resources"]["gpus"], heard["launch"].device) == ("cuda", 2, "cuda:0+1")
