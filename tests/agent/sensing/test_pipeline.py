"""A sensor's pipeline: quality, calibration, downsampling."""

import pytest

from agent.config.settings import Calibrate
from agent.sensing.pipeline import Pipeline, PipelineSettings
from drivers.sdk.contract import Field, Measurement

FIELDS = {
    "temp": Field("Cel", resolution=0.1, min=-40, max=85),
    "rh": Field("%RH", resolution=0.1, min=0, max=100),
    "open": Field(kind="state"),
}


def one(measurements: list[Measurement]) -> Measurement | None:
    """What goes on, if anything does."""
    assert len(measurements) <= 1
    return measurements[0] if measurements else None


def measured(**values: float | bool | None) -> Measurement:
    return Measurement(values)


def test_without_an_interval_every_measurement_goes_on() -> None:
    pipeline = Pipeline(FIELDS)
    assert [one(pipeline.feed(measured(temp=20.0 + n), 0.001 * n)).values["temp"] for n in range(3)] == [
        20.0,
        21.0,
        22.0,
    ]


def test_with_an_interval_one_goes_on_at_a_time_and_the_first_at_once() -> None:
    pipeline = Pipeline(FIELDS, PipelineSettings(downsample_s=10.0))
    passed = [n for n in range(40) if pipeline.feed(measured(temp=float(n)), float(n))]
    assert passed == [0, 10, 20, 30]


def test_a_device_as_fast_as_the_interval_keeps_its_rate_though_it_jitters() -> None:
    pipeline = Pipeline(FIELDS, PipelineSettings(downsample_s=1.0))
    times = [n + (0.03 if n % 2 else -0.03) for n in range(1, 101)]
    assert sum(one(pipeline.feed(measured(temp=1.0), t)) is not None for t in times) == 100


def test_after_a_pause_there_is_no_burst() -> None:
    pipeline = Pipeline(FIELDS, PipelineSettings(downsample_s=10.0))
    one(pipeline.feed(measured(temp=1.0), 0.0))
    passed = [t for t in (3600.0, 3601.0, 3605.0, 3609.9) if one(pipeline.feed(measured(temp=1.0), t))]
    assert passed == [3600.0, 3609.9]


def test_a_downsampled_reading_has_the_last_value_of_each_field_of_its_interval() -> None:
    pipeline = Pipeline(FIELDS, PipelineSettings(downsample_s=10.0))
    one(pipeline.feed(measured(temp=1.0), 0.0))
    assert one(pipeline.feed(Measurement({"rh": None}, {"rh": "bad:crc"}), 3.0)) is None
    assert one(pipeline.feed(measured(temp=2.0), 6.0)) is None
    assert one(pipeline.feed(measured(temp=3.0), 10.0)) == Measurement({"rh": None, "temp": 3.0}, {"rh": "bad:crc"})
    assert one(pipeline.feed(measured(temp=4.0), 20.0)) == Measurement({"temp": 4.0}, {}), (
        "nothing is repeated from before"
    )


def test_a_doubt_goes_with_the_value_that_replaces_it() -> None:
    pipeline = Pipeline(FIELDS, PipelineSettings(downsample_s=10.0))
    one(pipeline.feed(measured(temp=1.0), 0.0))
    one(pipeline.feed(Measurement({"temp": None}, {"temp": "bad:crc"}), 5.0))
    assert one(pipeline.feed(measured(temp=2.0), 10.0)) == Measurement({"temp": 2.0}, {})


def test_calibration_comes_after_the_range_and_is_rounded() -> None:
    pipeline = Pipeline(
        FIELDS, PipelineSettings({"temp": Calibrate(scale=2.0, offset=0.06), "open": Calibrate(scale=3.0)})
    )
    assert one(pipeline.feed(measured(temp=84.0, open=True), 0.0)).values == {"temp": 168.1, "open": True}
    assert one(pipeline.feed(measured(temp=86.0), 1.0)) == Measurement({"temp": None}, {"temp": "bad:range"})


@pytest.mark.parametrize(("period_s", "passed"), [(3.0, [0, 9, 21, 30]), (4.0, [0, 8, 20, 28])])
def test_the_measurement_nearest_to_the_due_time_goes_on(period_s: float, passed: list[int]) -> None:
    pipeline = Pipeline(FIELDS, PipelineSettings(downsample_s=10.0))
    times = [n * period_s for n in range(100) if n * period_s <= 30]
    assert [t for t in times if pipeline.feed(measured(temp=1.0), t)] == passed


def test_where_a_whole_interval_was_missed_a_new_grid_begins() -> None:
    pipeline = Pipeline(FIELDS, PipelineSettings(downsample_s=10.0))
    assert [t for t in (0.0, 20.0, 21.0) if pipeline.feed(measured(temp=1.0), t)] == [0.0, 20.0]


def test_one_that_is_asked_for_is_calibrated_and_not_held_back() -> None:
    pipeline = Pipeline(FIELDS, PipelineSettings({"temp": Calibrate(offset=1.0)}, downsample_s=10.0))
    pipeline.feed(measured(temp=1.0), 0.0)
    assert pipeline.process_single(measured(temp=2.0)) == measured(temp=3.0)
    assert Pipeline(FIELDS).process_single(measured(temp=2.0, other=1)) == measured(temp=2.0)
