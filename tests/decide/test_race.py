from dataclasses import replace

import pytest

from bakeoff.decide.race import Runner, contenders, narrow
from bakeoff.store.record import LedgerRow


def test_after_the_screen_the_clearly_dearer_go_and_those_beyond_the_limit_wait(scenario, engine, quality):
    field = {f"e{i}": engine(2.0 + 0.1 * i, rounds=0, blocks={"seconds": 16.0}) for i in range(5)}
    field["slow"] = engine(3.5, rounds=0, blocks={"seconds": 16.0})
    found = contenders(scenario(field), limit=3)
    assert found.contenders == ("e0/fp32/1x1", "e1/fp32/1x1", "e2/fp32/1x1")
    assert found.waiting == ("e3/fp32/1x1", "e4/fp32/1x1")
    assert set(found.eliminated) == {"slow/fp32/1x1"}
    assert "dearer than e0/fp32/1x1 in the screening block" in found.eliminated["slow/fp32/1x1"]


def test_who_falls_short_of_quality_makes_room_for_another(scenario, engine, quality):
    field = {f"e{i}": engine(2.0 + 0.1 * i, rounds=0, quality=()) for i in range(5)}
    found = contenders(scenario(field), limit=3)
    assert (len(found.contenders), found.eliminated) == (3, {})
    field["e0"].quality = (quality(-0.01),)
    found = contenders(scenario(field), limit=3)
    assert found.contenders == ("e1/fp32/1x1", "e2/fp32/1x1", "e3/fp32/1x1")
    assert "auc falls" in found.eliminated["e0/fp32/1x1"]


def test_after_one_round_the_clearly_dearer_go(scenario, engine):
    field = {"one": engine(2.0, rounds=1), "near": engine(2.1, rounds=1), "dearer": engine(2.9, rounds=1)}
    found = contenders(scenario(field))
    assert found.contenders == ("one/fp32/1x1", "near/fp32/1x1")
    assert "dearer than one/fp32/1x1 in one round" in found.eliminated["dearer/fp32/1x1"]


def test_the_race_tells_to_whom_one_lost_and_who_missed_a_gate_lost_to_nobody(scenario, engine):
    long = {"rounds": 0, "blocks": {"seconds": 16.0}}
    field = {"quick": engine(2.0, **long), "slow": engine(3.5, **long), "late": engine(80.0, **long)}
    standing = contenders(scenario(field))
    assert standing.eliminated.keys() == {"slow/fp32/1x1", "late/fp32/1x1"}
    assert standing.lost_to == {"slow/fp32/1x1": "quick/fp32/1x1"}


def runner(name, screen, rounds=(), cpu_ms=None):
    return Runner(name, screen, dict(enumerate(rounds, start=1)), cpu_ms)


def test_who_lost_to_a_lucky_screen_comes_back_once_that_one_had_rounds():
    near, far = runner("near", 1.4), runner("far", 2.0)
    losers = [(near, "lucky"), (far, "lucky")]
    assert not narrow([runner("lucky", 1.0)], losers=losers).back, "it had no rounds yet"
    assert not narrow([runner("lucky", 1.0, [1.0])], losers=losers).back, "it was not lucky"
    found = narrow([runner("lucky", 1.0, [1.2, 1.3])], losers=losers)
    assert found.back == {"near": "lucky is not that much cheaper in the rounds"}
    again = narrow([runner("lucky", 1.0, [1.2, 1.3]), near], losers=losers[1:])
    assert (again.contenders, again.eliminated) == (("lucky", "near"), {})
    both = [runner("lucky", 1.0, [1.25]), runner("other", 1.05, [1.05])]
    assert not narrow(both, losers=losers).back, "it loses to who leads now"
    dropped = [(near, "lucky"), (runner("lucky", 1.0, [1.5]), "other")]
    assert narrow([runner("other", 1.1, [1.2])], losers=dropped).back.keys() == {"near"}


def test_who_lost_in_a_round_or_takes_more_cpu_does_not_come_back():
    lucky = runner("lucky", 1.0, [1.5], cpu_ms=1.0)
    assert not narrow([lucky], losers=[(runner("beaten", 1.4, [2.1]), "lucky")]).back
    assert not narrow([lucky], losers=[(runner("dear", 2.5, cpu_ms=2.0), "lucky")]).back
    assert narrow([lucky], losers=[(runner("dear", 2.5, cpu_ms=1.1), "lucky")]).back


def test_a_record_tells_who_lost_to_a_lucky_screen(scenario, engine):
    quick, near = engine(2.0, rounds=2), engine(2.4, rounds=0, blocks={"seconds": 16.0})
    near.ledger = (LedgerRow("race", "eliminated", "40 % dearer", facts={"lost_to": "quick/fp32/1x1"}),)
    assert contenders(scenario({"quick": quick, "near": near})).back.keys() == {"near/fp32/1x1"}
    assert contenders(scenario({"quick": quick, "near": near}), exhaustive=True).back == {}
    near.ledger = (LedgerRow("race", "ok", "it came back"), *near.ledger)
    assert contenders(scenario({"quick": quick, "near": near})).back == {}, "once is enough"


