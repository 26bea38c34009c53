import json
import os
import re

import pytest

from bakeoff.errors import UserError
from bakeoff.measure import host, linux
from bakeoff.measure.gpu import gpus


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
def machine(tmp_path, monkeypatch):
    """Four CPUs, and a tree of /proc and /sys that holds what is put into it."""
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: {2, 3, 5, 7})
    monkeypatch.setattr(linux, "ROOT", tmp_path)

    def put(files):
        for path, content in files.items():
            file = tmp_path / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)

    return put


def test_engines_leave_one_cpu_to_the_generator(machine):
    assert host.engine_cpus(None) == ((3, 5, 7), 2)
    assert host.engine_cpus(2) == ((5, 7), 2)
    assert host.engine_cpus(4) == ((2, 3, 5, 7), None)
    with pytest.raises(UserError, match="cpus: 5 asked for, and this process may use 4"):
        host.engine_cpus(5)


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(
            {
                "/proc/self/cgroup": "0::/a/b\n",
                "/sys/fs/cgroup/a/cpu.max": "250000 100000\n",
                "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            },
            id="v2: the parent's",
        ),
        pytest.param(
            {
                "/proc/self/cgroup": "4:cpu,cpuacct:/x\n5:memory:/y\n",
                "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "125000",
                "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "50000",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            id="v1",
        ),
        pytest.param(
            {
                "/proc/self/cgroup": "4:cpu,cpuacct:/docker/far/away\n0::/docker/far/away\n",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            id="v1 in a container, which sees its group at the root",
        ),
        pytest.param(
            {"/proc/self/cgroup": "0::/../elsewhere\n", "/sys/fs/cgroup/cpu.max": "250000 100000\n"},
            id="v2 in a container, its path outside of what it sees",
        ),
    ],
)
def test_quotas_of_both_cgroup_versions_count(machine, files):
    machine(files)
    assert host.quota_cpus() == 2.5
    assert host.allowed_cpus() == (2, 3)
    assert host.engine_cpus(None) == ((3,), 2)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/cpu.max": "max 100000\n"},
        {"/proc/self/cgroup": "1:cpu:/\n", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"},
    ],
)
def test_without_a_quota_the_affinity_alone_counts(machine, files):
    machine(files)
    assert host.quota_cpus() is None
    assert host.allowed_cpus() == (2, 3, 5, 7)


def test_less_than_one_cpu_is_one(machine):
    machine({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "50000 100000\n"})
    assert host.quota_cpus() == 0.5
    assert host.engine_cpus(None) == ((2,), None)


def test_memory_is_bounded_by_the_cgroup(machine):
    machine(
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


def test_memory_of_the_older_cgroups_and_of_none(machine):
    machine({"/proc/meminfo": "MemTotal:  8192 kB\nMemAvailable:   4096 kB\n"})
    assert (host.memory_bytes(), host.available_memory_bytes()) == (8 << 20, 4 << 20)
    machine(
        {
            "/proc/self/cgroup": "9:memory:/x\n",
            "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "3145728",
            "/sys/fs/cgroup/memory/x/memory.usage_in_bytes": "9999999",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        }
    )
    assert (host.memory_bytes(), host.available_memory_bytes()) == (3 << 20, 0)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, "none"),
        ({"/.dockerenv": ""}, "docker"),
        ({"/run/.containerenv": ""}, "podman"),
        ({"/.dockerenv": "", "/var/run/secrets/kubernetes.io/token": ""}, "kubernetes"),
        ({"/proc/1/cgroup": "5:cpu:/kubepods/pod1\n"}, "kubernetes"),
        ({"/run/systemd/container": "lxc"}, "container"),
    ],
)
def test_the_container_has_a_name(machine, files, kind):
    machine(files)
    assert host.container() == kind


def test_processors_are_named_on_both_architectures(machine):
    machine({"/proc/cpuinfo": "model name\t: Some CPU 1\nflags\t\t: fpu avx2 amx_bf16 hypervisor\n"})
    assert (host.cpu_model(), host.cpu_flags()) == ("Some CPU 1", ["avx2", "amx_bf16"])
    assert host.facts()["virtual"] is True
    machine({"/proc/cpuinfo": "Features\t: fp asimd i8mm bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"})
    assert (host.cpu_model(), host.cpu_flags()) == ("0x41 0xd40", ["i8mm", "bf16"])


def test_governors_of_the_cpus_to_be_had(machine):
    assert host.governor() == "unknown"
    machine({f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor": "powersave\n" for cpu in (0, 1, 2)})
    assert host.governor() == "powersave"
    machine({"/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "performance\n"})
    assert host.governor() == "performance, powersave"


def test_noise_tells_shares_of_time():
    noise = host.noise(0.02)
    assert 0 <= noise["lost"] <= 1
    assert noise["worst_gap_ms"] >= 0
    assert set(noise) - {"psi"} == {"lost", "worst_gap_ms", "switches_per_second", "steal", "load"}


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert host.environment()["git_commit"] == ""


def test_one_cpu_is_shared(machine, monkeypatch):
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: {0})
    assert host.engine_cpus(None) == ((0,), None)


def test_a_machine_that_tells_nothing(machine, monkeypatch):
    monkeypatch.setenv("PATH", "")
    facts = host.facts()
    assert facts["cpu"] == ""
    assert facts["quota_cpus"] is None
    assert facts["container"] == "none"
    assert facts["gpus"] == []
    assert host.Pressure.now().since() == {"steal": 0.0}


def test_pressure_is_a_share_of_the_time(machine):
    machine({"/proc/pressure/cpu": "some avg10=0 total=0\n", "/proc/stat": "cpu 0 0 0 0 0 0 0 0\n"})
    before = host.Pressure.now()
    machine({"/proc/pressure/cpu": "some avg10=0 total=999999999\n", "/proc/stat": "cpu 0 0 0 0 0 0 0 99\n"})
    since = before.since()
    assert since["psi"] > 1
    assert since["steal"] > 0


SMI = """#!/bin/sh
echo "NVIDIA H200, 570.86.15, 143771, 9.0"
echo "NVIDIA H200, 570.86.15, [N/A], [N/A]"
"""
DRIVER = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n"


def test_gpus_by_the_drivers_own_program(machine, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    gpu = {"name": "NVIDIA H200", "driver": "570.86.15"}
    assert gpus() == [gpu | {"memory_bytes": 143771 << 20, "compute_capability": "9.0"}, gpu]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpus() == []


@pytest.mark.parametrize(
    ("version", "driver"),
    [(DRIVER, "570.86.15"), ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat\n", "535.104.05")],
)
def test_gpus_by_what_the_driver_tells(machine, monkeypatch, version, driver):
    monkeypatch.setenv("PATH", "")
    assert gpus() == []
    machine({"/proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA L4\nIRQ: 7\n"})
    assert gpus() == [{"name": "NVIDIA L4", "driver": "unknown"}]
    machine({"/proc/driver/nvidia/version": version})
    assert gpus() == [{"name": "NVIDIA L4", "driver": driver}]
