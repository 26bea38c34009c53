"""Every mistake gives one line: the file, the key, the value, and what would be right."""

import os

import pytest

from bakeoff.errors import UserError
from bakeoff.scenario import load_scenario
from bakeoff.scenario.strict_yaml import MAX_BYTES

OFFLINE = "workload: ctr-dlrm\ntraffic: {kind: offline}\n"


def complaint(path) -> str:
    with pytest.raises(UserError) as caught:
        load_scenario(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty; a scenario has at least a workload and its traffic"),
        ("# nothing\n", "is empty; a scenario has at least a workload and its traffic"),
        ("[]", "a list of 0: must be a mapping of keys such as workload, traffic and sla"),
        ("just words", "'just words': must be a mapping of keys such as workload, traffic and sla"),
        ("a: [1\nb: 2", "line 2: is not valid YAML: "),
        ("a: 1\n---\nb: 1", "holds several documents (---); keep one scenario per file (line 2)"),
        ("a: 1\na: 2", "a: occurs twice; keep one (line 2)"),
        ("traffic: {qps: 1, qps: 2}", "traffic.qps: occurs twice; keep one (line 1)"),
        ("a: &x 1\nb: *x", "a: &x: anchors are not allowed; write the value out (line 1)"),
        ("b: *x", "b: *x: aliases are not allowed; write the value out (line 1)"),
        ("a: !!python/object/apply:os.system [ls]", "a: tag:yaml.org,2002:python/object/apply:o…: tags are not"),
        ("a: !shop x", "a: !shop: tags are not allowed; write the plain value (line 1)"),
        ("!" * 900_000 + " x", "!!!…: tags are not allowed"),
        ("a: *" + "x" * 900_000, "xxx…: aliases are not allowed"),
        ("1: x", "1: a key must be a word, not a number or nothing (line 1)"),
        ("? [a]\n: 1", "a key must be a word, not a list or a mapping (line 1)"),
        ("a: " + "[" * 100_000, "a[0]: is nested more than 16 levels deep (line 1)"),
        ("a: " + "{a: " * 100_000, "a.a: is nested more than 16 levels deep (line 1)"),
        ("- " * 100_000, "[0][0]: is nested more than 16 levels deep (line 1)"),
        ("a: [" + "1," * 20_000 + "1]", "the file holds more than 10,000 values"),
        ("a: .inf", "a: .inf: must be a finite number (line 1)"),
        ("a: [-.INF]", "a[0]: -.INF: must be a finite number (line 1)"),
        ("a: .nan", "a: .nan: must be a finite number (line 1)"),
        ("a: 1e999", "a: 1e999: must be a finite number (line 1)"),
        ("a: " + "9" * 5000, "must be a finite number (line 1)"),
        ("a: \x07", "is not valid YAML: "),
        ('"one\\ntwo": 1', "'one\\ntwo': unknown key; known are version, name,"),
    ],
)
def test_yaml_is_read_strictly(write, text, expected):
    message = complaint(write(text))
    assert message.startswith("x.yaml: ")
    assert expected in message


