"""One template, a table and rings: what comes out, and every mistake in them."""

import pytest

from agent.fleet.template import FleetError, check, parse_ring, parse_table, render, rings
from tests.agent.config.config_fakes import FakeCatalog

TEMPLATE = '[publish]\nmax_delay_s = ${delay}\n[[sensor]]\nid = "air-1"\nport = "${port}"\nlabel = "${label}"\n'


@pytest.mark.parametrize(
    "text",
    [
        "gateway,port\nbatua-01,/dev/a\n\nkima-02,/dev/b\n",
        "gateway;port\r\nbatua-01;/dev/a\r\nkima-02; /dev/b \r\n;\r\n",
        'gateway,port\nbatua-01,"/dev/a"\nkima-02,/dev/b',
    ],
)
def test_a_table_is_read_however_a_spreadsheet_writes_it(text: str) -> None:
    table = parse_table(text)
    assert {name: row["port"] for name, row in table.items()} == {"batua-01": "/dev/a", "kima-02": "/dev/b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line"),
        ("port,gateway\n/dev/a,batua-01\n", "starting with gateway"),
        ("gateway,port,port\n", "each column once"),
        ("gateway,port\nbatua-01,/dev/a\nkima-02\n", "line 3: 1 cells, but the first line has 2"),
        ("gateway,port\nBatua 1,/dev/a\n", "line 2: 'Batua 1' is not a valid gateway id"),
        ("gateway,port\nbatua-01,a\nbatua-01,b\n", "line 3: batua-01 occurs twice"),
        ('gateway,port\nbatua-01,"/dev/a\n', "line 2: "),
    ],
)
def test_a_mistake_in_a_table_is_told_with_its_line(text: str, words: str) -> None:
    with pytest.raises(FleetError, match=words):
        parse_table(text)


def test_a_ring_is_a_name_a_line_with_comments() -> None:
    assert parse_ring("# canary\nbatua-01  # the clinic\n\nkima-02\nbatua-01\n") == ("batua-01", "kima-02")


def test_a_gateway_belongs_to_the_first_ring_that_names_it() -> None:
    table = {name: {"gateway": name} for name in "abc"}
    assert rings([("a",), ("a",), ("a", "b", "c")], table) == (("a",), ("b", "c"))


def test_a_ring_names_only_gateways_of_the_table_and_at_least_one() -> None:
    with pytest.raises(FleetError, match="not in the table: x, y"):
        rings([("a", "x"), ("y",)], {"a": {}})
    with pytest.raises(FleetError, match="the rings contain no gateway"):
        rings([(), ()], {"a": {}})


def test_cells_go_in_as_numbers_and_inside_of_strings() -> None:
    config = render(TEMPLATE, {"delay": "5", "port": "/dev/a", "label": "gate"})
    assert config == {"publish": {"max_delay_s": 5}, "sensor": [{"id": "air-1", "port": "/dev/a", "label": "gate"}]}


@pytest.mark.parametrize("label", ['a "b"', '"\n[gateway]\nid = "x"\n#', "back\\slash", "tab\there", "é $x ${port}"])
def test_a_cell_can_end_no_string(label: str) -> None:
    config = render(TEMPLATE, {"delay": "5", "port": "/dev/a", "label": label})
    assert config["sensor"] == [{"id": "air-1", "port": "/dev/a", "label": label}]
    assert "gateway" not in config


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ('a = "${nowhere}"', "no column nowhere"),
        ('a = "$5"', r"a dollar sign as \$\$"),
        ("a = ${port}", "not valid TOML"),
    ],
)
def test_a_mistake_in_a_template_is_told(template: str, words: str) -> None:
    with pytest.raises(FleetError, match=words):
        render(template, {"port": "/dev/a"})
    assert render('a = "$$5"', {}) == {"a": "$5"}


def test_what_is_local_and_what_is_wrong_is_an_error_and_an_unknown_driver_a_remark() -> None:
    errors, _ = check("batua-01", {"store": {}, "broker": {"ca_file": "x"}}, FakeCatalog())
    assert [one.partition(":")[0] for one in errors] == ["store", "broker.ca_file"]
    errors, remarks = check("batua-01", {"publish": {"max_rows": "many"}, "nonsense": {}}, FakeCatalog())
    assert {one.partition(":")[0] for one in errors} >= {"publish.max_rows", "nonsense"}
    broker = {"url": "mqtt://broker.example"}
    sensor = [{"id": "air-1", "driver": "not-here", "port": "/dev/a"}]
    errors, remarks = check("batua-01", {"broker": broker, "sensor": sensor}, FakeCatalog())
    assert errors == []
    assert "not-here" in remarks[0]
