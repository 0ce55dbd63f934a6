import pytest

from drivers.ld2450 import DRIVER, signed
from drivers.sdk.contract import Item, Measurement, Rejected
from drivers.sim.models import model
from tests.support.generic_drivers import attempt, built


def items(raw: bytes, tables: dict[str, object] | None = None) -> list[Item]:
    decoder = built(DRIVER, tables or {}).decoder({})
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


@pytest.mark.parametrize(("raw", "value"), [(0x030E, -782), (0x86B1, 1713), (0x0010, -16), (0x8000, 0), (0, 0)])
def test_the_highest_bit_set_means_positive(raw: int, value: int) -> None:
    assert signed(raw) == value


def test_where_each_person_walks_is_personal_and_how_many_there_are_is_not() -> None:
    assert not DRIVER.fields["targets"].personal
    assert all(field.personal for name, field in DRIVER.fields.items() if name != "targets")


ZONES = {"zones": {"bench": [1500, 500, -1500, 2000], "kerb": [-3000, 2500, 3000, 4000]}}


def test_people_are_counted_by_zone() -> None:
    two = model("ld2450").encode({"x2": 100, "y2": 3000, "speed2": 0})
    (item,) = items(two, ZONES)

    assert isinstance(item, Measurement)
    assert item.values["targets"] == 2
    assert (item.values["zone_bench"], item.values["zone_kerb"]) == (1, 1)


def test_zones_are_fields_of_the_driver() -> None:
    driver = built(DRIVER, ZONES)

    assert {"zone_bench", "zone_kerb"} <= driver.fields.keys()
    assert not driver.fields["zone_bench"].personal


@pytest.mark.parametrize(
    ("zones", "path"),
    [
        ({"bench": [1, 2, 3]}, "zones.bench"),
        ({"bench": [1, 2, 3, "x"]}, "zones.bench[3]"),
        ({"Bench": [1, 2, 3, 4]}, "zones.Bench"),
        ([1], "zones"),
        ({f"z{at}": [0, 0, 1, 1] for at in range(9)}, "zones"),
    ],
)
def test_a_zone_that_is_none_is_named(zones: object, path: str) -> None:
    driver, problems = attempt(DRIVER, {"zones": zones})

    assert driver is None
    assert [problem.path for problem in problems] == [path]


def test_a_place_that_no_radar_sees_is_refused() -> None:
    far = bytearray(model("ld2450").encode({}))
    far[6:8] = (0x8000 + 8001).to_bytes(2, "little")
    assert items(bytes(far)) == [Rejected("format")]

    behind = bytearray(model("ld2450").encode({}))
    behind[6:8] = (100).to_bytes(2, "little")  # y is negative
    assert items(bytes(behind)) == [Rejected("format")]
