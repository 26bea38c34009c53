"""The pin's file: what it holds, what it may not hold, and every way in which it can be wrong."""

import getpass
import hashlib
import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.errors import UserError
from bakeoff.nightly import pin_files, pins, project
from bakeoff.nightly.lock import Lock
from bakeoff.nightly.moves import moves
from bakeoff.nightly.pins import Ground, PinnedArtifact, PinnedBatching, PinnedCandidate, PinnedSetting
from bakeoff.scenario import from_dict

SUM = "0" * 64
WORKLOAD = pins.PinnedWorkload(key="tiny-1", model=SUM, kept=SUM)
LOCK = Lock(python="3.11.7", packages=("numpy==2.4.6", "onnxruntime==1.31.1"))


def with_stored(made, stored):
    """The same baseline with these figures of sessions, by candidate id and metric; other candidates' stay."""
    values = made.model_dump(mode="json")
    for each in values["candidates"]:
        each["stored"] = stored.get(each["id"], each["stored"])
    return pins.Pin.model_validate_json(json.dumps(values))


def pinned(**other):
    values = {
        "id": "onnxruntime/fp32/1x1",
        "backend": "onnxruntime",
        "target": "bakeoff_backends.onnx_runtime:OnnxRuntime",
        "variant": "base",
        "place": "base",
        "precision": "fp32",
        "setting": PinnedSetting(name="1x1", threads=1, instances=1, options={"spin": False}),
        "device": "cpu",
        "instances": "threads",
        "version": "1.31.1",
        "artifact": PinnedArtifact(digest=SUM, bytes=1000),
        "quality": {"auc": 0.75},
        "lock": LOCK,
    }
    return PinnedCandidate(**values | other)


def scenario(**other):
    return from_dict({"name": "shop", "workload": "ctr-dlrm", "traffic": {"kind": "single_stream"}} | other)


def pin(*candidates, reason="the first", former=None, root=Path("/project"), **asked):
    return pins.new(scenario(**asked), WORKLOAD, candidates or [pinned()], reason, former, root)


