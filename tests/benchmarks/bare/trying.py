"""`python -m bare.trying ENGINE FOLDER`: a bare loop over the plugin's artifact of the conformance suite's model."""

from __future__ import annotations

import sys
from pathlib import Path

from bakeoff.conformance import ranker
from bare import ground, loop

ITEMS = (1, 30)


def main(engine: str, folder: Path) -> None:
    """Build, load the plugin (which settles what is the process's, as its threads) and call the loop."""
    plugin, setting = ground.plugin(engine), ground.preset(engine)
    for name in plugin.formats:
        ranker.write(folder, name)
    (folder / "built").mkdir()
    model = ranker.model(folder, plugin.formats)
    artifact = plugin.build(model, "fp32", setting, ground.DEVICE, folder / "built")
    plugin.load(artifact, setting, ground.DEVICE)
    bare = loop.module(engine).loop(artifact, {})
    for items in ITEMS:
        assert bare.call(bare.given(ranker.request(items, 0))) is not None
    sys.stdout.write(f"answered {', '.join(map(str, ITEMS))} items\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
