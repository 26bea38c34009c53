"""The frame's formats."""

import json
from pathlib import Path

import pandas as pd
import pytest

from bakeoff.errors import UserError
from bakeoff.show import formats


@pytest.fixture
def frame():
    return pd.DataFrame({"candidate": ["a", "b"], "p99_ms": [11.81234, None], "requests": [100, 0]})


def test_csv_leaves_absent_figures_empty(frame, tmp_path, capsys):
    formats.write_csv(frame, tmp_path / "run.csv")
    assert (tmp_path / "run.csv").read_text().splitlines()[2] == "b,,0"
    formats.write_csv(frame, Path("-"))
    assert capsys.readouterr().out.startswith("candidate,p99_ms,requests\na,11.81234,100")


def test_parquet_keeps_types(frame, tmp_path):
    formats.write_parquet(frame, tmp_path / "run.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "run.parquet"), frame)


def test_json_has_null_for_what_is_absent(frame):
    assert json.loads(formats.json_text(frame))[1] == {"candidate": "b", "p99_ms": None, "requests": 0}


def test_plain_text_shows_every_row(frame):
    assert formats.plain_text(frame).split() == ["candidate", "p99_ms", "requests", "a", "11.81", "100", "b", "-", "0"]


def test_a_missing_folder_is_one_clear_line(frame, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        formats.write_csv(frame, tmp_path / "none" / "run.csv")
    with pytest.raises(UserError, match="is a folder"):
        formats.write_parquet(frame, tmp_path)
