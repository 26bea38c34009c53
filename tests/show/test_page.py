"""The report page, in a real browser: what it shows, where, and that it needs nothing from outside."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bakeoff.show.page import page

MEGABYTE = 1_000_000
FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "hide-scrollbars",
)
MEASURE = """
<script>
const parts = (root) => Object.fromEntries([...root.querySelectorAll("[data-part]")].map(
  (part) => [part.dataset.part, part.getBoundingClientRect().toJSON()]).reverse());
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map((frame) => {
    const inner = frame.contentDocument.documentElement;
    return {width: frame.clientWidth, scroll: inner.scrollWidth, parts: parts(inner),
            alerts: frame.contentWindow.alerted || 0, tables: inner.querySelectorAll("tbody tr").length};
  });
  document.body.innerHTML = "<pre id=found>" + JSON.stringify(found).replaceAll("<", "") + "</pre>";
});
</script>"""


def browse(tmp_path, *options):
    """Run headless Chromium and give what it printed. Only a missing browser skips."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        pytest.skip("no Chromium here")
    flags = [f"--{flag}" for flag in FLAGS]
    command = [binary, *flags, f"--user-data-dir={tmp_path / 'profile'}", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def measure(tmp_path, text, *sizes):
    """The page laid out in frames of the given sizes: its width, and the box of each marked part."""
    inner = html.escape(text, quote=True)
    frames = "".join(f'<iframe style="width:{w}px;height:{h}px;border:0" srcdoc="{inner}"></iframe>' for w, h in sizes)
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}{MEASURE}")
    out = browse(tmp_path, "--window-size=1400,1000", "--virtual-time-budget=5000", "--dump-dom", wrapper.as_uri())
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', out, re.DOTALL).group(1)))


class Reader(HTMLParser):
    """Collects what the tests ask about: open tags, attributes, text."""

    VOID = frozenset({"meta", "br", "input", "img", "hr", "wbr", "link"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.ids, self.unbalanced = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)


@pytest.fixture(scope="module")
def text(record, verdict):
    return page(record, [verdict])


def test_the_first_screen_holds_recommendation_gates_and_chart(tmp_path, record, win):
    (found,) = measure(tmp_path, page(record, [win]), (1280, 800))
    for part in ("recommendation", "gates", "chart", "rivals"):
        box = found["parts"][part]
        assert box["height"] > 40, part
        assert box["top"] >= 0, part
        assert box["bottom"] <= 800, part
    below = [found["parts"][part]["top"] for part in ("provenance", "reasons", "settings")]
    assert below == sorted(below)


def test_the_first_screen_holds_it_below_an_index_too(tmp_path, record, win, offline):
    (found,) = measure(tmp_path, page(record, [win, offline, win]), (1280, 800))
    assert max(found["parts"][part]["bottom"] for part in ("recommendation", "gates", "chart")) <= 800


def test_no_kind_of_verdict_scrolls_sideways(tmp_path, record, every):
    for found in measure(tmp_path, page(record, every), (1280, 800), (400, 800)):
        assert found["scroll"] <= found["width"]
        assert not found["alerts"]
        assert found["tables"] >= sum(len(verdict.candidates) for verdict in every)


def test_it_opens_from_disk_and_draws(tmp_path, record, win):
    path, picture = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(page(record, [win]))
    browse(tmp_path, f"--screenshot={picture}", "--window-size=1280,800", path.as_uri())
    assert picture.stat().st_size > 20_000


def test_it_refers_to_nothing_outside(text):
    assert not re.search(r"""(?:src|href|action|srcset)\s*=\s*["']?(?!["']?#)[^\s>]""", _without_text(text))
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert len(text.encode()) < MEGABYTE


def _without_text(text):
    """The tags alone: what a name says is no reference."""
    return " ".join(re.findall(r"<[a-z][^>]*>", text))


def test_it_is_well_formed_with_unique_ids(text):
    reader = Reader(text)
    assert not reader.open
    assert not reader.unbalanced
    assert len(set(reader.ids)) == len(reader.ids)


def test_names_and_reasons_are_never_markup(text):
    reader = Reader(text)
    assert reader.tags.count("script") == 1
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert "\x00" not in text
    assert "\x1b" not in text


def test_it_says_all_that_must_not_be_missed(record, win):
    text = html.unescape(re.sub(r"<wbr>", "", page(record, [win])))
    for needed in (
        win.headline, "WIN", "SWITCH", "real (Ta-Feng grocery data set)", "AMD EPYC 9V74", "2 cores a replica",
        "6.8.0-1031", "openvino 2026.3.0", "21 November 2026", record.command, "backend: openvino", "NUM_STREAMS",
        "used 2.3 of 2 cores", "some task waited for a CPU 2.3 % of the time (worst block 3.4 %)", "How to read this",
        "A leaderboard of mean latencies would have picked", "at most 2.1 % dearer", "3,740 USD a year, today",
        "apache-tvm is not installed", "the worker died with signal 11",
    ):  # fmt: skip
        assert needed in text, needed


def test_one_that_leads_is_told_as_such_and_is_no_choice(record, win):
    text = page(record, [replace(win, verdict="INSUFFICIENT", choice=None, answer=None)])
    assert "leads so far" in text
    assert "no reason recorded" not in text


def test_a_provisional_verdict_is_unmissable(record, every):
    provisional = next(verdict for verdict in every if verdict.provisional)
    text = page(record, [provisional])
    assert 'class="badge PROVISIONAL"' in text
    assert 'class="banner"' in text


def test_several_scenarios_have_an_index(record, every):
    text = page(record, every)
    for place in range(1, len(every) + 1):
        assert f'href="#scenario-{place}"' in text
        assert f'id="scenario-{place}"' in text
    assert 'class="index"' not in page(record, every[:1])


def test_figures_that_are_absent_are_dashes(record, every):
    insufficient = next(verdict for verdict in every if verdict.verdict == "INSUFFICIENT")
    text = page(record, [insufficient])
    assert "None" not in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_accessible_names_headers_and_language(text):
    assert '<html lang="en">' in text
    assert text.count("<svg") == text.count('role="img"') == len(re.findall(r'<svg[^>]* aria-label="[^"]+"', text))
    assert text.count("<th ") == text.count("scope=")


def test_a_run_without_scenarios_says_so(record):
    assert "This run holds no scenario." in page(record, [])


def test_the_same_run_gives_the_same_page(record, win):
    assert page(record, [win]) == page(record, [win])
