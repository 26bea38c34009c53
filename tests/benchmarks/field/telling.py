"""The field as text: a table for each workload, and from which batch and which load on a GPU is worth it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from field.running import Ceilings, Row, Work

MILLI, GIGA = 1e3, 1e9


def table(rows: Sequence[Row], batches: Sequence[int], work: Work, ceilings: Mapping[str, Ceilings]) -> list[str]:
    """p50 in ms by batch size, and under it for each row what share of its device's ceilings that comes to."""
    lines = [_line("p50, ms, at a batch of", map(str, batches))]
    for row in rows:
        name = f"{row.device:4} {row.candidate}"
        if row.refused:
            lines.append(f"{name:44} not measured: {row.refused}")
            continue
        lines.append(_line(name, (_number(MILLI * s) if (s := row.seconds.get(n)) else "-" for n in batches)))
        if row.device in ceilings:
            lines += _achieved(row, batches, work, ceilings[row.device])
    return lines


def _achieved(row: Row, batches: Sequence[int], work: Work, ceiling: Ceilings) -> list[str]:
    lines = []
    for what, line, limit in (
        ("GB/s", work.bytes, ceiling.bytes),
        ("GFLOP/s", work.flop, ceiling.flop.get(row.precision)),
    ):
        rates = {n: (line[0] + line[1] * n) / seconds for n, seconds in row.seconds.items()}
        cells = (_number(rates[n] / GIGA) if n in rates else "-" for n in batches)
        best = max(rates.values(), default=0.0)
        if not best:
            continue
        share = f"  best {best / limit:.1%} of {_number(limit / GIGA)}" if limit else ""
        lines.append(_line(f"       {what}", cells) + share)
    return lines


def ceiling_lines(ceilings: Mapping[str, Ceilings]) -> list[str]:
    """What each device reached by itself."""
    lines = []
    for device, each in ceilings.items():
        flop = ", ".join(f"{name} {_number(rate / GIGA)}" for name, rate in each.flop.items())
        lines.append(f"{device}: a copy {_number(each.bytes / GIGA)} GB/s; products, GFLOP/s: {flop}")
        if each.host_to_gpu_bytes:
            lines.append(f"{device}: from pinned host memory {_number(each.host_to_gpu_bytes / GIGA)} GB/s")
    return lines


def break_even(
    rows: Sequence[Row], batches: Sequence[int], gpu_price: float, core_price: float, cpus: int
) -> list[str]:
    """From which batch on the quickest GPU candidate is quicker than the quickest on the CPU; and for each batch the
    requests per second from which on one GPU costs less than the cores that would carry them, one call after the other.
    """
    best = {device: quickest(rows, device) for device in ("cpu", "cuda")}
    both = [n for n in batches if n in best["cpu"] and n in best["cuda"]]
    if not both:
        return ["break-even: unknown, for it takes both a CPU and a GPU that were measured"]
    faster = [n for n in both if best["cuda"][n] < best["cpu"][n]]
    first = f"from a batch of {faster[0]} on" if faster else f"at no batch up to {both[-1]}"
    lines = [f"break-even: the GPU answers sooner {first}"]
    for n in both:
        cores_per_qps = cpus * best["cpu"][n]
        qps = gpu_price / core_price / cores_per_qps
        most = 1.0 / best["cuda"][n]
        words = f"cheaper from {_number(qps)} requests/s on" if qps < most else "never cheaper"
        lines.append(f"  batch {n:5}: a GPU carries {_number(most)} requests/s, and is {words}")
    return lines


def quickest(rows: Sequence[Row], device: str) -> dict[int, float]:
    """The shortest median by batch size of all candidates on a device, in seconds."""
    found: dict[int, float] = {}
    for row in rows:
        for n, seconds in row.seconds.items() if row.device == device else ():
            found[n] = min(seconds, found.get(n, seconds))
    return found


def _line(name: str, cells: Iterable[object]) -> str:
    return f"{name:44}" + "".join(f"{cell:>9}" for cell in cells)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
