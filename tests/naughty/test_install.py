"""The misbehaving backends are registered as a stranger's plugins would be."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

INSTALL = Path(__file__).with_name("install.py")

LIST = """
from bakeoff.backends import create, registered
for name, point in registered().items():
    if name.startswith("naughty-") and name != "naughty-missing":
        assert create(point.value).name == name, name
        print(name)
"""


def test_child_processes_find_every_one_by_its_entry_point(tmp_path):
    subprocess.run([sys.executable, str(INSTALL), str(tmp_path)], check=True)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", LIST], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(runpy.run_path(str(INSTALL))["CLASSES"])
