"""The table of docs/compression.md: each row told, whatever came of it, and other workloads' sections kept."""

import compression
import pytest

FIGURES = {"value": 0.7195, "base": 0.7212, "delta": -0.0017, "low": -0.0021, "high": -0.0013}
MODEL = {"parameters": 1391701, "artifact_bytes": 5_570_000, "artifact_zstd_bytes": 5_110_000, "load_s": 0.04}
PRUNED = {
    "variant": "prune:0.5",
    "precision": "fp32",
    "backend": "onnxruntime",
    "outcome": "ok",
    "quality": {"auc": FIGURES},
    "model": MODEL | {"compress_s": 0.012},
    "control": "finetune:0.25",
    "against_control": {"auc": FIGURES},
}
REFUSED = PRUNED | {
    "variant": "prune-heads:0.5",
    "outcome": "unsupported",
    "reason": "no heads",
    "quality": {},
    "control": "",
}


@pytest.fixture
def table(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(compression, "rows", lambda _: [PRUNED, REFUSED])
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\n\n### two-tower\n\nkept\n\n### ctr-dlrm\n\nold\n<!-- /table -->\nafter\n")
    compression.main(["--only", "ctr-dlrm", "--into", str(page)])
    return page.read_text(), capsys.readouterr().out


def test_a_row_has_the_change_with_half_its_interval_and_what_it_saves(table):
    assert (
        "| `prune:0.5` | onnxruntime fp32 | 0.7195 (-0.0017 ± 0.0004) | 1,391,701 | 5.57 | 5.11 | 0.04 | 0.01 |"
        in table[1]
    )
    assert "| `prune-heads:0.5` | onnxruntime fp32 | unsupported: no heads |" in table[1]
    assert "`prune:0.5` at fp32 against `finetune:0.25`, trained alike: auc -0.0017" in table[1]


def test_only_its_own_section_of_the_file_is_made_anew(table):
    text = table[0]
    assert text.startswith("before\n<!-- table -->\n\n### ctr-dlrm\n")
    assert "old" not in text
    assert text.endswith("### two-tower\n\nkept\n\n<!-- /table -->\nafter\n")
    assert table[1].strip() in text


def test_what_rounds_to_nothing_has_no_sign():
    nothing = {"value": 0.5, "delta": -1e-9, "low": -2e-9, "high": 0.0}
    assert compression.section("two-tower", [PRUNED | {"quality": {"auc": nothing}}]).count("0.5000 (0 ± 0.0000)") == 1
