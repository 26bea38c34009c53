"""Servers in a scenario file: what a person may write, and one clear line for what not, which tells no secret."""

import pytest

from bakeoff.errors import UserError
from bakeoff.scenario.loading import from_dict, restore


def scenario(endpoints, folder=None, **more):
    whole = {"name": "n", "workload": "ctr-dlrm", "traffic": {"kind": "server", "qps": 10}, "sla": {"p99": "20ms"}}
    return from_dict(whole | more | {"candidates": {"endpoints": endpoints}}, folder=folder)


V2 = {"url": "http://localhost:8000", "model": "ranker"}
REST = {"url": "http://localhost/predict", "protocol": "template"}
TEMPLATE = {"body": {"x": "$x"}, "answer": {"score": "scores"}}


def test_a_server_and_what_goes_without_saying(tmp_path):
    (tmp_path / "ca.pem").touch()
    whole = V2 | {"url": "https://shop:8443/models", "ca_file": "ca.pem", "timeout": "2s", "connections": [1, 16]}
    whole |= {"headers": {"Authorization": "Bearer env:TOKEN", "X-Shop": "env:SHOP"}, "cpus": 4, "precision": "int8"}
    asked = scenario({"plain": V2, "all": whole, "rest": REST | {"template": TEMPLATE}}, tmp_path)
    plain, everything, _ = asked.candidates.endpoints.values()
    assert (plain.protocol, plain.connections, plain.precision, plain.cpus) == ("v2-json", (8,), "fp32", None)
    assert everything.ca_file == str(tmp_path / "ca.pem")
    assert everything.timeout_s == 2.0
    assert list(asked.candidates.servers) == ["endpoint@plain", "endpoint@all", "endpoint@rest"]
    assert restore(asked.definition(), "again").candidates.endpoints == asked.candidates.endpoints
    assert "cpus" not in everything.options()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"url": "localhost:8000"}, "url: 'localhost:8000': must be an address such as https://"),
        ({"url": "http://:8000"}, "must be an address"),
        ({"url": "http://shop:99999"}, "must be an address"),
        (
            {"url": "http://me:secret@shop"},
            "must have no user, password, query or fragment; a secret goes into",
        ),
        ({"url": "http://shop/?key=secret"}, "must have no user, password, query"),
        ({"url": "grpc://shop:8001"}, "must begin with http:// or https:// for protocol: v2-json"),
        ({"protocol": "v2-grpc"}, "must begin with grpc:// or grpcs:// for protocol: v2-grpc"),
        ({"protocol": "v3"}, "protocol: 'v3': must be 'v2-json'"),
        ({"model": None}, "model: goes with every protocol but template"),
        ({"template": TEMPLATE}, "goes with protocol: template"),
        ({"protocol": "template", "model": None}, "template: goes with protocol: template, and that with a template"),
        ({"headers": {"Authorization": "secret"}}, "headers.Authorization: must name an environment variable, as in"),
        ({"headers": "secret"}, "headers: must name an environment variable"),
        ({"headers": {"a b": "env:X"}}, "holds a name that is no header's"),
        ({"headers": {"X": 5}}, "headers.X: must name an environment variable"),
        ({"ca_file": "gone.pem"}, "ca_file: 'gone.pem': no such file (looked for "),
        ({"connections": 0}, "greater than or equal to 1"),
        ({"connections": [4, 4]}, "must name each number once"),
        ({"connections": True}, "connections: true: must be a list"),
        ({"timeout": 5}, "must be a duration with its unit"),
        ({"variant": "student"}, "variant: 'student': no such variant; there are base"),
        ({"cpu": 2}, "unknown key; did you mean cpus?"),
        ({"inputs": {"x": 3}}, "must be text"),
    ],
)
def test_what_is_wrong_is_one_line_without_a_secret(changed, said):
    with pytest.raises(UserError) as error:
        scenario({"triton": V2 | changed})
    assert "candidates.endpoints.triton" in str(error.value)
    assert said in str(error.value)
    assert "secret@" not in str(error.value)
    assert "'secret'" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_certificate_goes_with_tls(tmp_path):
    (tmp_path / "ca.pem").touch()
    with pytest.raises(UserError, match=r"ca_file: .*goes with https://"):
        scenario({"triton": V2 | {"ca_file": "ca.pem"}}, tmp_path)


def test_a_name_must_fit_into_a_candidates_id():
    with pytest.raises(UserError, match="a/b: must be a name of yours"):
        scenario({"a/b": V2})


def test_a_servers_name_is_no_environments():
    whole = {"workload": "ctr-dlrm", "traffic": {"kind": "offline"}}
    with pytest.raises(UserError, match=r"endpoint@x.*: is a server's name; it goes into candidates\.endpoints"):
        from_dict(whole | {"candidates": {"environments": {"endpoint@x": {"requirements": ["a"]}}}})


def test_it_may_serve_a_variant():
    asked = scenario({"triton": V2 | {"variant": "prune:0.5"}}, variants=["prune:0.5"])
    assert asked.candidates.endpoints["triton"].variant == "prune:0.5"
