from dataclasses import replace

import pytest

from bakeoff.backends import Batching, Facts, Setting
from bakeoff.contest.plan import Entry, Rival, plan, wanted_backends
from bakeoff.errors import UserError
from bakeoff.measure.engine_room import HERE, Interpreter, Probed, StageFailed
from bakeoff.scenario import Scenario
from bakeoff.scenario.loading import from_dict
from bakeoff.workloads.prepared import Refusal


def scenario(**more: object) -> Scenario:
    traffic = {"kind": "server", "qps": 10}
    return from_dict({"workload": "ctr-dlrm", "traffic": traffic, "sla": {"p99": "20ms"}} | more)


def probed(*precisions: str, settings: tuple[str, ...] = ("1x1",)) -> Probed:
    return Probed(
        facts=Facts("1.0"),
        precisions=precisions,
        settings=tuple(Setting(name) for name in settings),
        instances="threads",
        build_keys=dict.fromkeys(settings, ""),
    )


TARGETS = {"fast": "m:Fast", "slow": "m:Slow", "gone": "m:Gone"}


def planned(asked: Scenario, probes: dict[str, Probed | StageFailed], variants=("base",), **more) -> tuple[Entry, ...]:
    rivals = {name: Rival(TARGETS[name], probed) for name, probed in probes.items()}
    return plan(asked, variants, rivals, TARGETS, **more)


def ids(asked: Scenario, probes: dict[str, Probed | StageFailed], variants: tuple[str, ...] = ("base",)) -> list[str]:
    return [entry.candidate.id for entry in planned(asked, probes, variants)]


def test_every_backend_precision_setting_and_variant_is_a_candidate():
    probes = {"fast": probed("fp32", "int8", settings=("1x2", "2x1")), "slow": probed("fp32")}
    found = ids(scenario(), probes, ("base", "student"))
    assert len(found) == len(set(found)) == 2 * 2 * 2 + 2
    assert "fast/int8/2x1/student" in found


def test_best_presets_of_all_backends_come_before_anyones_second():
    probes = {"fast": probed("fp32", settings=("1x2", "2x1")), "slow": probed("fp32", settings=("1x2", "2x1"))}
    assert ids(scenario(), probes) == ["fast/fp32/1x2", "slow/fp32/1x2", "fast/fp32/2x1", "slow/fp32/2x1"]


def test_the_incumbent_goes_first():
    probes = {"fast": probed("fp32"), "slow": probed("fp32")}
    assert ids(scenario(incumbent="slow/fp32/1x1"), probes)[0] == "slow/fp32/1x1"


ON_REQUEST = replace(
    probed("fp32", "int8", settings=("1x1",)),
    settings=(Setting("1x1"), Setting("1x1-plain", on_request=True)),
    build_keys={"1x1": "", "1x1-plain": ""},
    on_request=frozenset({"int8"}),
)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["fp32/1x1"]),
        ({"candidates": {"precisions": ["int8"]}}, ["int8/1x1"]),
        ({"candidates": {"precisions": ["fp32", "int8"]}}, ["fp32/1x1", "int8/1x1"]),
        ({"candidates": {"settings": ["1x1", "1x1-plain"]}}, ["fp32/1x1", "fp32/1x1-plain"]),
        ({"candidates": {"precisions": ["int8"], "settings": ["1x1-plain"]}}, ["int8/1x1-plain"]),
        ({"incumbent": "fast/int8/1x1"}, ["int8/1x1", "fp32/1x1"]),
    ],
)
def test_what_is_on_request_takes_part_where_the_scenario_names_it(asked, found):
    assert ids(scenario(**asked), {"fast": ON_REQUEST}) == [f"fast/{name}" for name in found]


def test_what_is_on_request_takes_part_where_a_recipe_ends_with_it():
    asked = scenario(variants=["prune:0.5 > int8-static"])
    probed = replace(ON_REQUEST, precisions=("fp32", "int8-static"), on_request=frozenset({"int8-static"}))
    found = ids(asked, {"fast": probed}, ("base", "prune:0.5"))
    assert found == ["fast/fp32/1x1", "fast/int8-static/1x1/prune:0.5"]


