"""What an engine has mapped stays in memory, in processes of their own: one cannot let go again of what it locked."""

import mmap
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.measure import procs

PAGE = mmap.PAGESIZE
MAPS = """
import mmap, os, resource, sys
from pathlib import Path
from bakeoff.measure import pages, procs
folder, locks = Path(sys.argv[1]), sys.argv[2] == "locks"
held = []
for name in ("weights", "other"):
    with open(folder / name / "data", "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        held.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
if not locks:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    if os.geteuid() == 0:
        os.setuid(65534)
pages.hold(folder / "weights")
print(*(procs.resident_bytes_under(os.getpid(), folder.resolve() / name) for name in ("weights", "other")))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmLck"].split()[0]), int(status["CapEff"], 16) >> 14 & 1)
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("weights", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_bytes(os.urandom(64 * PAGE))
    return tmp_path


@pytest.mark.parametrize("locks", ["locks", "may not lock"])
def test_what_is_mapped_from_the_artifact_is_read_and_nothing_else(folder, locks):
    done = subprocess.run(
        [sys.executable, "-c", MAPS, str(folder), locks], capture_output=True, text=True, check=True, timeout=60
    )
    sizes, locks_seen = done.stdout.splitlines()
    locked_kb, capable = map(int, locks_seen.split())
    assert sizes.split() == [str(64 * PAGE), "0"]
    if locks == "may not lock":
        assert (locked_kb, capable) == (0, 0)
    elif capable:  # CAP_IPC_LOCK
        assert locked_kb > 0


def test_addresses_of_what_is_mapped(folder):
    with (folder / "weights" / "data").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        ((begin, end),) = procs.mapped(os.getpid(), folder / "weights")
        assert end - begin == 64 * PAGE
        assert procs.mapped(os.getpid(), folder) == [(begin, end)]
        assert procs.mapped(os.getpid(), folder / "weigh") == []
    assert procs.mapped(os.getpid(), folder) == []


@pytest.mark.alone
def test_an_engine_that_serves_has_its_weights_in_memory(bench, artifact, tmp_path):
    mine = Path(shutil.copytree(artifact.path.parent, tmp_path / "artifact"))
    (mine / "weights").write_bytes(os.urandom(256 * PAGE))
    with bench.start("Maps", artifact=replace(artifact, path=mine / artifact.path.name)) as engine:
        (worker,) = [pid for pid in procs.descendants(os.getpid()) if procs.mapped(pid, mine)]
        assert procs.resident_bytes_under(worker, mine) == 256 * PAGE
        assert engine.closed(0.05).facts["disk_faults"] >= 0
