"""The contract's own defaults and helpers."""

import sys
from dataclasses import asdict

import numpy as np
import pytest

import bakeoff.backends
from bakeoff.backends import (
    Backend,
    Batching,
    Model,
    Resources,
    Setting,
    Tensor,
    Unavailable,
    Unsupported,
    as_float32,
    build_key,
    create,
    describe,
    owned,
    ran_out_of_memory,
    refusing,
    splits,
)

SETTING = Setting("1x1")


class Least(Backend):
    name = "least"
    formats = ("onnx",)

    def load(self, artifact, setting, device):
        raise NotImplementedError


def test_a_class_that_forgets_a_method_fails_on_construction():
    class Forgetful(Backend):
        name = "forgetful"
        formats = ("onnx",)

    with pytest.raises(TypeError, match="abstract"):
        Forgetful()


def test_the_default_build_copies_the_file_with_its_external_weights(tmp_path):
    source, into = tmp_path / "model.onnx", tmp_path / "into"
    into.mkdir()
    source.write_bytes(b"graph")
    source.with_name("model.onnx.data").write_bytes(b"weights")
    model = Model({"onnx": source}, (Tensor("x", "float32", (None, 3)),), ("y",))
    artifact = Least().build(model, "fp32", SETTING, "cpu", into)
    assert artifact.path == into / "model.onnx"
    assert {path.name: path.read_bytes() for path in into.iterdir()} == {
        "model.onnx": b"graph",
        "model.onnx.data": b"weights",
    }


def test_the_default_build_refuses_a_precision_that_is_not_offered(tmp_path):
    with pytest.raises(Unsupported, match="least has no int8 on this cpu, it has fp32"):
        Least().build(Model({}, (), ()), "int8", SETTING, "cpu", tmp_path)


def test_splits_divide_the_cores_without_rest_all_threads_in_one_first():
    assert [setting.name for setting in splits(Resources(cpus=1))] == ["1x1"]
    assert [setting.name for setting in splits(Resources(cpus=6))] == ["1x6", "2x3", "3x2", "6x1"]
    assert all(setting.threads * setting.instances == 6 for setting in splits(Resources(cpus=6)))


def test_a_batched_setting_keeps_its_knobs_and_comes_back_from_the_store():
    plain = Setting("2x1-spin", 1, 2, {"spin": True})
    batched = plain.batched(Batching(512, 0.25))
    assert batched == Setting("2x1-spin+b512-0.25ms", 1, 2, {"spin": True}, Batching(512, 0.25))
    assert [Setting.of(asdict(setting)) for setting in (plain, batched)] == [plain, batched]
    written_before = {"name": "1x1", "threads": 1, "instances": 1, "options": {}}
    assert Setting.of(written_before) == Setting("1x1")


def test_what_is_on_request_stays_so_behind_a_batcher_and_nothing_is_by_itself():
    assert Setting("1x1-nofuse", on_request=True).batched(Batching(8, 1.0)).on_request
    assert not Setting("1x1").on_request
    assert Least.on_request == frozenset()


def test_unavailable_shows_its_remedy():
    assert str(Unavailable("no engine", "pip install engine")) == "no engine (pip install engine)"


def test_an_error_is_told_in_one_short_line():
    assert describe(ValueError("first\nsecond")) == "ValueError: first"
    assert describe(KeyError()) == "KeyError"
    assert len(describe(ValueError("x" * 9999))) == 300


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), True),
        (ValueError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes."), True),
        (ValueError("OOM when allocating tensor with shape[4096,4096]"), True),
        (RuntimeError("Failed to allocate memory for requested buffer of size 17179869184"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("the server: RESOURCE_EXHAUSTED: Received message larger than max"), False),
        (KeyError("memory_format"), False),
    ],
)
def test_every_engines_words_for_memory_that_ran_out_are_known(error, memory):
    assert ran_out_of_memory(error) is memory
    with pytest.raises(type(error) if memory else Unsupported) as raised, refusing("the engine cannot do it:"):
        raise error
    assert memory or str(raised.value) == f"the engine cannot do it: {describe(error)}"


@pytest.mark.parametrize("refusal", [Unsupported("no"), Unavailable("no", "install it")])
def test_a_refusal_stays_as_it_is(refusal):
    with pytest.raises(type(refusal)) as raised, refusing("the engine cannot do it:"):
        raise refusal
    assert raised.value is refusal


def test_answers_are_float32_and_a_copy_where_they_are_to_be_owned():
    held = np.asfortranarray(np.ones((2, 3), np.float64))
    answer = owned(held)
    assert (answer.dtype, answer.flags.c_contiguous, np.shares_memory(answer, held)) == (np.float32, True, False)
    ids = np.arange(3)
    assert owned(ids).dtype == as_float32(ids).dtype == ids.dtype
    assert not np.shares_memory(owned(ids), ids)
    same = np.ones(3, np.float32)
    assert np.shares_memory(as_float32(same), same)
    assert as_float32(same.astype(np.float16)).dtype == np.float32


def test_bf16_which_numpy_does_not_know_becomes_float32():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert owned(np.array([1.5, 2.0], ml_dtypes.bfloat16)).tolist() == [1.5, 2.0]
    assert owned(np.array([1.5], ml_dtypes.bfloat16)).dtype == np.float32


PLUGIN = """
from bakeoff.backends import Backend
from shop_engine import helper

class Shop(Backend):
    name = "shop"
    formats = ("onnx",)
    probe = settings = build = load = lambda *_: None

    def build_depends_on(self, setting):
        return {"threads": setting.threads}
"""


def test_an_artifacts_key_changes_with_the_setting_and_with_the_code_that_builds(tmp_path, monkeypatch):
    package = tmp_path / "shop_engine"
    package.mkdir()
    for name, text in {"__init__": "", "plugin": PLUGIN, "helper": "FUSE = 0\n", "other": ""}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    def keys():
        for name in [name for name in sys.modules if name.startswith("shop_engine")]:
            monkeypatch.delitem(sys.modules, name)
        backend = create("shop_engine.plugin:Shop")
        return [build_key(backend, Setting("one", threads)) for threads in (1, 2)]

    first = keys()
    assert first[0] != first[1]
    (package / "other.py").write_text("UNUSED = 1\n")
    assert keys() == first
    (package / "helper.py").write_text("FUSE = 1\n")
    assert set(keys()).isdisjoint(first)


def test_create_refuses_what_is_no_backend():
    with pytest.raises(TypeError, match="is not a bakeoff"):
        create("bakeoff.backends:cpu_flags")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512_bf16\n\nflags\t: other\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu avx2\n", False),
        ("", False),
    ],
)
def test_bf16_goes_by_the_flags_of_the_cpu(monkeypatch, tmp_path, text, expected):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(bakeoff.backends, "Path", lambda _: tmp_path / "cpuinfo")
    assert bakeoff.backends.has_bf16() is expected


@pytest.mark.parametrize(("flags", "expected"), [("avx2 avx512_vnni", True), ("avx2 avx_vnni", True), ("avx2", False)])
def test_vnni_goes_by_the_flags_of_the_cpu(monkeypatch, flags, expected):
    monkeypatch.setattr(bakeoff.backends, "cpu_flags", lambda: frozenset(flags.split()))
    assert bakeoff.backends.has_vnni() is expected


def test_a_system_that_tells_no_flags_has_none(monkeypatch, tmp_path):
    monkeypatch.setattr(bakeoff.backends, "Path", lambda _: tmp_path / "missing")
    assert bakeoff.backends.cpu_flags() == frozenset()
