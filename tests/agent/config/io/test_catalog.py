import subprocess
import sys
from pathlib import Path

import pytest

from agent.config.io.catalog import Catalog, DriverBroken, UnknownDriver
from drivers.sdk.contract import SerialDriver

PROFILE = (
    'name = "probe"\ntitle = "{title}"\nsource = "its manual"\nkind = "serial_frame"\n'
    'frame = {{ sync = "AA", length = 2 }}\n[fields]\nlevel = {{ at = 1, type = "u8" }}\n'
)
FOREIGN = """
from drivers.sdk.contract import Field, SerialDriver
from drivers.sdk.framing import LineDecoder

DRIVER = SerialDriver(
    name="foreign", title="A driver from elsewhere", source="its author", fields={"level": Field("m")},
    period_s=1.0, decoder=lambda options: LineDecoder(lambda line, at_s: None), inline=True,
)
TWIN = DRIVER
NO_DRIVER = 3
RESERVED = SerialDriver(
    name="reserved", title="x", source="x", fields={"q": Field()}, period_s=1.0, decoder=DRIVER.decoder
)
"""
ENTRY_POINTS = """[gardu.drivers]
foreign = foreign_driver:DRIVER
renamed = foreign_driver:TWIN
nothing = foreign_driver:NO_DRIVER
reserved = foreign_driver:RESERVED
gone = foreign_module_that_is_gone:DRIVER
failing = failing_driver:DRIVER
sds011 = foreign_driver:DRIVER
"""


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return tmp_path / "profiles"


def write(local: Path, content: str, name: str = "probe") -> None:
    local.mkdir(exist_ok=True)
    (local / f"{name}.toml").write_text(content)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small distribution of somebody else's, as pip would have installed it."""
    metadata = tmp_path / "site" / "foreign_driver-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-driver\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "site" / "foreign_driver.py").write_text(FOREIGN)
    (tmp_path / "site" / "failing_driver.py").write_text("raise ZeroDivisionError('at import\\nand more')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "foreign_driver", raising=False)


def test_shipped_profiles_and_drivers_are_found(local: Path) -> None:
    catalog = Catalog(local)

    assert {"sds011", "pms5003", "mhz19", "a02yyuw", "ops243", "cas_scale"} <= set(catalog.names())
    assert {"nmea0183", "system"} <= set(catalog.names())
    assert not {"sdk", "sim", "profiles"} & set(catalog.names())
    assert catalog.names() == tuple(sorted(catalog.names()))


def test_a_profile_of_the_gateway_s_own_comes_before_a_shipped_one(local: Path) -> None:
    write(local, PROFILE.format(title="mine").replace("probe", "sds011"), "sds011")

    assert Catalog(local).get("sds011").title == "mine"


def test_a_profile_is_read_anew_only_when_it_has_changed(local: Path) -> None:
    write(local, PROFILE.format(title="old"))
    catalog = Catalog(local)
    first = catalog.get("probe")

    assert catalog.get("probe") is first
    write(local, PROFILE.format(title="new"))
    assert catalog.get("probe").title == "new"


def test_an_unknown_name_comes_with_those_near_to_it(local: Path) -> None:
    with pytest.raises(UnknownDriver, match="did you mean sds011") as caught:
        Catalog(local).get("sds01")

    assert caught.value.near[0] == "sds011"
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize("name", ["", "../profiles/sds011", "sdk", "profiles", "sim", "SDS011", "zzzzz", "_x", "a/b"])
def test_what_is_no_driver_s_name_finds_none(name: str, local: Path) -> None:
    with pytest.raises(UnknownDriver):
        Catalog(local).get(name)


def test_a_broken_profile_says_in_one_line_where_and_why(local: Path) -> None:
    write(local, PROFILE.format(title="x").replace("u8", "u9"))

    with pytest.raises(DriverBroken, match=r'probe\.toml:7: fields\.level\.type: "u9" is not') as caught:
        Catalog(local).get("probe")
    assert "\n" not in str(caught.value)


def test_a_profile_under_another_file_name_is_refused(local: Path) -> None:
    write(local, PROFILE.format(title="x"), "other")

    with pytest.raises(DriverBroken, match="names its driver probe, not other"):
        Catalog(local).get("other")


def test_a_profile_that_cannot_be_read_is_broken_not_unknown(local: Path) -> None:
    (local / "probe.toml").mkdir(parents=True)

    with pytest.raises(DriverBroken, match="cannot read profile"):
        Catalog(local).get("probe")


@pytest.mark.usefixtures("foreign")
def test_a_foreign_driver_is_found_by_its_entry_point_and_never_runs_on_the_loop(local: Path) -> None:
    catalog = Catalog(local)
    driver = catalog.get("foreign")

    assert isinstance(driver, SerialDriver)
    assert not driver.inline
    assert "foreign" in catalog.names()
    assert catalog.get("foreign") is driver


def test_a_driver_of_the_project_s_own_says_itself_whether_it_may_run_on_the_loop(local: Path) -> None:
    assert Catalog(local).get("rdm6300").inline
    assert not Catalog(local).get("nmea0183").inline


@pytest.mark.usefixtures("foreign")
def test_a_foreign_driver_does_not_replace_a_shipped_one(local: Path) -> None:
    assert "Nova" in Catalog(local).get("sds011").title


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("renamed", "names its driver foreign, not renamed"),
        ("nothing", "DRIVER is int"),
        ("reserved", "field q"),
        ("gone", "ModuleNotFoundError"),
        ("failing", "ZeroDivisionError: at import$"),
    ],
)
def test_a_foreign_driver_that_cannot_be_used_is_broken(name: str, why: str, local: Path) -> None:
    with pytest.raises(DriverBroken, match=why):
        Catalog(local).get(name)


def test_getting_a_shipped_driver_loads_no_other_and_no_list_of_distributions() -> None:
    program = (
        "import sys; from agent.config.io.catalog import Catalog; Catalog().get('sds011');"
        "others = {'importlib.metadata', 'difflib', 'drivers.system', 'drivers.nmea0183'};"
        "print(sorted(others & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