def complaint(path):
    with pytest.raises(UserError) as caught:
        pin_files.read(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_it_comes_back_as_it_was(tmp_path):
    made = pin()
    path = pin_files.write(made, tmp_path / "baseline")
    assert path == tmp_path / "baseline" / "shop.json"
    assert pin_files.read(path) == made
    assert pin_files.find(path.parent) == [made]
    assert pin_files.read(path).asked() == scenario()
    assert [each.name for each in path.parent.iterdir()] == ["shop.json"], "no half file is left"


def kinds(made):
    """The types of an engine's options, for 1, 1.0 and True are equal."""
    return {name: type(value) for name, value in made.candidates[0].setting.options.items()}


finite = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(min_size=1, max_size=20).map(lambda text: text.strip()).filter(lambda text: text and text.isprintable())
options = st.dictionaries(st.text(max_size=9), st.booleans() | st.integers() | finite | st.text(max_size=9), max_size=4)
batchings = st.none() | st.builds(PinnedBatching, most_items=st.integers(1), wait_ms=st.floats(0, 1e4))
candidates = st.builds(
    lambda quality, stored, held, version, batching: pinned(
        quality=quality,
        stored={"service_time": tuple(stored)} if stored else {},
        version=version,
        setting=PinnedSetting(name="1x1", threads=2, instances=1, options=held, batching=batching),
    ),
    st.dictionaries(st.text(max_size=9), finite, max_size=3),
    st.lists(st.floats(1e-9, 1e3), max_size=3),
    options,
    st.text(max_size=9),
    batchings,
)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@settings(max_examples=40)
@given(candidates, words, moments, st.text(max_size=30))
def test_whatever_it_holds_comes_back_and_its_text_is_stable(tmp_path_factory, candidate, reason, at, description):
    former = pin(description=description)
    made = pin(candidate, reason=reason, former=former).model_copy(update={"pinned_at": at})
    path = pin_files.write(made, tmp_path_factory.mktemp("pins"))
    read = pin_files.read(path)
    assert read == made
    assert read.digest == made.digest
    assert pin_files.text(read) == path.read_text(encoding="utf-8")
    assert kinds(read) == kinds(made)


def test_a_change_is_a_line_of_the_diff(tmp_path):
    made = pin()
    before = pin_files.text(made).splitlines()
    after = pin_files.text(with_stored(made, {"onnxruntime/fp32/1x1": {"memory": [2e6]}})).splitlines()
    assert [line.strip() for line in after if line not in before] == ['"stored": {', '"memory": [', "2000000.0"]
    keys = list(json.loads(pin_files.text(made)))
    assert keys == sorted(keys)


def test_nothing_in_it_names_the_machine_its_user_or_an_absolute_path(tmp_path, monkeypatch):
    project = tmp_path / "home" / "shop"
    for name in ("shop/models/a.onnx", "beside/b.onnx", "shop/r.parquet"):
        (tmp_path / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / name).touch()
    (project / "bin").mkdir()
    (project / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(project)
    wheels = f"onnxruntime @ {(project / 'wheels' / 'a b.whl').as_uri()}#sha256={SUM}"
    repository = f"onnxruntime @ git+{(tmp_path / 'home' / 'beside').as_uri()}@v1"
    asked = {
        "workload": "models/a.onnx",
        "variants": {"beside": "../beside/b.onnx"},
        "requests": "r.parquet",
        "candidates": {
            "environments": {
                "onnxruntime@here": {"python": "bin/python"},
                "onnxruntime@wheel": {"requirements": [wheels]},
                "onnxruntime@git": {"requirements": [repository, "numpy<3"]},
            }
        },
    }
    made = pin(root=project, **asked)
    text = pin_files.text(made)
    user = getpass.getuser()
    for told in (str(tmp_path), platform.node(), str(Path.home()) if user == "root" else user):
        assert told not in text
    assert '"/' not in text
    elsewhere = tmp_path / "other" / "checkout"
    there = made.asked(elsewhere)
    assert there.workload == str(elsewhere / "models" / "a.onnx")
    assert there.variants == {"beside": str(tmp_path / "other" / "beside" / "b.onnx")}
    assert there.requests.file == elsewhere / "r.parquet"
    found = there.candidates.environments
    assert found["onnxruntime@here"].python == str(elsewhere / "bin" / "python")
    assert found["onnxruntime@wheel"].requirements == (wheels.replace(str(project), str(elsewhere)),)
    assert found["onnxruntime@git"].requirements == (
        repository.replace(str(tmp_path / "home"), str(tmp_path / "other")),
        "numpy<3",
    )
    assert made.asked(project).candidates == scenario(**asked).candidates


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"workload": "{far}/c.onnx"}, "shop: workload: {far}/c.onnx: lies outside of the project ("),
        ({"variants": {"far": "{far}/c.onnx"}}, "shop: variants: {far}/c.onnx: lies outside"),
        ({"environment": {"python": "{far}/python"}}, "candidates.environments.python: {far}/python: lies outside"),
        ({"environment": {"requirements": ["x @ file://{far}/x.whl"]}}, "requirements: {far}/x.whl: lies outside"),
        ({"environment": {"requirements": ["x @ git+https://TOKEN@host/x"]}}, "x @ git+https://host/x: has a user"),
        ({"environment": {"requirements": ["x @ https://host/x.whl?t=TOKEN"]}}, "x @ https://host/x.whl: has a user"),
        ({"environment": {"requirements": ["x @ git+ssh://a:TOKEN@host/x"]}}, "x @ git+ssh://host/x: has a user"),
    ],
)
def test_what_no_other_machine_finds_and_what_may_be_a_secret_is_not_pinned(tmp_path, asked, expected):
    for name in ("far/c.onnx", "far/python", "home/shop/.keep"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    far = str(tmp_path / "far")
    asked = json.loads(json.dumps(asked).replace("{far}", far))
    environment = asked.pop("environment", None)
    asked |= {"candidates": {"environments": {"onnxruntime@x": environment}}} if environment else {}
    with pytest.raises(UserError) as caught:
        pin(root=tmp_path / "home" / "shop", **asked)
    assert expected.replace("{far}", far) in str(caught.value)
    assert "TOKEN" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_login_without_a_password_is_no_secret():
    line = "x @ git+ssh://git@host/x.git"
    made = pin(candidates={"environments": {"onnxruntime@x": {"requirements": [line]}}})
    assert made.asked().candidates.environments["onnxruntime@x"].requirements == (line,)


def test_a_scenario_from_elsewhere_is_pinned_without_its_place(tmp_path):
    made = pins.new(scenario().from_file(tmp_path / "x.yaml"), WORKLOAD, [pinned()], "why", root=Path("/project"))
    assert made.scenario["source"] is None
    assert made.asked().source is None


def test_paths_are_told_from_the_project_or_beside_it_alone():
    assert project.relative(Path("/app/models/a.onnx"), Path("/app")) == "models/a.onnx"
    assert project.relative(Path("/home/me/a.onnx"), Path("/app")) is None
    assert project.relative(Path("/srv/other/a.onnx"), Path("/srv/shop")) == "../other/a.onnx"
    assert project.relative(Path("/data/a.onnx"), Path("/srv/shop")) is None


def test_an_environments_interpreter_stays_the_link_that_makes_it_one(tmp_path):
    project = tmp_path / "shop"
    (project / "serving" / "bin").mkdir(parents=True)
    python = project / "serving" / "bin" / "python"
    python.symlink_to(sys.executable)
    environments = {"onnxruntime@serving": {"python": str(python)}}
    made = pin(root=project, candidates={"environments": environments})
    there = made.asked(project).candidates.environments["onnxruntime@serving"]
    assert there.python == str(python)
    assert str(tmp_path) not in pin_files.text(made)


def test_neighbours_of_a_home_folder_are_not_told(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert project.relative(Path("/home/her/a.onnx"), Path("/home/me")) is None
    assert project.relative(Path("/home/me/a.onnx"), Path("/home/me")) == "a.onnx"
    assert project.relative(Path("/home/me/other/a.onnx"), Path("/home/me/shop")) == "../other/a.onnx"


def test_the_digest_is_the_baselines_and_not_that_of_its_stored_figures():
    made = pin()
    stored = with_stored(made, {"onnxruntime/fp32/1x1": {"service_time": [0.001, 0.0011, 0.009], "memory": [2e6]}})
    assert stored.candidates[0].stored["service_time"] == (0.001, 0.0011, 0.009)
    assert stored.candidates[0].stands_in == {"service_time": 0.0011, "memory": 2e6}
    assert stored.digest == made.digest
    assert with_stored(made, {"another/fp32/1x1": {"memory": [1.0]}}) == made
    assert pin(pinned(version="1.30.0")).digest != made.digest


def test_older_pins_load_and_keep_their_digests(tmp_path):
    """They name neither the size of the requests nor each variant's model."""
    path = pin_files.write(pin(), tmp_path)
    values = json.loads(path.read_text())
    del values["workload"]["pool_bytes"], values["candidates"][0]["model"]
    path.write_text(json.dumps(values))
    older = pin_files.read(path)
    assert older == pin().model_copy(update={"pinned_at": older.pinned_at})
    (candidate,) = values["candidates"]
    del candidate["stored"]
    known = [hashed(values), hashed([values["workload"], candidate])]
    assert [older.digest, older.digest_of(older.candidates[0])] == known
    assert pin(pinned(model=SUM)).digest != pin().digest


def hashed(values):
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def test_it_remembers_the_pins_before_it():
    first = pin(reason="the first")
    second = pin(reason="a newer engine", former=first)
    third = pin(reason="a better model", former=second)
    assert [(each.reason, each.digest) for each in third.earlier] == [
        ("the first", first.digest),
        ("a newer engine", second.digest),
    ]


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_no_reason_no_pin(reason, tmp_path):
    with pytest.raises(UserError, match="--reason: is empty; say why the baseline moves"):
        pin(reason=reason)
    with pytest.raises(UserError, match="--reason: is empty"):
        pin_files.write(pin().model_copy(update={"reason": reason}), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data["candidates"][0].update(id="torch/fp32/1x1"), "candidates[0].id: is none; its parts make"),
        (lambda data: data["candidates"][0].update(target="os"), "candidates[0].target: must be a plugin"),
        (lambda data: data["candidates"][0].update(place="../x"), "candidates[0].place: must be a place in"),
        (lambda data: data["candidates"][0].update(device="tpu"), "candidates[0]: Value error, must be cpu, cuda"),
        (lambda data: data["candidates"][0].pop("lock"), "candidates[0].lock: is missing"),
        (lambda data: data["candidates"][0].update(lok=1), "candidates[0].lok: is no part of a pin"),
        (lambda data: data["candidates"][0]["artifact"].update(digest="00"), "candidates[0].artifact.digest: "),
        (lambda data: data["candidates"][0]["artifact"].update(bytes=0), "candidates[0].artifact.bytes: "),
        (lambda data: data["candidates"][0]["setting"].update(threads="2"), "candidates[0].setting.threads: "),
        (lambda data: data["candidates"][0]["quality"].update(auc=float("nan")), "candidates[0].quality.auc: "),
        (lambda data: data["candidates"][0]["lock"].update(packages=["numpy>=2"]), "lock.packages[0]: "),
        (lambda data: data["candidates"][0]["stored"].update(p50=[1.0]), "candidates[0].stored.p50"),
        (lambda data: data["candidates"][0]["stored"].update(p99=[-1.0]), "candidates[0].stored.p99[0]: "),
        (lambda data: data.update(candidates=[]), "candidates: "),
        (lambda data: data["candidates"].append(data["candidates"][0]), "candidates[1].id: occurs twice"),
        (lambda data: data.update(version=2), "version: 2: this bakeoff reads version 1"),
        (lambda data: data.update(format="another"), 'is no pin, which begins with "format": "bakeoff-pin"'),
        (lambda data: data.update(reason=""), "reason: "),
        (lambda data: data["scenario"].update(name="other"), "scenario.name: 'other': this file is that of shop"),
        (lambda data: data["scenario"]["traffic"].update(kind="mad"), "scenario: traffic.kind: 'mad'"),
        (lambda data: data.update(host={}), "host.cpu: is missing"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(tmp_path, change, expected):
    path = pin_files.write(pin(), tmp_path)
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    assert expected in complaint(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"<<<<<<< HEAD\n{}", b"[" * 100_000, b"[]", b"null", b"3"])
def test_whatever_is_in_the_file(tmp_path, content):
    path = tmp_path / "shop.json"
    path.write_bytes(content)
    assert "is not valid JSON" in complaint(path) or "is no pin" in complaint(path)


def test_where_there_is_none(tmp_path):
    assert "no such pin; `bakeoff pin" in complaint(tmp_path / "shop.json")
    with pytest.raises(UserError, match="holds no pin"):
        pin_files.find(tmp_path)
    assert pin_files.former(tmp_path, "shop") is None


def test_a_scenarios_file_stands_for_its_name(tmp_path):
    made = pin()
    pin_files.write(made, tmp_path)
    assert pin_files.find(tmp_path, ["shop"]) == pin_files.find(tmp_path, ["scenarios/shop.yaml"]) == [made]
    for named in ("gone", "scenarios/gone.yaml"):
        with pytest.raises(UserError, match=r"/gone\.json: no such pin; `bakeoff pin scenarios/gone\.yaml --reason"):
            pin_files.find(tmp_path, [named])


def test_a_scenarios_own_name_counts_and_a_folder_stands_for_those_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pins_of = tmp_path / "baseline"
    named, other = pin(), pin(name="other")
    for each in (named, other):
        pin_files.write(each, pins_of)
    (tmp_path / "scenarios").mkdir()
    asked = "workload: ctr-dlrm\ntraffic: {kind: single_stream}\n"
    (tmp_path / "scenarios" / "2026-autumn.yaml").write_text(f"name: shop\n{asked}")
    assert pin_files.find(pins_of, ["scenarios/2026-autumn.yaml"]) == [named]
    (tmp_path / "scenarios" / "other.yaml").write_text(asked)
    assert pin_files.find(pins_of, ["scenarios"]) == [named, other]
    assert pin_files.find(pins_of, ["other", "scenarios/", "shop"]) == [other, named], "each once"
    (tmp_path / "shop").mkdir()
    assert pin_files.find(pins_of, ["shop"]) == [named], "a folder of a pin's name is not meant"
    (tmp_path / "scenarios" / "new.yaml").write_text(asked)
    with pytest.raises(UserError, match=r"new\.json: no such pin; `bakeoff pin scenarios/new\.yaml --reason TEXT`"):
        pin_files.find(pins_of, ["scenarios"])


def test_a_file_in_the_folders_place_is_a_clear_line(tmp_path):
    (tmp_path / "baseline").touch()
    with pytest.raises(UserError, match=r"baseline/shop\.json: cannot be written"):
        pin_files.write(pin(), tmp_path / "baseline")


def test_what_hosts_may_be_compared():
    here = Ground(cpu="A", cpu_flags="avx2", cores=2)
    assert here.unlike(here) == ""
    assert here.unlike(Ground(cpu="A", cpu_flags="avx2 avx512f", cores=4)) == (
        "cpu_flags: avx2, now avx2 avx512f; cores: 2, now 4"
    )
    assert Ground.here().unlike(Ground.here()) == ""


def test_it_says_what_moved():
    first = pin()
    assert moves(None, first) == (
        "onnxruntime/fp32/1x1: pinned for the first time, 1.31.1, artifact 1,000 bytes, auc 0.75",
    )
    assert moves(first, pin(former=first)) == ("nothing changed but the reason",)
    newer = pinned(
        version="1.32.0",
        lock=Lock(python="3.11.7", packages=("ml-dtypes==0.6.0", "onnxruntime==1.32.0")),
        artifact=PinnedArtifact(digest="1" * 64, bytes=1050),
        quality={"auc": 0.7475},
    )
    other = pinned(id="torch/fp32/1x1", backend="torch")
    moved = moves(pin(pinned(), other), pin(newer, traffic={"kind": "offline"}))
    assert moved == (
        "scenario: traffic.kind single_stream -> offline",
        "onnxruntime/fp32/1x1: onnxruntime 1.31.1 -> 1.32.0",
        "onnxruntime/fp32/1x1: ml-dtypes absent -> 0.6.0",
        "onnxruntime/fp32/1x1: numpy 2.4.6 -> absent",
        "onnxruntime/fp32/1x1: onnxruntime 1.31.1 -> 1.32.0",
        "onnxruntime/fp32/1x1: artifact 1,000 -> 1,050 bytes (+5.00%)",
        "onnxruntime/fp32/1x1: auc 0.75 -> 0.7475 (-0.0025)",
        "torch/fp32/1x1: no longer pinned",
    )