def test_the_race_tells_what_load_those_want_for_their_sla_that_may_be_the_cheapest(scenario, engine):
    """Of 80 requests none is too late, which settles no p99; fifty times as many do."""
    short, long = ({"rounds": 1, "blocks": {"seconds": seconds}} for seconds in (0.8, 40.0))
    field = {"cheap": engine(2.0, **long), "near": engine(2.1, **short), "dear": engine(2.4, **short)}
    found = contenders(scenario(field))
    assert set(found.contenders) == {"cheap/fp32/1x1", "near/fp32/1x1", "dear/fp32/1x1"}
    assert found.wanted_s.keys() == {"near/fp32/1x1"}
    assert 0.5 < found.wanted_s["near/fp32/1x1"] < 20.0
    assert contenders(scenario({"cheap": engine(2.0, **short)})).wanted_s.keys() == {"cheap/fp32/1x1"}
    assert contenders(scenario(field), exhaustive=True).wanted_s == {}
    several = {"rounds": 3, "blocks": {"seconds": 0.8}}
    shown_dearer = {"cheap": engine(2.0, **several), "near": engine(2.1, **several)}
    found = contenders(scenario(shown_dearer))
    assert set(found.contenders) == {"cheap/fp32/1x1", "near/fp32/1x1"}
    assert found.wanted_s.keys() == {"cheap/fp32/1x1"}


def test_who_lost_comes_back_where_that_one_misses_a_gate_and_not_where_it_does_itself(scenario, engine):
    late, near = engine(80.0, rounds=2), engine(2.4, rounds=2)
    near.ledger = (LedgerRow("race", "eliminated", "40 % dearer", facts={"lost_to": "late/fp32/1x1"}),)
    field = scenario({"late": late, "near": near, "other": engine(2.5)})
    for exhaustive in (False, True):
        found = contenders(field, exhaustive=exhaustive)
        assert found.eliminated.keys() == {"late/fp32/1x1"}
        assert found.back == {"near/fp32/1x1": "late/fp32/1x1, to which it lost, dropped out"}
    near.service_ms = 80.0
    assert contenders(scenario({"late": late, "near": near, "other": engine(2.5)})).back == {}, "it misses it, too"


def test_an_exhaustive_race_drops_those_alone_that_miss_a_gate(scenario, engine):
    field = {"one": engine(2.0), "slow": engine(4.0), "late": engine(15.0)}
    found = contenders(scenario(field), limit=1, exhaustive=True)
    assert found.contenders == ("one/fp32/1x1", "slow/fp32/1x1")
    assert set(found.eliminated) == {"late/fp32/1x1"}


def test_those_that_miss_a_gate_go(scenario, engine):
    field = {"good": engine(2.0, rounds=0), "late": engine(15.0, rounds=0), "none": engine(None)}
    found = contenders(scenario(field))
    assert found.contenders == ("good/fp32/1x1",)
    assert set(found.eliminated) == {"late/fp32/1x1"}
    assert "20 ms" in found.eliminated["late/fp32/1x1"]


def test_nobody_goes_in_favour_of_one_that_used_more_cpu_than_allowed(scenario, engine):
    greedy = {"kind": "open", "over_budget": 1}
    field = {"greedy": engine(2.0, rounds=0, blocks=greedy), "good": engine(4.0, rounds=0)}
    found = contenders(scenario(field))
    assert (found.contenders, found.eliminated) == (("greedy/fp32/1x1", "good/fp32/1x1"), {})
    field["greedy"].blocks = {}
    assert contenders(scenario(field)).contenders == ("greedy/fp32/1x1",)
    field["greedy"] = engine(2.0, rounds=1, blocks=greedy)
    found = contenders(scenario(field))
    assert found.contenders == ("good/fp32/1x1",)
    assert found.eliminated == {"greedy/fp32/1x1": "it used more CPU than allowed in 2 of 2 blocks"}


def test_those_that_failed_or_were_dropped_before_are_not_dropped_again(scenario, engine):
    field = {
        "good": engine(2.0, rounds=0),
        "dropped": engine(9.0, rounds=0, ledger=(LedgerRow("race", "eliminated", "too dear"),)),
        "crashed": engine(2.0, rounds=0, ledger=(LedgerRow("serve", "crashed", "signal 11"),)),
    }
    found = contenders(scenario(field))
    assert (found.contenders, found.eliminated) == (("good/fp32/1x1",), {})


