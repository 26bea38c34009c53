"""From pins to cases: what can be run of each side, and what is said of what cannot."""

import json
import shutil
import sys

import numpy as np
import pytest
from nightly_shop import CANDIDATE, NAME, ranker, requests

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.contest.budget import Budget
from bakeoff.contest.plan import Entry, Question
from bakeoff.contest.reporter import Silent
from bakeoff.decide.drift.answers import QUALITY, SERVICE_TIME
from bakeoff.errors import UserError
from bakeoff.measure.engine_room import HERE, StageFailed
from bakeoff.nightly import cases, here, lock, objects
from bakeoff.nightly.against import Pins
from bakeoff.nightly.pins import Pin
from bakeoff.workloads import preparing

pytestmark = [pytest.mark.engines, pytest.mark.slow]


@pytest.fixture
def found(shop, tmp_path):
    """The cases of the pin as it is now."""

    def find(seconds=None, past=lambda *_: []):
        budget = Budget(seconds)
        budget.start()
        return cases.find([shop.pin()], cases.Check(past, tmp_path, budget, Silent()))

    return find


def test_a_pinned_candidate_has_both_sides_and_what_decides(found, tmp_path):
    (one,) = found(past=lambda scenario, candidate: [[(scenario, candidate)]])
    assert one.case.known.history == [[(NAME, CANDIDATE)]]
    assert one.case.known.gates == {SERVICE_TIME: 0.02, "artifact_size": 0.02, QUALITY: 0.0}
    now, baseline = one.case.sides.now, one.case.sides.baseline
    assert now.artifact.path != baseline.artifact.path
    assert now.artifact.path.read_bytes() == baseline.artifact.path.read_bytes()
    assert now.log != baseline.log, "neither writes into the other's"
    assert (now.cpus, now.setting, now.interpreter) == (baseline.cpus, baseline.setting, HERE)
    assert one.case.stored.keys() >= {SERVICE_TIME}
    assert one.baseline.differs == ()


def another(values):
    """The pinned candidate once more, at a setting that there is not."""
    more = json.loads(json.dumps(values["candidates"][0]))
    more["setting"]["name"], more["id"] = "9x9", "onnxruntime/fp32/9x9"
    values["candidates"].append(more)


def uninstalled(values):
    """And of a backend that nobody installed."""
    more = json.loads(json.dumps(values["candidates"][0]))
    more["backend"], more["id"] = "nosuch", "nosuch/fp32/1x1"
    values["candidates"].append(more)


def test_what_is_not_offered_or_not_installed_is_missing_and_leaves_the_others_alone(shop, found):
    shop.edit(another)
    shop.edit(uninstalled)
    here, gone, foreign = found()
    assert here.case.sides is not None
    assert (gone.case.sides, gone.case.known.reason) == (None, "its backend does not offer it any more")
    assert (foreign.case.sides, foreign.case.known.reason) == (None, "its backend is not installed")
    assert foreign.case.name == "shop: nosuch/fp32/1x1"


def apart(values):
    """The pinned candidate in an environment of its own, and no other."""
    (one,) = values["candidates"]
    one["backend"], one["id"] = "onnxruntime@there", "onnxruntime@there/fp32/1x1"
    values["scenario"]["candidates"]["environments"] = {"onnxruntime@there": {"python": sys.executable}}


def test_candidates_in_environments_of_their_own_alone_are_asked_there(shop, found):
    shop.edit(apart)
    (one,) = found()
    assert one.case.known.reason == ""
    assert one.entry.candidate.backend == "onnxruntime@there"


def test_a_scenario_of_uninstalled_backends_alone_says_so(shop, found):
    shop.edit(uninstalled)
    shop.edit(lambda values: values["candidates"].pop(0))
    (gone,) = found()
    assert gone.case.known.reason == "none of its backends is installed: nosuch; `bakeoff doctor` says more"


def test_an_engine_that_does_not_run_here_says_why(shop, found):
    def on_a_gpu(values):
        candidate = values["candidates"][0]
        candidate["backend"], candidate["id"] = "tensorrt", "tensorrt/fp32/1x1"

    shop.edit(on_a_gpu)
    (gone,) = found()
    assert gone.case.sides is None
    assert "its backend" not in gone.case.known.reason
    assert gone.case.known.reason


