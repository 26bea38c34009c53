"""A quality at a precision of bytes holds on CPUs that add products of bytes as the one did that it was judged on."""

import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.features import FACT, deciding, judged_alike, lacking
from bakeoff.decide.verdict import judge_scenario, verdicts
from bakeoff.store.record import CandidateRecord, LedgerRow

VNNI = {"fpu", "avx2", "avx512_vnni", "avx512f"}
OLD = {"fpu", "avx2"}


def record(precision="int8-dynamic", features="avx2 avx512_vnni", device="cpu"):
    facts = {} if features is None else {FACT: features}
    candidate = Candidate("ort", precision, Setting("1x1"), device=device)
    return CandidateRecord(candidate, ledger=(LedgerRow("quality", "ok", facts=facts),))


def test_what_decides_is_told_from_what_does_not():
    assert deciding(VNNI | {"amx_int8", "sse2"}) == "avx2 avx512_vnni amx_int8"
    assert deciding({"asimd", "asimddp", "i8mm"}) == "i8mm asimddp"
    assert deciding(frozenset()) == ""


@pytest.mark.parametrize("precision", ["int8-dynamic", "int8-static", "int8-weight-only", "int4-weight-only"])
def test_products_of_bytes_may_saturate_on_a_cpu_without_vnni_or_amx(precision):
    reason = lacking(record(precision), OLD)
    assert reason.startswith("its quality was judged with avx512_vnni, which this CPU lacks: products of bytes may")
    assert "run it on this host" in reason
    both = lacking(record(precision, "avx2 avx512_vnni amx_int8"), OLD)
    assert "judged with avx512_vnni and amx_int8, which this CPU lacks" in both


@pytest.mark.parametrize(
    ("known", "flags"),
    [
        pytest.param(record(), None, id="at home"),
        pytest.param(record(), VNNI, id="alike"),
        pytest.param(record(features="avx2 avx512_vnni amx_int8"), VNNI, id="no amx"),
        pytest.param(record(), {"avx2", "avx_vnni"}, id="vnni of another kind"),
        pytest.param(record(features="i8mm asimddp"), {"asimddp"}, id="arm"),
        pytest.param(record(features="avx2"), OLD, id="none on either"),
        pytest.param(record(features="avx2"), VNNI, id="none there"),
        pytest.param(record(features=None), OLD, id="an old store"),
        pytest.param(record("fp32"), OLD, id="fp32"),
        pytest.param(record("bf16"), OLD, id="bf16"),
        pytest.param(record(device="cuda"), OLD, id="on a gpu"),
        pytest.param(CandidateRecord(Candidate("ort", "int8-dynamic", Setting("1x1"))), OLD, id="not judged"),
    ],
)
def test_elsewhere_nothing_is_refused(known, flags):
    assert lacking(known, flags) == ""


def test_a_resumed_run_takes_the_figures_of_the_same_features_alone():
    assert judged_alike(record(), VNNI)
    assert not judged_alike(record(), VNNI | {"amx_int8"})
    assert not judged_alike(record(), OLD)
    assert judged_alike(record(features=None), OLD)
    assert judged_alike(record("fp32"), OLD)


def quick_int8(engine, features):
    judged = LedgerRow("quality", "ok", facts={} if features is None else {FACT: features})
    return {"plain": engine(4.0), "quick": engine(2.0, precision="int8-dynamic", ledger=(judged,))}


def test_a_verdict_for_another_host_does_not_rest_on_the_quality_there(scenario, engine, run):
    asked = scenario(quick_int8(engine, "avx2 avx512_vnni"))
    for flags in (None, VNNI):
        found = judge_scenario(asked, cpu_flags=flags)
        assert (found.verdict, found.choice.backend) == ("WIN", "quick")
    (found,) = verdicts(run(asked), OLD)
    assert (found.verdict, found.choice, found.leader.backend) == ("INSUFFICIENT", None, "plain")
    quick = next(one for one in found.candidates if one.backend == "quick")
    assert (quick.stage, quick.outcome) == ("quality", "undecided")
    assert quick.reason.startswith("its quality was judged with avx512_vnni, which this CPU lacks")
    assert any("Undecided and maybe cheaper: quick/int8-dynamic/1x1 (its quality was" in why for why in found.reasons)


def test_where_no_floor_is_asked_and_in_old_stores_nothing_changes(scenario, engine):
    for asked in (
        scenario(quick_int8(engine, None)),
        scenario(quick_int8(engine, "avx2 avx512_vnni"), quality=None),
    ):
        assert judge_scenario(asked, cpu_flags=OLD).choice.backend == "quick"


def test_a_loss_that_was_shown_elsewhere_is_undecided_here_too(scenario, engine, quality):
    field = quick_int8(engine, "avx2 avx512_vnni")
    field["quick"].quality = (quality(-0.1),)
    for flags, outcome in ((VNNI, "quality-missed"), (OLD, "undecided")):
        judged = judge_scenario(scenario(field), cpu_flags=flags).candidates
        assert next(one.outcome for one in judged if one.backend == "quick") == outcome