def test_the_incumbent_stays_until_it_has_its_figures(scenario, engine):
    field = {f"e{i}": engine(2.0 + 0.1 * i, rounds=0) for i in range(4)} | {"today": engine(4.0, rounds=0)}
    found = contenders(scenario(field, incumbent="today/fp32/1x1"), limit=3)
    assert found.contenders[-1] == "today/fp32/1x1"
    assert len(found.contenders) == 4
    measured = {"e0": engine(2.0, noise=0.002), "today": engine(4.0, noise=0.002)}
    found = contenders(scenario(measured, incumbent="today/fp32/1x1"))
    assert found.contenders == ("e0/fp32/1x1",)


@pytest.mark.parametrize(("matters", "stays"), [("20%", True), ("1%", False)])
def test_what_serves_today_is_dropped_only_where_a_switch_matters(scenario, engine, matters, stays):
    field = {"one": engine(2.0, noise=0.001), "today": engine(2.1, noise=0.001)}
    found = contenders(scenario(field, incumbent="today/fp32/1x1", matters=matters))
    assert ("today/fp32/1x1" in found.contenders) == stays


def test_those_that_waited_have_their_turn_beside_the_leader(scenario, engine):
    field = {"one": engine(2.0), "two": engine(2.01), "young": engine(2.05, rounds=0)}
    found = contenders(scenario(field), limit=2)
    assert set(found.contenders) == {"one/fp32/1x1", "young/fp32/1x1"}
    assert found.waiting == ("two/fp32/1x1",)


def test_rounds_drop_what_is_dearer_beyond_doubt(scenario, engine):
    field = {"one": engine(2.0, noise=0.002), "two": engine(2.3, noise=0.002), "three": engine(2.0, noise=0.002)}
    found = contenders(scenario(field))
    assert set(found.contenders) == {"one/fp32/1x1", "three/fp32/1x1"}
    assert "after 4 rounds" in found.eliminated["two/fp32/1x1"]


def test_a_leader_that_may_miss_the_sla_drops_nobody(scenario, engine):
    field = {
        "cheap": engine(2.0, rounds=0, blocks={"drop": 0.02}),
        "sound": engine(4.0, rounds=0),
    }
    asked = {"sla": {"p99": "20ms", "error_rate": "5%"}}
    found = contenders(scenario(field, **asked))
    assert found.contenders == ("cheap/fp32/1x1", "sound/fp32/1x1")


def test_a_leader_whose_quality_is_not_known_drops_nobody(scenario, engine, quality):
    field = {"cheap": engine(1.0, precision="int8", rounds=0, quality=()), "sound": engine(4.0, rounds=0)}
    assert contenders(scenario(field)).eliminated == {}
    field["cheap"].quality = (quality(),)
    assert list(contenders(scenario(field)).eliminated) == ["sound/fp32/1x1"]


def test_generated_inputs_leave_no_lossy_candidate_in(scenario, engine):
    field = {"lossy": engine(1.0, precision="int8", rounds=0), "exact": engine(2.0, rounds=0)}
    found = contenders(scenario(field, data="generated"))
    assert found.contenders == ("exact/fp32/1x1",)


@pytest.mark.parametrize("kind", ["offline", "single_stream"])
def test_closed_loops_race_too(scenario, engine, kind):
    field = {"one": engine(2.0, rounds=0), "two": engine(3.0, rounds=0)}
    found = contenders(scenario(field, traffic={"kind": kind}, sla=None))
    assert found.contenders == ("one/fp32/1x1",)


@pytest.mark.parametrize(("seconds", "dropped"), [(0.5, set()), (20.0, {"dear/fp32/1x1"})])
def test_where_the_capacity_is_asked_for_one_without_a_rate_that_holds_drops_nobody_by_its_rounds(
    scenario, engine, seconds, dropped
):
    blocks = {"seconds": seconds}
    record = scenario({"one": engine(2.0, rounds=1, blocks=blocks), "dear": engine(4.0, rounds=1, blocks=blocks)})
    asked = {**record.definition, "traffic": {**record.definition["traffic"], "qps": "max"}}
    assert set(contenders(replace(record, definition=asked)).eliminated) == dropped


def test_an_empty_field(scenario):
    assert contenders(scenario({})).contenders == ()


def test_a_stall_in_the_screen_alone_drops_nobody(scenario, engine):
    """Twins, one of which the machine held up now and then: its tail shows it, its CPU time does not."""
    found = contenders(
        scenario({"one": engine(2.0, rounds=0), "held-up": engine(2.0, rounds=0, blocks={"spread": 1.0})})
    )
    assert set(found.contenders) == {"one/fp32/1x1", "held-up/fp32/1x1"}
    dearer = contenders(
        scenario({"one": engine(2.0, rounds=0), "dearer": engine(2.5, rounds=0, blocks={"spread": 1.0})})
    )
    assert dearer.contenders == ("one/fp32/1x1",)
