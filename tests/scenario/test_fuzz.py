"""Whatever the file holds: a Scenario, or a UserError of one line."""

import json

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bakeoff.errors import UserError
from bakeoff.scenario import Scenario, from_dict, json_schema, load_scenario, restore

KEYS = sorted(
    {
        *json_schema()["properties"],
        *(key for each in json_schema()["$defs"].values() for key in each.get("properties", ())),
    }
    | {"p99", "p50.5", "base", "auc", "items", "weight", "file", "candidate", "limit_ms", "percentile", "amount"}
)
WORDS = [
    "ctr-dlrm",
    "a.onnx",
    "20ms",
    "2GiB",
    "0.1%",
    "1 USD/core-hour",
    "torch/fp32/1x1",
    "server",
    "offline",
    "burst",
    "trace",
    "max",
    "a.csv",
    "a:b",
    "\0",
]
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(WORDS), st.just(10**400)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
traffic = st.fixed_dictionaries(
    {"kind": st.sampled_from(["server", "constant", "burst", "trace", "offline"])},
    optional=dict.fromkeys(("qps", "burst", "trace", "batch_size"), values),
)
nearly_right = st.fixed_dictionaries(
    {"workload": st.just("ctr-dlrm") | values, "traffic": st.just({"kind": "offline"}) | traffic | values},
    optional={key: values for key in json_schema()["properties"] if key not in ("workload", "traffic")},
)
calm = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def check(read) -> None:
    try:
        scenario = read()
    except UserError as error:
        complaint = str(error)
    else:
        complaint = "none"
        assert isinstance(scenario, Scenario)
        assert restore(json.loads(json.dumps(scenario.definition()))) == scenario
    assert complaint.isprintable()
    assert len(complaint.splitlines()) == 1


@calm
@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf")
@example(b"%YAML 1.1\n---\n")
@example(b'a: "\\ud800"')
@example(b"[" * 5000)
def test_any_bytes(tmp_path, data):
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    check(lambda: load_scenario(path))


@calm
@given(st.text(alphabet="ab:- \n\t[]{}&*!|>'\"%@#,?~.0", max_size=60))
def test_any_yaml_like_text(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    check(lambda: load_scenario(path))


@calm
@given(nearly_right)
def test_any_structure_in_a_file(tmp_path, data):
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    check(lambda: load_scenario(path))


@calm
@given(nearly_right)
def test_any_structure_from_python(data):
    check(lambda: from_dict(data))
