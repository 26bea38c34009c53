"""How a complaint about a scenario reads: one line with the file, the key's path, the value and what would be right."""

from __future__ import annotations

import re

from bakeoff.errors import UserError

KeyPath = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_@.-]{1,40}")
_LONGEST_VALUE = 40


def complaint(label: str, path: KeyPath, message: str) -> UserError:
    """A UserError such as "x.yaml: traffic.qps: -3: must be greater than 0", on one line whatever it quotes."""
    parts = [label, dotted(path), message] if path else [label, message]
    return UserError(one_line(": ".join(parts)))


def dotted(path: KeyPath) -> str:
    """A key's path as people write it: traffic.batch_size[1].weight."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else ("." if text else "") + _key(key)
    return text


def shown(value: object) -> str:
    """A value as the complaint quotes it, shortened."""
    if isinstance(value, dict | list | tuple):
        kind = "a mapping" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    return shortened(repr(value))


def one_line(text: str) -> str:
    """The text with everything that could break the line or disturb a terminal replaced by a space or an escape."""
    return "".join(char if char.isprintable() else " " if char.isspace() else ascii(char)[1:-1] for char in text)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else shortened(repr(key))


def shortened(text: str) -> str:
    """At most 40 characters of the text."""
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
