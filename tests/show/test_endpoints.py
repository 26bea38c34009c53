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


def test_what_the_server_takes_beside_an_engine_with_the_same_model_is_said(verdict):
    first, server, *_ = verdict.candidates
    alike = {"variant": server.variant, "precision": server.precision}
    server = replace(server, p50_ms=5.0)
    here = replace(first, candidate="a/x/1x1", p50_ms=2.0, **alike)
    slower, other = (
        replace(here, candidate="b/x/1x1", p50_ms=2.5),
        replace(first, candidate="c", p50_ms=1.0, precision="y"),
    )

    def told(*candidates):
        return endpoint_words(replace(verdict, candidates=candidates))[1:-1]

    assert told(server, slower, here, other) == (
        f"Of the 5.00 ms that a request takes before {SERVER} (median), a/x/1x1 in a process of this machine takes"
        " 2.00 ms, the server and the wire 2.60 ms.",
    )
    assert told(server, other) == (), "another model says nothing of the server"
    assert told(server, replace(here, p50_ms=None)) == ()
    assert told(server, replace(here, p50_ms=4.8)) == (), "the client's own part explains it"


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
