"""What an address may hold that is nobody else's affair."""

from __future__ import annotations

from urllib.parse import SplitResult, urlunsplit


def without_secrets(url: SplitResult) -> str:
    """The address without user, password and query; the user stays where it is a login without a password (ssh)."""
    user, _, host = url.netloc.rpartition("@")
    login = user and url.scheme.endswith("ssh") and ":" not in user
    return urlunsplit(url._replace(netloc=f"{user}@{host}" if login else host, query=""))
