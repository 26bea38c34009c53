"""`search-biencoder`: MiniLM-L6 embeds a query and N product texts, and scores each against the query."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from bakeoff.backends import Arrays, Tensor
from bakeoff.workloads.preparation import utf8, write_tokenizer
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.wheels import MINILM, REVIEWS, fetch
from bakeoff.workloads.workload import HeldOut, Progress, Trained, Workload, chunks

TOKENS = 32
"""Every text is cut or padded to this many tokens."""
HELD_OUT_QUERIES, HELD_OUT_TEXTS = 400, 800


@cache
def _reviews(cache: Path) -> pd.DataFrame:
    """Reviews with both a title and a text, each text and each title once: columns `title` and `text`."""
    table = pd.read_parquet(io.BytesIO(fetch(REVIEWS, cache).read_bytes()))
    table = table.rename(columns={"Title": "title", "Review Text": "text"})[["title", "text"]].dropna()
    table = table[(table["title"].str.count(" ") >= 2) & (table["text"].str.len() >= 40)]
    return table.drop_duplicates("text").drop_duplicates("title").reset_index(drop=True)


@cache
def _tokens(cache: Path) -> dict[str, dict[str, Array]]:
    """`title` and `text` of every review as input_ids and attention_mask, int64 [reviews, TOKENS]."""
    tokenizer = AutoTokenizer.from_pretrained(fetch(MINILM, cache), local_files_only=True)

    def encode(texts: pd.Series[str]) -> dict[str, Array]:
        encoded = tokenizer(
            texts.tolist(), padding="max_length", truncation=True, max_length=TOKENS, return_tensors="np"
        )
        return {name: encoded[name].astype(np.int64) for name in ("input_ids", "attention_mask")}

    reviews = _reviews(cache)
    return {"title": encode(reviews["title"]), "text": encode(reviews["text"])}


class SearchBiencoder(Workload):
    """Row 0 of a request is the query, a review's title; the other rows are product texts."""

    name = "search-biencoder"
    licence = f"weights: {MINILM.licence}; reviews: {REVIEWS.licence}"
    citation = f"{MINILM.citation}. {REVIEWS.citation}"
    inputs = (Tensor("input_ids", "int64", (None, TOKENS)), Tensor("attention_mask", "int64", (None, TOKENS)))
    outputs = ("score", "embedding")
    judged = "embedding"
    metrics = ("ndcg@10",)
    preparation = "bakeoff.workloads.preparation:Texts"
    raw_inputs = (Tensor("text", "S", (None,)),)
    beside = 1
    reference_rows = 2048

    def train(self, seed: int, cache: Path, progress: Progress) -> Trained:
        """The published weights as they are."""
        progress("reading the all-MiniLM-L6-v2 weights")
        module = Encoder(fetch(MINILM, cache)).eval()
        return Trained(module, {"parameters": sum(weights.numel() for weights in module.parameters())})

    def requests(self, rows: Array, seed: int, cache: Path, progress: Progress) -> Arrays:
        """A random title first, then random texts."""
        progress("tokenising the reviews")
        tokens = _tokens(cache)
        review, first = _drawn(len(tokens["text"]["input_ids"]), rows, seed)
        arrays = {name: column[review] for name, column in tokens["text"].items()}
        for name, column in tokens["title"].items():
            arrays[name][first] = column[review[first]]
        return arrays

    def raw_requests(self, rows: Array, seed: int, cache: Path, progress: Progress, into: Path) -> Arrays:
        """The query and the texts as they are written."""
        write_tokenizer(fetch(MINILM, cache) / "tokenizer.json", TOKENS, into)
        reviews = _reviews(cache)
        review, first = _drawn(len(reviews), rows, seed)
        text = utf8(reviews["text"])[review]
        text[first] = utf8(reviews["title"])[review[first]]
        return {"text": text}

    def held_out(self, chunk: int, seed: int, cache: Path, progress: Progress) -> HeldOut:
        """Known-item retrieval: each of 400 titles must find its own text among 800."""
        tokens = _tokens(cache)
        rng = np.random.default_rng([seed, 2])
        review = rng.permutation(len(tokens["text"]["input_ids"]))[:HELD_OUT_TEXTS]
        arrays = {
            name: np.concatenate([tokens["title"][name][review[:HELD_OUT_QUERIES]], column[review]])
            for name, column in tokens["text"].items()
        }
        return HeldOut(
            arrays,
            chunks(HELD_OUT_QUERIES + HELD_OUT_TEXTS, chunk),
            kind="retrieval",
            queries=np.arange(HELD_OUT_QUERIES),
            relevant=np.arange(HELD_OUT_QUERIES) + HELD_OUT_QUERIES,
        )


def _drawn(reviews: int, rows: Array, seed: int) -> tuple[Array, Array]:
    """The review that each row is of, and the rows that are queries, the first of each request."""
    rng = np.random.default_rng([seed, 1])
    return rng.integers(0, reviews, int(rows.sum())), np.cumsum(rows) - rows


class Encoder(nn.Module):
    """The transformer with mean pooling and unit length: (ids, mask) -> (score [rows], embedding [rows, 384])."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.bert = AutoModel.from_pretrained(
            folder, local_files_only=True, attn_implementation="eager", add_pooling_layer=False
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The score is the cosine with row 0, the query."""
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask.unsqueeze(-1).to(states.dtype)
        embedding = normalize((states * weight).sum(1) / weight.sum(1).clamp(min=1e-9), dim=1)
        return (embedding * embedding[:1]).sum(1), embedding