def test_what_is_on_request_takes_part_where_a_candidate_of_the_command_names_it():
    named = ["fast/int8/1x1-plain"]
    entries = planned(scenario(), {"fast": ON_REQUEST}, candidates=named)
    assert [entry.candidate.id for entry in entries] == ["fast/fp32/1x1", *named]


def test_an_unavailable_backend_is_still_a_candidate_with_its_reason():
    gone = StageFailed("probe", "unavailable", "no module named gone", "pip install gone")
    (entry,) = planned(scenario(), {"gone": gone})
    assert entry.failure is gone
    assert entry.candidate.id == "gone/fp32/any"


def test_filters_narrow_the_field():
    probes = {"fast": probed("fp32", "int8", settings=("1x2", "2x1"))}
    assert ids(scenario(candidates={"precisions": ["int8"], "settings": ["2x1"]}), probes) == ["fast/int8/2x1"]


def test_every_setting_is_tried_behind_each_batcher_too_with_the_same_artifact():
    keys = {"1x2": "for one", "2x1": "for two"}
    probes = {"fast": replace(probed("fp32", settings=("1x2", "2x1")), build_keys=keys)}
    two = {"batching": [{"items": 512, "wait": "2ms"}, {"items": 64, "wait": "0.5ms"}]}
    entries = planned(scenario(candidates=two), probes)
    names = ["1x2", "2x1", "1x2+b512-2ms", "2x1+b512-2ms", "1x2+b64-0.5ms", "2x1+b64-0.5ms"]
    assert [entry.candidate.id for entry in entries] == [f"fast/fp32/{name}" for name in names]
    assert [entry.build_key for entry in entries] == ["for one", "for two"] * 3
    assert entries[2].candidate.setting == Setting("1x2+b512-2ms", batching=Batching(512, 2.0))


def test_a_batched_setting_may_be_the_incumbent_and_filters_count_for_it_too():
    one = {"settings": ["2x1"], "batching": [{"items": 64, "wait": "0ms"}]}
    asked = scenario(incumbent="fast/fp32/2x1+b64-0ms", candidates=one)
    assert ids(asked, {"fast": probed("fp32", settings=("1x2", "2x1"))}) == ["fast/fp32/2x1+b64-0ms", "fast/fp32/2x1"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"candidates": {"precisions": ["int9"]}}, ["candidates.precisions", "int9", "fp32"]),
        ({"candidates": {"settings": ["9x9"]}}, ["candidates.settings", "9x9", "1x1"]),
        ({"incumbent": "fast/fp64/1x1"}, ["incumbent", "fast/fp64/1x1", "fast/fp32/1x1"]),
    ],
)
def test_a_slip_of_the_pen_is_one_clear_line(more, words):
    with pytest.raises(UserError) as caught:
        ids(scenario(**more), {"fast": probed("fp32")})
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_an_unknown_backend_names_the_nearest():
    with pytest.raises(UserError, match="did you mean fast"):
        wanted_backends(scenario(candidates={"backends": ["fats"]}), TARGETS)


def test_without_any_backend_the_remedy_is_named():
    with pytest.raises(UserError, match="pip install"):
        wanted_backends(scenario(), [])


def test_where_no_lossy_candidate_can_win_they_come_last():
    probes = {"fast": probed("fp32", "int8"), "slow": probed("fp32")}
    entries = planned(scenario(), probes, provisional=True)
    assert [entry.candidate.id for entry in entries] == ["fast/fp32/1x1", "slow/fp32/1x1", "fast/int8/1x1"]


def test_an_environment_is_a_rival_of_its_own_name_and_interpreter():
    runner = Interpreter("/opt/other/bin/python")
    rivals = {"fast": Rival("m:Fast", probed("fp32")), "fast@1.30": Rival("m:Fast", probed("fp32"), runner)}
    asked = scenario(incumbent="fast@1.30/fp32/1x1")
    entries = plan(asked, ("base",), rivals, [*TARGETS, "fast@1.30"])
    assert [(entry.candidate.id, entry.interpreter) for entry in entries] == [
        ("fast@1.30/fp32/1x1", runner),
        ("fast/fp32/1x1", HERE),
    ]


