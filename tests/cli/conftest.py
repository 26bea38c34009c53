"""The command line as a person runs it, in this process."""

import sys

import pytest

from bakeoff.cli import main


@pytest.fixture
def command(monkeypatch, capsys):
    """What `bakeoff WORDS` prints, or its complaint where it ends badly."""

    def run(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["bakeoff", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code or 0) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return run
