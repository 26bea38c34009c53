"""Installs the misbehaving backends into a folder, as a package with entry points would be.

    python tests/naughty/install.py FOLDER

With FOLDER on PYTHONPATH they are registered like any plugin, in this process's children too. "naughty-missing" names
a module that does not exist.
"""

import sys
from pathlib import Path

MODULE = "naughty_backends"
CLASSES = {
    "naughty-aborts": "Aborts",
    "naughty-chatters": "Chatters",
    "naughty-crowded": "Crowded",
    "naughty-glutton": "Glutton",
    "naughty-hangs": "Hangs",
    "naughty-honest": "Honest",
    "naughty-lazy": "Lazy",
    "naughty-nan": "ReturnsNan",
    "naughty-parent": "Parent",
    "naughty-raises": "RaisesInInfer",
    "naughty-raises-in-build": "RaisesInBuild",
    "naughty-raises-in-load": "RaisesInLoad",
    "naughty-segfaults": "Segfaults",
    "naughty-strays": "Strays",
    "naughty-unavailable": "IsNotHere",
    "naughty-unsupported": "CannotBuild",
    "naughty-wrong-shape": "WrongShape",
}


def install(folder: Path) -> Path:
    """Write the module and its metadata; gives the folder, to be put on PYTHONPATH."""
    info = folder / "naughty-1.0.dist-info"
    info.mkdir(parents=True)
    source = Path(__file__).with_name(f"{MODULE}.py")
    (folder / source.name).write_bytes(source.read_bytes())
    points = [f"{name} = {MODULE}:{target}" for name, target in CLASSES.items()]
    points.append("naughty-missing = naughty_module_that_is_not_there:Backend")
    (info / "entry_points.txt").write_text("[bakeoff.backends]\n" + "\n".join(points) + "\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: naughty\nVersion: 1.0\n")
    return folder


if __name__ == "__main__":
    install(Path(sys.argv[1]))
