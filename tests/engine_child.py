"""A Python process for what an engine's import or settings must not reach: the tests of the backends run in these."""

import os
import subprocess
import sys

LIMIT_S = 900


def child(*words: str, **environment: str) -> str:
    """What a child printed last; the engines' own chatter comes before it."""
    done = subprocess.run(
        [sys.executable, *words], env=os.environ | environment, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().rpartition("\n")[2]