def test_files_that_are_none(write, tmp_path):
    path = write("")
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert complaint(path) == "x.yaml: is not UTF-8 text; a scenario is a YAML text file"
    path.write_bytes(b"\x7fELF\x02\x01\x01\x00")
    assert complaint(path).startswith("x.yaml: is not valid YAML: ")
    with path.open("wb") as file:
        file.truncate(1024**3)
    assert complaint(path) == f"x.yaml: has {1024**3:,} bytes; a scenario has at most {MAX_BYTES:,}"
    path.unlink()
    assert complaint(path) == "x.yaml: no such file"
    os.mkfifo(path)
    assert complaint(path) == "x.yaml: is not a file"
    assert complaint(tmp_path).endswith(": is a folder, not a scenario file")
    assert complaint("a\0b.yaml") == "a\\x00b.yaml: cannot be read: embedded null byte"
    assert complaint("x" * 300).endswith("cannot be read: File name too long")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("workloads: x", "workloads: unknown key; did you mean workload?"),
        ("sla2: 1\nfoo: 2\nbar: 3", "sla2: unknown key; did you mean sla? (and 2 more)"),
        ("source: x", "source: unknown key; did you mean resources?"),
        ("price: 3", "price: 3: must be money per core-hour, gpu-hour or host-hour, as in 0.0416 USD/core-hour"),
        ("price: 3 USD/day", "price: '3 USD/day': must be money per core-hour, gpu-hour or host-hour, as in"),
        ("resources: {cpus: 1.5}", "resources.cpus: 1.5: must be a whole number, as in cpus: 2"),
        ("resources: {cpus: 0}", "resources.cpus: 0: must be greater than 0, as in cpus: 2"),
        ("resources: {memory: 2}", "resources.memory: 2: must be a size with its unit"),
        ("resources: {device: gpu}", "resources.device: 'gpu': must be cpu, cuda, cuda:1 for another GPU, or cuda:0+1"),
        ("resources: {device: 1}", "resources.device: 1: must be text, as in device: cuda"),
        ("resources: {device: cuda:1+1}", "resources.device: 'cuda:1+1': must name each GPU once, as in cuda:0+1"),
        ("resources: {gpu_memory: 8GiB}", "resources.gpu_memory: '8GiB': goes with a GPU, as in device: cuda"),
        ("resources: {device: cuda, gpu_memory: 8}", "resources.gpu_memory: 8: must be a size with its unit"),
        ("price: 2.5 USD/gpu-hour", "price: '2.5 USD/gpu-hour': a gpu-hour goes with a GPU, as in resources: {device:"),
        (
            "price: 1 USD/core-hour\nresources: {device: cuda}",
            "price: '1 USD/core-hour': a core-hour leaves the GPU out; price a gpu-hour (with its cores) or",
        ),
        (
            "resources: {device: cuda}\nincumbent: {name: x, cpus: 2, qps: 3}",
            "incumbent: a mapping of 3: must say how many GPUs a replica of production holds, as in gpus: 1",
        ),
        ("incumbent: {name: x, cpus: 2, qps: 3, gpus: 1}", "incumbent.gpus: 1: goes with a GPU, as in resources:"),
        (
            "quality: {auc: -1}",
            "quality.auc: -1: must be the largest loss, from 0 to a billion, in the metric's units (0.002)",
        ),
        ("quality: {auc: 1e10}", "quality.auc: 10000000000.0: must be the largest loss"),
        ("quality: {auc: true}", "quality.auc: true: must be the largest loss"),
        ("quality: {auc: a bit}", "quality.auc: 'a bit': must be a percentage with its sign, as in 0.1%"),
        ("quality: {a b: 1}", "quality.'a b': 'a b': is not of the right form; a name has letters, digits"),
        ("quality: [auc]", "quality: a list of 1: must be a mapping of keys, as in quality: {auc: 0.002"),
        ("incumbent: torch", "incumbent: 'torch': must be a candidate's id, as in torch/fp32/1x1, or production's"),
        ("incumbent: 3", "incumbent: 3: must be a candidate's id"),
        ("incumbent: {name: x}", "incumbent: a mapping of 1: must be a candidate such as torch/fp32/1x1, or figures"),
        ("incumbent: {candidate: t/a/b, name: x}", "must be a candidate or production's figures, not both"),
        ("incumbent: {candidate: t/a/b, p99: 35ms, qps: 3}", "not both; with a candidate goes p99 alone"),
        ("incumbent: {name: x, cpus: 2, qps: 3, p99: 35}", "incumbent.p99: 35: must be a duration with its unit"),
        ("requests: r.parquet", "requests: 'r.parquet': goes with a model of yours; ctr-dlrm brings its own requests"),
        ("requests: r.csv", "requests.file: 'r.csv': must be a file of requests (.parquet or .npz)"),
        ("requests: {fle: r.parquet}", "requests.fle: unknown key; did you mean file? (and 1 more)"),
        ("requests: no.npz", "requests.file: 'no.npz': no such file (looked for "),
        ("variants: {base: a.onnx}", "variants.base: 'a.onnx': has a base, and the workload is one too; keep one"),
        ("variants: {small: c.onnx}", "variants.small: 'c.onnx': no such file (looked for "),
        ("variants: {small: a.txt}", "variants.small: 'a.txt': must be a model file (.onnx or .pt2)"),
        (
            "candidates: {backends: torch}",
            "candidates.backends: 'torch': must be a list, as in backends: [onnxruntime,",
        ),
        ("candidates: {backends: []}", "candidates.backends: a list of 0: must have at least 1 item, as in backends:"),
        ("seed: -1", "seed: -1: must be greater than or equal to 0"),
        ("version: 2", "version: 2: must be 1"),
        ("name: a/b", "name: 'a/b': is not of the right form; a name has letters"),
        ("matters: 3", "matters: 3: must be a percentage with its sign, as in 0.1%"),
        ("description: " + "x" * 3000, "description: '" + "x" * 38 + "…: must have at most 2000 characters"),
    ],
)
def test_keys_say_what_would_be_right(good, more, expected):
    message = complaint(good(more))
    assert message.startswith(f"x.yaml: {expected}") or expected in message


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        ("server", "traffic: 'server': must be a mapping of keys, as in traffic: {kind: server, qps: 200}"),
        ("{qps: 3}", "traffic.kind: missing, as in kind: server"),
        ("{kind: bursts}", "traffic.kind: 'bursts': must be 'server', 'constant', 'burst', 'trace', 'single_stream', "),
        ("{kind: server, qbs: 2}", "traffic.qbs: unknown key; did you mean qps?"),
        ("{kind: server}", "traffic.qps: missing; server traffic needs the requests per second of one replica"),
        ("{kind: server, qps: -3}", "traffic.qps: -3: must be greater than 0, as in qps: 200"),
        ("{kind: constant}", "traffic.qps: missing; constant traffic needs the requests per second of one replica"),
        ("{kind: server, qps: most}", "traffic.qps: 'most': must be a number, as in qps: 200, or max, which asks how"),
        ("{kind: server, qps: '200'}", "traffic.qps: '200': must be a number, as in qps: 200"),
        ("{kind: server, qps: true}", "traffic.qps: true: must be a number, as in qps: 200"),
        ("{kind: server, qps: [max]}", "traffic.qps: a list of 1: must be a number, as in qps: 200"),
        ("{kind: server, qps: 1e7}", "traffic.qps: 10000000.0: must be at most 1000000, as in qps: 200"),
        ("{kind: server, qps: 0}", "traffic.qps: 0: must be greater than 0, as in qps: 200"),
        (
            "{kind: single_stream, qps: 1}",
            "traffic.qps: 1: goes with kind: server, constant, burst or trace; single_stream traffic runs as fast",
        ),
        ("{kind: offline, qps: max}", "traffic.qps: 'max': goes with kind: server, constant, burst or trace; offline"),
        ("{kind: burst}", "traffic.qps: missing; burst traffic needs the requests per second of one replica"),
        ("{kind: server, qps: 1, burst: {peak: 2}}", "traffic.burst: a mapping of 1: goes with kind: burst"),
        (
            "{kind: burst, qps: 1, burst: 3}",
            "traffic.burst: 3: must be a mapping of keys, as in burst: {length",
        ),
        (
            "{kind: burst, qps: 1, burst: {length: 30s}}",
            "traffic.burst: a mapping of 1: come every 150 s; a block of at most 10m must hold 5",
        ),
        ("{kind: burst, qps: 1, burst: {peak: 1}}", "traffic.burst.peak: 1: must be greater than 1, as in peak: 3"),
        (
            "{kind: burst, qps: 1, burst: {peak: 6}}",
            "traffic.burst.peak: 6: must be at most 5 where bursts take 20 % of the time",
        ),
        ("{kind: burst, qps: 1, burst: {share: 0.2}}", "traffic.burst.share: 0.2: must be a percentage with its sign"),
        (
            "{kind: burst, qps: 1, burst: {share: 100%}}",
            "traffic.burst.share: '100%': must be above 0% and below 100%, as in 20%",
        ),
        ("{kind: burst, qps: 1, burst: {length: 2}}", "traffic.burst.length: 2: must be a duration with its unit"),
        ("{kind: burst, qps: 1, burst: {lenght: 2}}", "traffic.burst.lenght: unknown key; did you mean length?"),
        ("{kind: trace}", "traffic.trace: missing; give the file of recorded requests, as in trace: requests.csv"),
        ("{kind: trace, trace: 3}", "traffic.trace: 3: must be a file of recorded arrivals (.csv or .parquet)"),
        ("{kind: trace, trace: a.onnx}", "traffic.trace: 'a.onnx': must be a file of recorded arrivals (.csv or"),
        ("{kind: trace, trace: x.csv}", "traffic.trace: 'x.csv': no such file (looked for "),
        ("{kind: trace, trace: r.parquet}", "traffic.trace: 'r.parquet': is not a readable .parquet file"),
        ("{kind: offline, fleet_qps: 1}", "traffic.fleet_qps: 1: goes with live traffic"),
        ("{kind: offline, samples_per_query: 4}", "traffic.samples_per_query: 4: goes with kind: multi_stream"),
        ("{kind: offline, duration: 4}", "traffic.duration: 4: must be a duration with its unit"),
        ("{kind: offline, duration: 1ms}", "traffic.duration: '1ms': must be from 100ms to 10m, as in 4s"),
        ("{kind: offline, batch_size: 0}", "traffic.batch_size: 0: must be from 1 to 100000 items, as in 256"),
        ("{kind: offline, batch_size: [8]}", "traffic.batch_size: a list of 1: must be a number of items, as in 256"),
        ("{kind: offline, batch_size: [{items: 3}]}", "traffic.batch_size[0].weight: missing"),
        (
            "{kind: offline, batch_size: [{items: 3, wight: 2}]}",
            "traffic.batch_size[0].wight: unknown key; did you mean weight? (and 1 more)",
        ),
        (
            "{kind: offline, batch_size: [{items: 3, weight: -2}]}",
            "traffic.batch_size[0].weight: -2: must be greater than 0",
        ),
        (
            "{kind: offline, batch_size: [{items: 3, weight: 2}, {items: 3, weight: 1}]}",
            "traffic.batch_size: a list of 2: must name each number of items once",
        ),
    ],
)
def test_traffic(write, traffic, expected):
    assert complaint(write(f"workload: ctr-dlrm\nsla: {{p99: 20ms}}\ntraffic: {traffic}")).startswith(
        f"x.yaml: {expected}"
    )


