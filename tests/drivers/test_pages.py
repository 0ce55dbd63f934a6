"""What a driver's page tells people to write has an effect."""

import re

import pytest

from agent.config.io.catalog import Catalog
from agent.config.parse import parse
from agent.config.rules.pending import PENDING

CATALOG = Catalog()
every_name = pytest.mark.parametrize("name", CATALOG.names())
BEFORE = """
[gateway]
id = "gw-1"
site = "batua"
sector = "health"
[broker]
url = "mqtt://127.0.0.1"
"""
WITHOUT_EFFECT = {key.removeprefix("sensor.") for key in PENDING if key.startswith("sensor.")}


@every_name
def test_d7_the_example_on_a_page_is_accepted_and_each_of_its_keys_has_an_effect(name: str) -> None:
    parsed = parse(BEFORE.encode() + CATALOG.get(name).page.example.encode(), CATALOG)
    assert [(problem.path, problem.code) for problem in parsed.problems] == []


@every_name
def test_d7_the_text_of_a_page_recommends_nothing_that_has_no_effect(name: str) -> None:
    page = CATALOG.get(name).page
    words = set(re.findall(r"\w+", " ".join([page.about, page.wiring, *page.pitfalls])))
    assert words & WITHOUT_EFFECT == set()
    assert "[[alarm]]" not in page.about + page.wiring + "".join(page.pitfalls)
