"""What `bakeoff verify` says: a bundle is a stranger's file, whose texts must not reach the terminal as they are."""

import io

from rich.console import Console

from bakeoff.decide.bundles.bundling import Checked
from bakeoff.show import bundles


def said(checked):
    out = io.StringIO()
    bundles.render(checked, Console(file=out, width=40))
    return out.getvalue().splitlines()


def test_a_line_for_each_verdict_and_one_for_a_problem(every, hostile):
    *told, last = said(Checked("20260101-0000-abcd", "0.1.0", "abc", "", verdicts=every))
    assert [line.split(": ")[:3] for line in told[:2]] == [
        ["verified", "ctr-ranking", "WIN"],
        ["verified", "search-ranking", "TIE"],
    ]
    assert len(told) == len(every)
    assert last == "run 20260101-0000-abcd, bundle made by bakeoff 0.1.0, sha256 abc"
    (line,) = said(Checked("r", "0.1.0", "abc", f"{hostile}\n: was changed"))
    assert line.startswith("NOT verified: <script>")
    assert not any(ord(character) < 32 for line in (*told, line) for character in line)
