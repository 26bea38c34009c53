"""Taking out of a run's texts what names its machine or its owner: host names, the user's name, absolute paths.

What is hidden becomes a placeholder, the same one everywhere, so that what belonged together still does.
"""

from __future__ import annotations

import getpass
import platform
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bakeoff.store.record import RunRecord

Hide = Callable[[str], str]

HOST, USER, SERVER, FOLDER = "HOST", "USER", "SERVER", "/PATH"
_NAMELESS = {"", "localhost", "127.0.0.1", "::1", "root", "nobody"}
"""Names that every machine has."""
_FILE = re.compile(r"[^/]*\w\.\w{1,9}")
_NO_PATH = r"\s/'\"`,;:()\[\]{}<>|"
_PATHS = re.compile(
    r"\A/[^/:'\"`\n]+/[^:'\"`\n]*(?=\Z|:)"  # what a text begins with, spaces and all
    r"|(?<=['\"`])/[^/'\"`\n]+/[^'\"`\n]*(?=['\"`])"
    rf"|(?:(?<![\w.~/-])|(?<=\s-\w)|(?<=://)|(?<=:///))(?:/[^{_NO_PATH}]+){{2,}}/?"
)

_NEVER = r"(?!)"


def mask(record: RunRecord) -> Hide:
    """What hides this machine, its user, and the machines of the servers that a run asked.

    Of a path, the name of the file alone stays; a path of one part, as in /health, says nothing and stays as it is.
    """
    words = _here() | _servers(record)
    names = {name.lower(): shown for name, shown in words.items() if name.lower() not in _NAMELESS}
    longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    named = re.compile(rf"(?<![A-Za-z0-9])(?:{longest_first or _NEVER})(?![A-Za-z0-9])", re.IGNORECASE)
    home = re.compile(rf"{re.escape(_home())}(?!\w)" if _home() else _NEVER)

    def hide(text: str) -> str:
        pathless = _PATHS.sub(_file_alone, home.sub(FOLDER, text))
        return named.sub(lambda found: names[found[0].lower()], pathless)

    return hide


def masked(value: Any, hide: Hide) -> Any:
    """A JSON value with all of its texts hidden, keys too: they may be the names that values refer to."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {hide(key): masked(item, hide) for key, item in value.items()}
    return [masked(item, hide) for item in value] if isinstance(value, list | tuple) else value


def _file_alone(path: re.Match[str]) -> str:
    name = path[0].rpartition("/")[2]
    return f"{FOLDER}/{name}" if _FILE.fullmatch(name) else FOLDER


def _here() -> dict[str, str]:
    """This machine's names, with and without its domain, and the user's."""
    node = platform.node()
    names = {node: HOST, node.partition(".")[0]: HOST}
    with suppress(KeyError, ImportError, OSError):  # a container's user may have no name
        names[getpass.getuser()] = USER
    return names


def _home() -> str:
    """The user's home folder, which may be as short as /root; empty where there is none worth the name."""
    try:
        home = Path.home()
    except RuntimeError:
        return ""
    return str(home) if len(home.parts) > 1 else ""


def _servers(record: RunRecord) -> dict[str, str]:
    """The hosts of the servers that took part as candidates, each with a placeholder of its own."""
    filters = [one.definition.get("candidates") or {} for one in record.scenarios]
    urls = [server["url"] for each in filters for server in (each.get("endpoints") or {}).values()]
    hosts = dict.fromkeys(urlsplit(url).hostname or "" for url in urls)
    return {host: f"{SERVER}{number}" for number, host in enumerate(hosts, start=1)}
