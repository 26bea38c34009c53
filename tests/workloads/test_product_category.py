"""`product-category` with a tiny encoder on made-up texts, and (marked) on the real reviews."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from bakeoff.workloads import exporting, minilm, product_category
from bakeoff.workloads.cache import cache_dir
from bakeoff.workloads.product_category import (
    Classifier,
    ProductCategory,
    Texts,
    labelled,
    logistic_regression,
    parts,
)

NOWHERE = Path("nowhere")
TEXTS, CLASSES, WORDS = 400, 3, 60


def quiet(_: str) -> None:
    pass


@pytest.fixture
def texts(monkeypatch) -> Texts:
    """Each class has words of its own, beside words that all of them have; the encoder is small and random."""
    small = {"LAYERS": 4, "WIDTH": 16, "HEADS": 2, "FEEDFORWARD": 32, "VOCABULARY": WORDS}
    for name, value in small.items():
        monkeypatch.setattr(minilm, name, value)
    sizes = {"HELD_OUT": 100, "APART": 60, "PROBED": 100, "LOSS_TEXTS": 60, "CLASSES": CLASSES}
    for name, value in {**sizes, "STEPS": 30, "PEAK_RATE": 3e-3}.items():
        monkeypatch.setattr(product_category, name, value)
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, TEXTS)
    ids = rng.integers(30, WORDS, (TEXTS, 8))
    ids[:, :2] = label[:, None] * 10 + rng.integers(0, 10, (TEXTS, 2))
    tokens = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    made = Texts(tokens, label, ("a", "b", "c"), *parts(TEXTS))
    monkeypatch.setattr(product_category, "_texts", lambda cache: made)
    torch.manual_seed(5)
    bert = minilm.shorter(1)
    monkeypatch.setattr(minilm, "published", lambda cache: copy.deepcopy(bert))
    return made


def answers(module: nn.Module, texts: Texts, rows: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return module(*minilm.batch(texts.tokens, rows))


def test_rare_classes_and_repeated_or_missing_texts_are_left_out(monkeypatch) -> None:
    monkeypatch.setattr(product_category, "FEWEST_TEXTS", 2)
    table = pd.DataFrame(
        {
            "Title": ["Lovely", None, "Warm", "Warm", "Odd", "None"],
            "Review Text": ["a skirt", "a skirt too", "a coat", "a coat", "a hat", None],
            "Class Name": ["Skirts", "Skirts", "Coats", "Coats", "Hats", "Skirts"],
        }
    )
    found = labelled(table)
    assert found["text"].tolist() == ["Lovely. a skirt", "a skirt too"], "one coat is left, and one hat"
    assert found["category"].tolist() == ["Skirts", "Skirts"]


def test_no_text_is_judged_and_trained_on(texts) -> None:
    rows = [texts.held_out, texts.apart, texts.training]
    assert [len(part) for part in rows] == [100, 60, 240]
    assert len(np.unique(np.concatenate(rows))) == TEXTS
    asked = ProductCategory().requests(np.array([500]), 0, NOWHERE, quiet)["input_ids"]
    judged = {tuple(text) for text in texts.tokens["input_ids"][texts.held_out]}
    assert not judged & {tuple(text) for text in asked}


def test_the_head_is_the_one_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 5)).astype(np.float32)
    label = (features @ rng.normal(size=(5, 3)) + rng.gumbel(size=(300, 3))).argmax(1)
    decay = 1e-3
    head = logistic_regression(torch.from_numpy(features), torch.from_numpy(label), 3, decay)
    wanted = LogisticRegression(C=1 / (2 * decay * len(label)), tol=1e-8, max_iter=1000).fit(features, label)
    with torch.inference_mode():
        share = torch.softmax(head(torch.from_numpy(features)), dim=1).numpy()
    np.testing.assert_allclose(share, wanted.predict_proba(features), atol=2e-3)


@pytest.mark.slow
def test_it_learns_and_the_same_seed_gives_the_same_weights(texts) -> None:
    one, again = (ProductCategory().train(0, NOWHERE, quiet).module for _ in range(2))
    right = texts.label[texts.held_out]
    assert (answers(one, texts, texts.held_out).argmax(1).numpy() == right).mean() > 0.8
    torch.testing.assert_close(answers(one, texts, texts.held_out).sum(1), torch.ones(100))
    assert torch.equal(one.head.weight, again.head.weight)
    assert ProductCategory().loss(one, 0, NOWHERE) < 0.6 < np.log(CLASSES)


def test_a_student_starts_from_layers_of_its_teacher_and_ends_near_it(texts, monkeypatch) -> None:
    workload = ProductCategory()
    teacher = workload.train(0, NOWHERE, quiet).module
    student = workload.student(0.5)
    assert len(student.bert.encoder.layer) == 2
    monkeypatch.setattr(product_category, "STEPS", 0)
    workload.fit(student, 1, 0, NOWHERE, quiet, teacher)
    for mine, its in ((0, 0), (1, 3)):
        own, other = (each.state_dict() for each in (student.bert.encoder.layer[mine], teacher.bert.encoder.layer[its]))
        assert all(torch.equal(own[name], other[name]) for name in other)
    assert torch.equal(student.head.weight, teacher.head.weight)
    before = workload.loss(student, 0, NOWHERE)
    monkeypatch.setattr(product_category, "STEPS", 30)
    workload.fit(student, 1, 0, NOWHERE, quiet, teacher)
    assert workload.loss(student, 0, NOWHERE) < before
    agree = answers(student, texts, texts.held_out).argmax(1) == answers(teacher, texts, texts.held_out).argmax(1)
    assert agree.float().mean() > 0.8


def test_training_leaves_the_teacher_as_it_was(texts) -> None:
    torch.manual_seed(0)
    teacher = Classifier(minilm.shorter(1), CLASSES)
    before = {name: weights.clone() for name, weights in teacher.state_dict().items()}
    ProductCategory().fit(ProductCategory().student(0.5), 0.2, 0, NOWHERE, quiet, teacher)
    assert all(torch.equal(before[name], weights) for name, weights in teacher.state_dict().items())


@pytest.mark.slow
def test_what_serves_can_be_exported(texts, monkeypatch, tmp_path) -> None:
    workload = ProductCategory()
    module = workload.student(1).eval()
    rows = workload.requests(np.array([17]), 0, NOWHERE, quiet)
    files = exporting.export(module, workload.inputs, workload.outputs, rows, tmp_path)
    assert files.keys() == {"exported", "onnx"}


@pytest.mark.quality
def test_on_the_reviews_it_knows_most_categories() -> None:
    torch.set_num_threads(1)
    workload, cache = ProductCategory(), cache_dir() / "downloads"
    trained = workload.train(0, cache, quiet)
    held = workload.held_out(50, 0, cache, quiet)
    columns = [torch.from_numpy(held.arrays[tensor.name]).split(50) for tensor in workload.inputs]
    with torch.inference_mode():
        best = torch.cat([trained.module(*parts).argmax(1) for parts in zip(*columns, strict=True)]).numpy()
    assert trained.facts["classes"] == product_category.CLASSES
    assert (best == held.labels).mean() > 0.6
    assert f1_score(held.labels, best, average="macro") > 0.3
