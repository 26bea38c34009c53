"""Energy counters: a tree of RAPL zones, and NVML's Python package as far as it is used."""

import sys

import pytest

from bakeoff.measure import energy, linux
from bakeoff.measure.energy import Energy

PACKAGE = "sys/class/powercap/intel-rapl:0"


@pytest.fixture
def zones(tmp_path, monkeypatch):
    """Two packages, a sub-zone of one, and what holds them all; gives what sets a counter."""
    monkeypatch.setattr(linux, "ROOT", tmp_path)
    names = {"0": "package-0", "0:0": "core", "1": "package-1", "2": "psys"}

    def put(zone, joules):
        (tmp_path / f"sys/class/powercap/intel-rapl:{zone}/energy_uj").write_text(f"{round(joules * 1e6)}\n")

    for zone, name in names.items():
        folder = tmp_path / f"sys/class/powercap/intel-rapl:{zone}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text("262143000000\n")
        put(zone, 100.0)
    return put


def test_packages_add_up_and_their_parts_do_not_count_twice(zones):
    before = Energy.now()
    zones("0", 103.5)
    zones("1", 102.0)
    zones("0:0", 103.0)
    zones("2", 110.0)
    assert before.since() == {"energy_j": pytest.approx(5.5), "energy_source": "RAPL"}


def test_a_counter_that_began_again_is_taken_on(zones):
    zones("0", 262_140.0)
    before = Energy.now()
    zones("0", 2.0)
    assert before.since()["energy_j"] == pytest.approx(5.0)


def test_what_cannot_be_read_is_absent(zones, tmp_path):
    for zone in "01":
        file = tmp_path / f"sys/class/powercap/intel-rapl:{zone}/energy_uj"
        file.unlink()
        file.mkdir()
    assert Energy.now().since() == {}


NVML = """
class NVMLError(Exception):
    pass

def nvmlInit():
    if broken:
        raise NVMLError

def nvmlDeviceGetCount():
    return 2

def nvmlDeviceGetHandleByIndex(index):
    return index

def nvmlDeviceGetTotalEnergyConsumption(handle):
    if handle == 1:
        raise NVMLError("not supported")
    return millijoules

broken, millijoules = False, 7_000
"""


@pytest.fixture
def nvml(tmp_path, monkeypatch):
    (tmp_path / "pynvml.py").write_text(NVML)
    monkeypatch.syspath_prepend(str(tmp_path))
    energy._library.cache_clear()
    import pynvml

    yield pynvml
    del sys.modules["pynvml"]
    energy._library.cache_clear()


def test_a_gpu_counts_where_the_engine_runs_on_one(nvml, zones):
    before, beside = Energy.now("cuda"), Energy.now("cpu")
    nvml.millijoules = 9_500
    zones("0", 101.0)
    assert before.since() == {"energy_j": pytest.approx(3.5), "energy_source": "NVML+RAPL"}
    assert beside.since() == {"energy_j": pytest.approx(1.0), "energy_source": "RAPL"}


def test_a_driver_that_does_not_answer_is_no_source(nvml, zones):
    nvml.broken = True
    assert Energy.now("cuda").since()["energy_source"] == "RAPL"