def test_a_failure_of_the_whole_backend_bars_every_variant_and_that_of_a_variant_its_own():
    def failed(stage, variant):
        nowhere = Candidate("mnn", "fp32", Setting("any"), variant)
        return Entry(nowhere, "x:X", failure=StageFailed(stage, "failed", f"{stage} of {variant}", "mend it"))

    def told(*entries):
        return here.offered(Question(None, None, entries), "mnn/fp32/1x1/student")

    assert told(failed("probe", "base")) == "probe of base; mend it"
    assert told(failed("compress", "other"), failed("compress", "student")) == "compress of student; mend it"
    assert told(failed("compress", "other")) == "its backend does not offer it any more"


def test_a_model_that_is_gone_is_told_with_its_path(shop, found):
    (shop.folder / "model.onnx").unlink()
    (gone,) = found()
    assert gone.case.sides is None
    assert "model.onnx" in gone.case.known.reason


def test_no_time_to_build_is_told(shop, found):
    shop.serve(ranker(rows=60))
    (gone,) = found(seconds=0.01)
    assert gone.case.known.reason == "cannot be built now: no time was left to build it"


def forget(pin: Pin):
    """The pinned bytes leave the cache."""
    for digest in (pin.candidates[0].artifact.digest, pin.workload.kept):
        place = objects._place(digest)
        place.rename(place.with_name(f"away-{digest}"))
    objects._whole.cache_clear()


@pytest.fixture
def forgotten(shop):
    """Where the pinned bytes are not in the cache, as on another machine."""
    pin = shop.pin()
    forget(pin)
    yield
    for digest in (pin.candidates[0].artifact.digest, pin.workload.kept):
        place = objects._place(digest)
        shutil.rmtree(place, ignore_errors=True)
        place.with_name(f"away-{digest}").rename(place)
    objects._whole.cache_clear()


@pytest.mark.usefixtures("forgotten")
def test_without_its_bytes_the_baseline_is_built_again_from_the_same_model(shop, found):
    (one,) = found()
    assert one.case.sides.baseline is not None
    assert not one.case.known.stored
    assert one.case.sides.baseline.setting == one.candidate.candidate.setting


def test_where_the_workload_alone_is_not_in_the_cache_that_of_now_serves_the_pinned_artifact(shop, found):
    place = objects._place(shop.pin().workload.kept)
    place.rename(place.with_name("away"))
    try:
        (one,) = found()
    finally:
        place.with_name("away").rename(place)
    assert not one.case.known.reason
    assert one.case.sides.baseline.artifact.path.is_relative_to(shop.cache / "objects")
    assert one.case.sides.baseline.prepared == one.question.prepared.folder


@pytest.mark.usefixtures("forgotten")
def test_another_variant_of_the_same_model_is_no_baseline(shop, found):
    shop.edit(lambda values: values["candidates"][0].update(model="0" * 64))
    (one,) = found()
    assert one.case.sides.baseline is None
    assert one.case.known.stored


def elsewhere(values):
    """The pin as another kind of processor would have made it: its artifact is as good as none."""
    values["host"].update(cpu_flags="sse2")
    values["candidates"][0]["artifact"].update(bytes=1)


def test_what_was_built_for_another_processor_is_built_again_and_sizes_are_compared_with_that(shop, found):
    shop.edit(elsewhere)
    (one,) = found()
    assert not one.case.known.reason
    assert one.case.sides.baseline.artifact.path.is_relative_to(shop.cache / "artifacts")
    assert {each.metric: each.status for each in one.case.known.exact} == {"artifact_size": "ok", "quality:auc": "ok"}


def test_what_cannot_be_built_again_says_why_and_its_size_decides_nothing(shop, found, monkeypatch):
    shop.edit(elsewhere)
    made, asked = cases.artifacts.made, []

    def second_fails(*words):
        asked.append(words)
        if len(asked) == 2:
            raise StageFailed("build", "crashed", "it crashed")
        return made(*words)

    monkeypatch.setattr(cases.artifacts, "made", second_fails)
    (one,) = found()
    assert one.case.sides is None
    assert one.case.known.reason.startswith(
        "its baseline cannot be run: it cannot be built again: it crashed; it was pi"
    )
    assert [each.status for each in one.case.known.exact] == ["inconclusive"]


