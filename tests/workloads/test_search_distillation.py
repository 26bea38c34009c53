"""Fine-tuning of `search-biencoder` and its students, with a tiny encoder on made-up reviews, and (marked) for real."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score
from torch import nn

from bakeoff.workloads import exporting, minilm, search_biencoder
from bakeoff.workloads.cache import cache_dir
from bakeoff.workloads.search_biencoder import Encoder, SearchBiencoder, parts
from bakeoff.workloads.workload import HeldOut

NOWHERE = Path("nowhere")
REVIEWS, WORDS = 300, 80


def quiet(_: str) -> None:
    pass


@pytest.fixture
def tokens(monkeypatch) -> dict[str, dict[str, np.ndarray]]:
    """A title's words are among its text's; the encoder is small and random."""
    small = {"LAYERS": 4, "WIDTH": 16, "HEADS": 2, "FEEDFORWARD": 32, "VOCABULARY": WORDS}
    for name, value in small.items():
        monkeypatch.setattr(minilm, name, value)
    sizes = {"HELD_OUT_QUERIES": 20, "HELD_OUT_TEXTS": 40, "APART_PAIRS": 40, "STEPS": 40, "PEAK_RATE": 3e-3}
    for name, value in sizes.items():
        monkeypatch.setattr(search_biencoder, name, value)
    rng = np.random.default_rng(0)
    text = rng.integers(0, WORDS, (REVIEWS, 10))
    short = (np.arange(10) < 6).astype(np.int64)
    made = {
        "title": {"input_ids": text[:, rng.permutation(10)], "attention_mask": np.tile(short, (REVIEWS, 1))},
        "text": {"input_ids": text, "attention_mask": np.ones_like(text)},
    }
    monkeypatch.setattr(search_biencoder, "_tokens", lambda cache: made)
    torch.manual_seed(5)
    bert = minilm.shorter(1)
    monkeypatch.setattr(minilm, "published", lambda cache: copy.deepcopy(bert))
    return made


def embedded(module: nn.Module, tokens: dict[str, np.ndarray]) -> torch.Tensor:
    with torch.inference_mode():
        return module(*minilm.batch(tokens, np.arange(REVIEWS)))[1]


def ndcg(module: nn.Module, held: HeldOut) -> float:
    """Every query against all texts that are no queries."""
    columns = [torch.from_numpy(held.arrays[tensor.name]).split(50) for tensor in minilm.INPUTS]
    with torch.inference_mode():
        embedding = torch.cat([module(*requests)[1] for requests in zip(*columns, strict=True)]).numpy()
    corpus = np.setdiff1d(np.arange(len(embedding)), held.queries)
    wanted = corpus[None, :] == held.relevant[:, None]
    return float(ndcg_score(wanted, embedding[held.queries] @ embedding[corpus].T, k=10))


def test_no_review_is_judged_and_trained_on_whatever_the_seed(tokens) -> None:
    rows = parts(REVIEWS)
    assert [len(part) for part in rows] == [40, 40, 220]
    assert len(np.unique(np.concatenate(rows))) == REVIEWS
    one, other = (SearchBiencoder().held_out(8, seed, NOWHERE, quiet) for seed in (0, 1))
    np.testing.assert_array_equal(one.arrays["input_ids"][20:], tokens["text"]["input_ids"][rows[0]])
    np.testing.assert_array_equal(one.arrays["input_ids"], other.arrays["input_ids"])


def test_fine_tuning_teaches_titles_to_find_their_texts(tokens) -> None:
    workload = SearchBiencoder()
    module = Encoder(minilm.shorter(1))
    before = workload.loss(module, 0, NOWHERE)
    workload.fit(module, 1, 0, NOWHERE, quiet)
    assert workload.loss(module, 0, NOWHERE) < 0.8 * before


@pytest.mark.slow
def test_a_student_starts_from_its_teachers_layers_and_ends_closer_to_it_than_alone(tokens, monkeypatch) -> None:
    workload, teacher = SearchBiencoder(), Encoder(minilm.shorter(1))
    workload.fit(teacher, 1, 0, NOWHERE, quiet)
    wanted = embedded(teacher, tokens["text"])
    student = workload.student(0.5)
    assert len(student.bert.encoder.layer) == 2
    monkeypatch.setattr(search_biencoder, "STEPS", 0)
    workload.fit(student, 1, 0, NOWHERE, quiet, teacher)
    first, last = student.bert.encoder.layer
    assert torch.equal(first.intermediate.dense.weight, teacher.bert.encoder.layer[0].intermediate.dense.weight)
    assert torch.equal(last.intermediate.dense.weight, teacher.bert.encoder.layer[3].intermediate.dense.weight)
    monkeypatch.setattr(search_biencoder, "STEPS", 40)
    alone = copy.deepcopy(student)
    workload.fit(student, 1, 1, NOWHERE, quiet, teacher)
    workload.fit(alone, 1, 1, NOWHERE, quiet)
    apart = [(embedded(each, tokens["text"]) - wanted).norm(dim=1).mean() for each in (student, alone)]
    assert apart[0] < 0.9 * apart[1]


def test_a_student_without_a_teacher_starts_from_the_published_layers(tokens) -> None:
    student = SearchBiencoder().student(0.25)
    SearchBiencoder().fit(student, 0, 0, NOWHERE, quiet)
    published = minilm.published(NOWHERE)
    assert len(student.bert.encoder.layer) == 1
    assert torch.equal(student.bert.embeddings.word_embeddings.weight, published.embeddings.word_embeddings.weight)
    assert not student.untrained


@pytest.mark.slow
def test_a_student_can_be_exported(tokens, tmp_path) -> None:
    workload = SearchBiencoder()
    rows = workload.requests(np.array([17]), 0, NOWHERE, quiet)
    files = exporting.export(workload.student(0.5).eval(), workload.inputs, workload.outputs, rows, tmp_path)
    assert files.keys() == {"exported", "onnx"}


@pytest.mark.quality
def test_distillation_mends_what_dropping_layers_broke() -> None:
    torch.set_num_threads(1)
    workload, cache = SearchBiencoder(), cache_dir() / "downloads"
    teacher, held = workload.train(0, cache, quiet).module, workload.held_out(50, 0, cache, quiet)
    student = workload.student(0.5)
    workload.fit(student, 0, 0, cache, quiet, teacher)
    cut = ndcg(student, held)
    workload.fit(student, 1, 0, cache, quiet, teacher)
    assert cut + 0.02 < ndcg(student, held)
    assert ndcg(teacher, held) == pytest.approx(0.162, abs=0.005)
