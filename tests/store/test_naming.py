"""How runs in several stores are named."""

import pytest

from bakeoff.store.naming import Named, parse

URL = "postgresql://me@[::1]:5432/runs?options=a"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("latest", ("", "usual.db", "latest")),
        ("20260101-0000", ("", "usual.db", "20260101-0000")),
        ("gpu.db::2026", ("", "gpu.db", "2026")),
        ("there.db", ("", "there.db", "latest")),
        ("g6=there.db", ("g6", "there.db", "latest")),
        ("NVIDIA L4=latest", ("NVIDIA L4", "usual.db", "latest")),
        (URL, ("", URL, "latest")),
        (f"{URL}::latest", ("", URL, "latest")),
        (f"g6={URL}", ("g6", URL, "latest")),
        ("./a=b.db::latest", ("", "./a=b.db", "latest")),
        ("not-there.db", ("", "usual.db", "not-there.db")),
    ],
)
def test_a_run_by_its_store_and_host(text, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.db").touch()
    assert parse(text, "usual.db") == Named(*named)
