"""The Markdown summary: complete, short, and safe."""

import re

from bakeoff.show.markdown import code, escape, markdown


def test_it_holds_headline_gates_and_candidates(record, win):
    text = markdown(record, [win])
    assert "### **WIN** **SWITCH** ctr-ranking" in text
    assert "Switch from onnxruntime/fp32/1x2 to openvino/int8/2x1: 29.6 % cheaper \\(1,570 USD a year\\)" in text
    assert "| Latency p99 | passes | 11.8 ms of 20 ms | 41 % to spare |" in text
    assert "| 15 | `tvm/fp32/1x1` | – | – | – | – | unavailable: apache-tvm is not installed" in text
    assert "`bakeoff run scenarios/ctr-ranking.yaml --budget 3m`" in text


def test_each_table_has_one_number_of_cells(record, every):
    for table in re.findall(r"(?:^\|.*\n)+", markdown(record, every), re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1


def test_hostile_text_is_neither_html_nor_markdown(record, every, hostile):
    text = re.sub(r"`[^`]*`", "", markdown(record, [every[-1]]))
    assert not re.search(r"(?<!\\)<", text)
    assert "\x1b" not in text
    assert escape("*a* [b](c) @d #1") == "\\*a\\* \\[b\\]\\(c\\) \\@d \\#1"
    assert code("a`b|c") == "`a'b\\|c`"


def test_many_candidates_are_cut_with_a_count(record, win):
    from dataclasses import replace

    many = replace(win, candidates=win.candidates * 3)
    assert "and 25 more" in markdown(record, [many])


def test_a_run_without_scenarios_says_so(record):
    assert markdown(record, []).startswith("This run holds no scenario.")
