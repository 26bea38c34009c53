"""From a request as a service receives it to the model's inputs: what a workload's preparation is, and helpers for it.

A worker imports this where a scenario includes the preparation. Standard library and numpy alone; a tokenizer's library
is imported by the class that needs it.
"""

from __future__ import annotations

import importlib
import os
import sys
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.backends import Arrays
from bakeoff.workloads.prepared import PREPARATION, Array, Prepared

TOKENIZER = "tokenizer.json"
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_UNMIX = tuple(np.uint64(pow(int(factor), -1, 1 << 64)) for factor in reversed(_MIX))


class Preparation(ABC):
    """Turns one raw request into the model's inputs. Several threads call it at once."""

    @abstractmethod
    def __init__(self, folder: Path) -> None:
        """Read what the workload's `raw_requests` wrote into `folder`."""

    @abstractmethod
    def __call__(self, raw: Arrays) -> Arrays:
        """The inputs of the request, by name, each C-contiguous."""


def preparation_of(prepared: Prepared) -> Preparation | None:
    """The preparation of a prepared workload's requests; None where it is not a part of them."""
    if prepared.raw is None:
        return None
    sys.path[:0] = [folder for folder in prepared.raw.search if folder not in sys.path]
    module, _, name = prepared.raw.target.partition(":")
    made: Preparation = getattr(importlib.import_module(module), name)(prepared.folder / PREPARATION)
    return made


class IdLookup:
    """Ids of any type -> row numbers of a table, where `keys[i]` is the id of row i.

    Unknown ids share the `buckets` rows from `unknown` on, by their hash; 1 bucket is a row reserved for them all.
    """

    def __init__(self, keys: Array, unknown: int = 0, buckets: int = 1) -> None:
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]
        self._unknown, self._buckets = unknown, buckets

    @classmethod
    def read(cls, file: Path, unknown: int = 0, buckets: int = 1) -> IdLookup:
        """The lookup of the keys in a .npy file."""
        return cls(np.load(file), unknown, buckets)

    def __call__(self, ids: Array) -> Array:
        """Int64, in the shape of `ids`."""
        place = np.minimum(np.searchsorted(self._sorted, ids), len(self._sorted) - 1)
        rows: Array = self._order[place]
        missing = self._sorted[place] != ids
        if missing.any():
            rows[missing] = self._unknown + hashed(ids[missing], self._buckets)
        return rows


def hashed(ids: Array, buckets: int | Array) -> Array:
    """Row numbers from 0 to `buckets` - 1 for int64 ids or bytes [n], the same on every machine.

    Ids [n, tables] may have `buckets` for each table.
    """
    if ids.dtype.kind == "S":
        mixed = np.fromiter(map(zlib.crc32, ids.tolist()), np.uint64, len(ids))
    else:
        mixed = ids.astype(np.int64).view(np.uint64)
        for factor, shift in zip(_MIX, (30, 27), strict=True):  # splitmix64, Steele et al. 2014
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
        mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed % np.asarray(buckets, np.uint64)).astype(np.int64)


def unmixed(hashes: Array) -> Array:
    """The int64 ids whose hash, before its remainder is taken, is `hashes`: every 64-bit number has one."""
    mixed = _unshifted(hashes.astype(np.int64).view(np.uint64), 31)
    for factor, shift in zip(_UNMIX, (27, 30), strict=True):
        mixed = _unshifted(mixed * factor, shift)
    return mixed.view(np.int64)


def _unshifted(mixed: Array, shift: int) -> Array:
    """The x of which `mixed` is x ^ (x >> shift)."""
    found = mixed
    for _ in range(63 // shift):
        found = mixed ^ (found >> np.uint64(shift))
    return found


class Tokenise:
    """UTF-8 texts [rows] -> `input_ids` and `attention_mask`, int64 [rows, tokens], on the thread that calls it.

    The file of the `tokenizers` library says to how many tokens texts are cut and padded: see `write_tokenizer`.
    """

    def __init__(self, file: Path) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(file))

    def __call__(self, texts: Array) -> dict[str, Array]:
        """The ids and the mask."""
        encodings = self._tokenizer.encode_batch_fast([text.decode() for text in texts.tolist()])
        return {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings], np.int64),
        }


def write_tokenizer(source: Path, tokens: int, into: Path) -> None:
    """Write the tokenizer.json at `source` into the folder `into`, set to cut and pad texts to `tokens` tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(source))
    tokenizer.enable_truncation(tokens)
    padding = "[PAD]"
    tokenizer.enable_padding(length=tokens, pad_id=tokenizer.token_to_id(padding), pad_token=padding)
    tokenizer.save(str(into / TOKENIZER))


def utf8(texts: Any) -> Array:
    """Texts as a raw request holds them: UTF-8 bytes of a fixed width, which an array of a file can hold."""
    return np.array([str(text).encode() for text in texts])


class Texts(Preparation):
    """Tokenises the raw request's `text`, for models that take `input_ids` and `attention_mask`."""

    def __init__(self, folder: Path) -> None:
        self._tokenise = Tokenise(folder / TOKENIZER)

    def __call__(self, raw: Arrays) -> Arrays:
        """One row for each text."""
        return self._tokenise(raw["text"])
