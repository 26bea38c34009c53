"""A server elsewhere in every rendering: its client's part of the latency, and that the rest is not observable."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from bakeoff.show import console, markdown, page
from bakeoff.show.endpoints import client_words, endpoint_words

SERVER = "endpoint@small/fp32/c8"


@pytest.fixture
def verdict(win):
    """A verdict whose second is a server, and that has its figures."""
    first, second, *rest = win.candidates
    unseen = dict.fromkeys(("cpu_ms_per_request", "memory_bytes", "load_s"))
    server = replace(second, candidate=SERVER, backend="endpoint@small", remote=True, client_ms=0.4, **unseen)
    return replace(win, candidates=(first, server, *rest))


def test_the_percentile_without_the_clients_own_time(verdict):
    server = verdict.candidates[1]
    assert client_words(server) == "less client 13.0"
    assert client_words(replace(server, p99_ms=None)) == ""
    assert client_words(verdict.candidates[0]) == ""
    assert client_words(replace(server, client_ms=50.0)) == "less client 0"


def test_what_cannot_be_seen_is_said(verdict):
    told, unseen = endpoint_words(verdict)
    assert told.startswith(
        f"{SERVER}: its client takes 0.400 ms a request by itself (median), so that p99 13.4 ms is 13.0 ms"
    )
    assert unseen.startswith("endpoint@small: CPU time, memory, threads and start are not observable")


def test_without_a_server_nothing_is_said(win):
    assert endpoint_words(win) == ()


def test_every_rendering_says_it(verdict, record):
    html = page.page(record, [verdict])
    row = re.search(r"<tr[^>]*>(?:(?!</tr>).)*endpoint@small.*?</tr>", html, re.S).group()
    assert row.count("not observable") == 3
    assert "less client 13" in row
    out = StringIO()
    console.render([verdict], Console(file=out, width=160))
    assert "its client takes 0.400 ms" in out.getvalue()
    assert "not observable from here" in markdown.markdown(record, [verdict])