def test_an_environment_of_an_unknown_backend_names_the_nearest():
    asked = scenario(candidates={"environments": {"fats@old": {"requirements": ["fast==1"]}}})
    with pytest.raises(UserError, match="fats: unknown backend; did you mean fast"):
        wanted_backends(asked, TARGETS)


def test_where_gaps_are_allowed_a_precision_that_nobody_offers_gives_no_candidate():
    asked = scenario(candidates={"precisions": ["fp32", "bf16"]})
    found = planned(asked, {"fast": probed("fp32", "int8")}, gaps=True)
    assert [entry.candidate.id for entry in found] == ["fast/fp32/1x1"]


V2 = {"url": "http://localhost:8000", "model": "ranker"}


def test_a_server_takes_part_with_all_its_settings_and_its_variant_alone_whatever_filters_say():
    asked = scenario(
        variants=["prune:0.5"],
        candidates={
            "endpoints": {"small": V2 | {"variant": "prune:0.5", "precision": "int8"}},
            "precisions": ["fp32"],
            "settings": ["1x1"],
        },
        incumbent="endpoint@small/int8/c4/prune:0.5",
    )
    served = replace(probed("int8", settings=("c8", "c4")), on_request=frozenset({"int8"}))
    rivals = {"fast": Rival("m:Fast", probed("fp32")), "endpoint@small": Rival("m:Served", served)}
    entries = plan(asked, ("base", "prune:0.5"), rivals, ["fast", "endpoint@small"])
    assert [entry.candidate.id for entry in entries] == [
        "endpoint@small/int8/c4/prune:0.5",
        "fast/fp32/1x1",
        "endpoint@small/int8/c8/prune:0.5",
        "fast/fp32/1x1/prune:0.5",
    ]
    assert [entry.candidate.remote for entry in entries] == [True, False, True, False]


def test_the_backend_of_servers_takes_part_where_servers_are_named_and_not_by_itself():
    installed = ("endpoint", "fast", "slow")
    assert wanted_backends(scenario(), installed) == ("fast", "slow")
    named = {"endpoints": {"small": V2}}
    assert wanted_backends(scenario(candidates=named), installed) == ("fast", "slow")
    assert wanted_backends(scenario(candidates=named | {"backends": ["endpoint"]}), installed) == ()
    with pytest.raises(UserError, match=r"backends: endpoint: drives servers, and none is named; name them in cand"):
        wanted_backends(scenario(candidates={"backends": ["endpoint", "fast"]}), installed)
    with pytest.raises(UserError, match=r"candidates\.endpoints: endpoint: unknown backend"):
        wanted_backends(scenario(candidates=named), ("fast",))


def test_on_a_gpu_candidates_are_named_by_it():
    asked = scenario(resources={"device": "cuda:1"}, incumbent="slow/fp32/1x1/cuda:1")
    gone = StageFailed("probe", "unavailable", "it runs on cpu alone")
    found = ids(asked, {"fast": probed("fp32"), "slow": probed("fp32"), "gone": gone})
    assert found == ["slow/fp32/1x1/cuda:1", "fast/fp32/1x1/cuda:1", "gone/fp32/any/cuda:1"]


def test_a_variant_that_could_not_be_made_is_an_entry_with_the_reason_and_the_remedy():
    why = Refusal("unavailable", "its environment cannot be made", "look at the network")
    found = planned(scenario(), {"fast": probed("fp32")}, ("base", "tfmot-qat"), refused={"tfmot-qat": why})
    base, failure = [entry.failure for entry in found]
    assert base is None
    assert (failure.stage, failure.outcome) == ("compress", "unavailable")
    assert (failure.reason, failure.remedy) == ("its environment cannot be made", "look at the network")