@pytest.mark.parametrize(
    ("sla", "expected"),
    [
        ("", "sla: missing; server traffic needs a latency limit, as in {p99: 20ms}"),
        ("20ms", "sla: '20ms': must be a mapping of keys, as in sla: {"),
        ("{p99: 20}", "sla.p99: 20: must be a duration with its unit (us, ms, s, m or h), as in 20ms"),
        ("{p99: 20 furlongs}", "sla.p99: '20 furlongs': must be a duration with its unit"),
        ("{p99: 20ms, error_rate: 0.1}", "sla.error_rate: 0.1: must be a percentage with its sign, as in 0.1%"),
        ("{error_rate: 0.1%}", "sla: a mapping of 1: must name a percentile (p50 to p99.9) and its limit"),
        ("{p95: 1ms, p99: 2ms}", "sla: a mapping of 2: must limit one percentile, not p95 and p99"),
        ("{p9: 20ms}", "sla.p9: unknown key; did you mean p99?"),
        ("{p100: 20ms}", "sla.p100: unknown key; did you mean p"),
        ("{limit_ms: 20}", "sla.limit_ms: unknown key; known are error_rate, p50, p90, p95, p99"),
    ],
)
def test_sla(write, sla, expected):
    text = f"workload: ctr-dlrm\ntraffic: {{kind: server, qps: 200}}\nsla: {sla}"
    assert complaint(write(text)).startswith(f"x.yaml: {expected}")


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ("", "workload: missing; name a built-in workload such as ctr-dlrm, a model file or package.module:factory"),
        ("workload: c.onnx", "workload: 'c.onnx': no such file (looked for "),
        ("workload: model.pb", "workload: 'model.pb': must be a built-in workload such as ctr-dlrm, a model file"),
        ("workload: 3", "workload: 3: must be a built-in workload"),
        ('workload: "a\\0.onnx"', "workload: 'a\\x00.onnx': no such file"),
        ("variants: {small: a.onnx}", "variants: a mapping of 1: must have a base, as in {base: a.onnx, student:"),
        ("variants: {}", "workload: missing; name a built-in workload"),
    ],
)
def test_workload(write, workload, expected):
    text = f"{workload or 'workload:'}\ntraffic: {{kind: offline}}"
    assert complaint(write(text)).startswith(f"x.yaml: {expected}")


def test_long_paths_are_no_crash(write):
    assert "no such file" in complaint(write(OFFLINE.replace("ctr-dlrm", "x" * 5000 + ".onnx")))


@pytest.mark.parametrize("model", ["workload: a.onnx", "workload: b.pt2", "variants: {base: a.onnx}"])
def test_a_model_file_has_no_preparation_to_include(write, model):
    expected = (
        "x.yaml: include_preparation: true: goes with a workload that prepares its requests; a model file has none"
    )
    assert complaint(write(f"{model}\ntraffic: {{kind: offline}}\ninclude_preparation: true\n")) == expected


@pytest.mark.parametrize("value", ["1", "yes", "'true'", "[]"])
def test_including_the_preparation_is_true_or_false(write, value):
    assert complaint(write(f"{OFFLINE}include_preparation: {value}\n")).startswith("x.yaml: include_preparation: ")


def test_latencies_at_rates_of_their_own_are_not_compared(write):
    text = "workload: ctr-dlrm\nobjective: p99\nsla: {p99: 20ms}\ntraffic: {kind: server, qps: max}\n"
    told = complaint(write(text))
    assert told.endswith("objective: 'p99': p99 goes with one rate for all, as in qps: 400, not with max")
