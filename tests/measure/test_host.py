import json
import os
import re

import pytest

from bakeoff.errors import UserError
from bakeoff.measure import host


def test_facts_are_json_and_name_nobody():
    facts = host.facts() | host.environment()
    text = json.dumps(facts)
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 0
    assert "numpy" in facts["packages"]
    assert re.fullmatch("[0-9a-f]{12}", facts["host"])
    assert os.uname().nodename not in text.replace(facts["kernel"], "")
    assert host.host_id() == host.host_id()


@pytest.fixture
def machine(monkeypatch):
    """Four CPUs, and files as given."""
    files = {}
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: {2, 3, 5, 7})
    monkeypatch.setattr(host, "_text", lambda path: files.get(str(path), ""))
    return files


def test_engines_leave_one_cpu_to_the_generator(machine):
    assert host.engine_cpus(None) == ((3, 5, 7), 2)
    assert host.engine_cpus(2) == ((5, 7), 2)
    assert host.engine_cpus(4) == ((2, 3, 5, 7), None)
    with pytest.raises(UserError, match="cpus: 5 asked for, and this process may use 4"):
        host.engine_cpus(5)


@pytest.mark.parametrize(
    "files",
    [
        {
            "/proc/self/cgroup": "0::/a/b\n",
            "/sys/fs/cgroup/a/cpu.max": "250000 100000\n",
            "/sys/fs/cgroup/a/b/cpu.max": "max",
        },
        {
            "/proc/self/cgroup": "4:cpu,cpuacct:/x\n5:memory:/y\n",
            "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "125000",
            "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "50000",
        },
    ],
)
def test_quotas_of_both_cgroup_versions_count(machine, files):
    machine.update(files)
    assert host.quota_cpus() == 2.5
    assert host.allowed_cpus() == (2, 3)
    assert host.engine_cpus(None) == ((3,), 2)


def test_memory_is_bounded_by_the_cgroup(machine):
    machine.update(
        {
            "/proc/self/cgroup": "0::/a\n",
            "/proc/meminfo": "MemTotal:  8192 kB\nMemAvailable:   4096 kB\n",
            "/sys/fs/cgroup/a/memory.max": "2097152",
            "/sys/fs/cgroup/a/memory.current": "1048576",
            "/sys/fs/cgroup/memory.max": "max",
        }
    )
    assert host.memory_bytes() == 2 << 20
    assert host.available_memory_bytes() == 1 << 20


def test_one_cpu_is_shared(machine, monkeypatch):
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: {0})
    assert host.engine_cpus(None) == ((0,), None)


def test_a_machine_that_tells_nothing(machine):
    facts = host.facts()
    assert facts["cpu"] == ""
    assert facts["quota_cpus"] is None
    assert host.Pressure.now().since() == {"psi": 0.0, "steal": 0.0}


def test_pressure_is_a_share_of_the_time(machine):
    machine.update({"/proc/pressure/cpu": "some avg10=0 total=0\n", "/proc/stat": "cpu 0 0 0 0 0 0 0 0\n"})
    before = host.Pressure.now()
    machine.update({"/proc/pressure/cpu": "some avg10=0 total=999999999\n", "/proc/stat": "cpu 0 0 0 0 0 0 0 99\n"})
    since = before.since()
    assert since["psi"] > 1
    assert since["steal"] > 0


def test_noise_is_looked_for():
    noise = host.noise(0.02)
    assert 0 <= noise["lost"] <= 1
    assert noise["worst_gap_ms"] >= 0
    assert set(noise) == {"lost", "worst_gap_ms", "psi", "steal", "load"}


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert host.environment()["git_commit"] == ""