def test_the_caches_of_another_cpu_ask_for_no_other_requests_than_the_pins(shop, found, monkeypatch):
    pinned = shop.pin().workload
    for module in (here, preparing):
        monkeypatch.setattr(module, "beyond_caches_bytes", lambda: pinned.pool_bytes // 8)
    (one,) = found()
    assert not one.case.known.reason
    assert one.question.prepared.requests().input_bytes >= pinned.pool_bytes
    shop.edit(lambda values: values["workload"].pop("pool_bytes"))
    (one,) = found()
    assert one.case.known.reason == cases.UNLIKE, "an older pin does not tell"


def test_knobs_that_changed_are_another_engine(shop, found):
    shop.edit(lambda values: values["candidates"][0]["setting"].update(options={"spin": True}))
    (one,) = found()
    assert one.case.sides.baseline.setting != one.case.sides.now.setting
    (quality,) = [each for each in one.case.known.exact if each.metric.startswith(QUALITY)]
    assert (quality.status, quality.reason) == ("ok", ""), "it was scored, and not taken for the same"


@pytest.mark.usefixtures("forgotten")
def test_a_build_by_other_knobs_is_not_taken_for_that_of_now(shop, found):
    shop.edit(lambda values: values["candidates"][0]["setting"].update(options={"spin": True}))
    (one,) = found()
    assert one.case.sides.baseline.artifact.path.parent != one.case.sides.now.artifact.path.parent


def test_environments_are_made_within_what_is_left_of_the_budget(found, monkeypatch):
    limits = []
    monkeypatch.setattr(lock, "interpreter_of", lambda *words: (limits.append(words[-1]), HERE)[1])
    found(seconds=1000.0)
    assert 0.0 < limits[0] < 1000.0


@pytest.mark.usefixtures("forgotten")
def test_without_bytes_and_model_the_stored_figures_stand_in_on_the_same_kind_of_machine(shop, found):
    shop.serve(ranker(noise=0.01))
    (one,) = found(past=lambda *_: [[1]])
    assert one.case.sides.baseline is None
    assert (one.case.known.stored, one.case.known.history) == (True, ())
    assert one.case.known.reason == (
        "its baseline cannot be run: artifact: its bytes are not in this machine's cache,"
        " and the model here is not the pinned one"
    )
    quality = [each for each in one.case.known.exact if each.metric.startswith(QUALITY)]
    assert [(each.metric, each.status) for each in quality] == [("quality:auc", "inconclusive")]
    shop.edit(lambda values: values["host"].update(cores=1234))
    (other,) = found()
    assert (other.case.sides, other.case.stored) == (None, {})
    assert "pinned on another kind of machine (cores: 1234, now" in other.case.known.reason
    assert other.case.known.reason.endswith("no stored figures of this machine stand in for it")


def test_where_quality_does_not_decide_what_is_unknown_of_it_does_not_either(shop, found):
    shop.edit(lambda values: values["scenario"]["gate"].update(quality=False))
    shop.serve(ranker(noise=0.3))
    (one,) = found()
    assert [each.gate for each in one.case.known.exact if each.metric.startswith(QUALITY)] == [None]
    assert QUALITY not in one.case.known.gates


def test_other_requests_cannot_be_compared(shop, found):
    arrays = requests()
    np.savez(shop.folder / "requests.npz", **arrays | {"request": np.arange(len(arrays["clicked"])) // 10})
    (one,) = found()
    assert one.case.sides is None
    assert one.case.known.reason == cases.UNLIKE


def test_as_many_items_of_other_requests_cannot_be_compared_either(shop, found):
    arrays = requests()
    np.savez(shop.folder / "requests.npz", **arrays | {"dense": arrays["dense"] + 1})
    (one,) = found()
    assert one.case.known.reason == cases.UNLIKE


def test_candidates_are_narrowed_to_pinned_ones(shop):
    shop.edit(another)
    pin = shop.pin()
    (one,) = cases.narrowed([pin], ["onnxruntime/fp32/9x9"])
    assert Pins([pin], ["onnxruntime/fp32/9x9"]).digests[pin.name] == pin.digest != one.digest, "as it is committed"
    assert [each.id for each in one.candidates] == ["onnxruntime/fp32/9x9"]
    assert cases.narrowed([pin], []) == [pin]
    with pytest.raises(
        UserError, match=r"--candidate torch/fp32/1x1: is not pinned; pinned are onnxruntime/fp32/1x1, "
    ):
        cases.narrowed([pin], ["torch/fp32/1x1"])
