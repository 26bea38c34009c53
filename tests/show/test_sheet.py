"""Sheets: the same in the terminal and in Markdown, and safe in both."""

import re

import pytest
from rich.console import Console

from bakeoff.show.sheet import Grid, Sheet, markdown, render


@pytest.fixture
def sheet(hostile):
    return Sheet(
        hostile, hostile, (Grid(("name", "cost"), ((hostile, "1"), ("b", hostile)), frozenset({1})),), (hostile,)
    )


def test_hostile_text_is_neither_html_nor_markdown(sheet):
    told = markdown([sheet])
    assert not re.search(r"(?<!\\)[<`*](?!\*)", told.replace("**", ""))
    assert "\x1b" not in told
    table = [line for line in told.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {3}


@pytest.mark.parametrize("width", [60, 200])
def test_the_terminal_shows_text_as_it_is(sheet, width, capsys):
    render([sheet], Console(width=width, highlight=False, force_terminal=False))
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "[red]markup[/red]" in told
    assert max(map(len, told.splitlines())) <= width
