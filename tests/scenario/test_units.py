import pytest

from bakeoff.scenario import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("2min", 120.0),
        ("1 h", 3600.0),
        ("250us", 0.00025),
        ("24h", 86400),
    ],
)
def test_durations(text, seconds):
    assert units.seconds(text) == pytest.approx(seconds)
    assert units.milliseconds(text) == pytest.approx(seconds * 1000)


def test_milliseconds_carry_no_rounding_noise():
    assert units.milliseconds("20ms") == 20.0
    assert units.milliseconds("0.1ms") == 0.1


@pytest.mark.parametrize("value", [20, 20.0, True, None, [], "20", "ms", "20 parsecs", "-20ms", "20MS", "2 0ms", "٢ms"])
def test_a_duration_has_its_unit(value):
    with pytest.raises(ValueError, match=r"must be a duration .* as in 20ms"):
        units.seconds(value)


@pytest.mark.parametrize("text", ["0ms", "25h", "999999999999999h"])
def test_durations_are_bounded(text):
    with pytest.raises(ValueError, match="above 0 and at most 24h"):
        units.seconds(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2 * 1024**3), ("512MB", 512_000_000), ("1.5KiB", 1536), ("100B", 100), ("1TiB", 1024**4)],
)
def test_sizes(text, size):
    assert units.size_bytes(text) == size


@pytest.mark.parametrize("value", [2, "2", "2G", "2gb", "0GiB", "9999999TiB", "-1MB"])
def test_a_size_has_its_unit(value):
    with pytest.raises(ValueError, match=r"must be a size .* as in 2GiB"):
        units.size_bytes(value)


@pytest.mark.parametrize(("text", "share"), [("0.1%", 0.001), ("2%", 0.02), ("0%", 0.0), ("100 %", 1.0)])
def test_percents(text, share):
    assert units.fraction(text) == share


@pytest.mark.parametrize("value", [0.1, 2, "2", "-1%", "101%", "two%", None])
def test_a_percentage_has_its_sign(value):
    with pytest.raises(ValueError, match=r"as in 0\.1%"):
        units.fraction(value)


def test_prices():
    assert units.price("0.0416 USD/core-hour") == (0.0416, "USD", "core-hour")
    assert units.price("0.34 EUR/host-hour") == (0.34, "EUR", "host-hour")
    assert units.price("2.5 USD/gpu-hour") == (2.5, "USD", "gpu-hour")


@pytest.mark.parametrize(
    "value", [0.04, "0.04", "$0.04/core-hour", "0.04 usd/core-hour", "0 USD/core-hour", "1 USD/day"]
)
def test_a_price_says_what_it_buys(value):
    with pytest.raises(ValueError, match=r"as in 0\.0416 USD/core-hour"):
        units.price(value)
