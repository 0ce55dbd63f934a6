"""The key tables of the docs and the JSON Schemas: generated from the descriptions, and true."""

import json
import re
import runpy
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.key_texts import KEY_TEXTS as CONFIG_TEXTS
from agent.config.rules.pending import PENDING
from drivers.sdk.profiles.key_texts import KEY_TEXTS as PROFILE_TEXTS
from drivers.sdk.profiles.profile import ProfileError, load_profile
from drivers.sdk.tables.description import KeyTexts
from drivers.sdk.tables.reader import keys_of
from tests.support.json_schema import errors

ROOT = Path(__file__).parents[1]
FILES: Mapping[Path, str] = runpy.run_path(str(ROOT / ".ci" / "reference"))["files"]()
CONFIGURATION = json.loads((ROOT / "config" / "gardu.schema.json").read_text("utf-8"))
PROFILE = json.loads((ROOT / "config" / "profile.schema.json").read_text("utf-8"))
PROFILES = sorted((ROOT / "drivers" / "profiles").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_generated_file_is_not_stale(file: Path) -> None:
    assert file.read_text("utf-8") == FILES[file], "run .ci/reference"


@pytest.mark.parametrize("texts", [CONFIG_TEXTS, PROFILE_TEXTS], ids=["configuration", "profile"])
def test_every_text_belongs_to_a_key(texts: KeyTexts) -> None:
    assert {kind.__name__: set(known) - keys_of(kind).keys() for kind, known in texts.items()} == {
        kind.__name__: set() for kind in texts
    }
    lines = [text for known in texts.values() for text in known.values()]
    assert [text for text in lines if not text or "\n" in text or "|" in text or text.endswith(".")] == []


def test_the_page_marks_what_has_no_effect_yet() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    for name, section in re.findall(r"^## (\w+)$(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL):
        pending = name in PENDING or f"{name}.*" in PENDING
        assert ("**no effect yet**" in section.split("<!-- keys")[0]) == pending
        rows = re.findall(r"^\| `(\w+)` \|.*\*\*no effect yet\*\*", section, flags=re.MULTILINE)
        assert rows == [key.partition(".")[2] for key in PENDING if key.startswith(f"{name}.") and "*" not in key]


def test_no_key_of_the_agent_s_texts_is_loaded_by_the_agent() -> None:
    importers = [
        file.name
        for package in ("agent", "drivers")
        for file in (ROOT / package).rglob("*.py")
        if re.search(
            r"^ *(from|import) .*(key_texts|tables\.(schema|description))", file.read_text("utf-8"), re.MULTILINE
        )
    ]
    assert importers == ["schema.py"]


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.toml")), ids=lambda file: file.stem)
def test_an_example_fits_the_schema(file: Path) -> None:
    assert list(errors(CONFIGURATION, tomllib.loads(file.read_text("utf-8")))) == []


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_a_shipped_profile_fits_the_schema(file: Path) -> None:
    assert list(errors(PROFILE, tomllib.loads(file.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('sector = "', 'sector = "x'),
        ("[gateway]", "[gateways]"),
        ("[broker]", "[broker]\nkeepalive_s = 1"),
        ('id = "', 'id = "A '),
    ],
)
def test_the_schema_finds_a_mistake_in_a_configuration(old: str, new: str) -> None:
    text = (ROOT / "config" / "clinic.toml").read_text("utf-8")
    assert old in text
    assert list(errors(CONFIGURATION, tomllib.loads(text.replace(old, new, 1))))


NONSENSE = ["0", "-1", "70000", "1e999", "true", '""', '"x"', "[]", "[1]", "{}", "0.5"]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_schema_refuses_no_profile_that_the_agent_accepts(data: st.DataObject) -> None:
    profile = data.draw(st.sampled_from(PROFILES)).read_text("utf-8")
    place = data.draw(st.sampled_from(list(re.finditer(r'(?<== )("[^"\n]*"|[0-9.]+|true|false)', profile))))
    changed = profile[: place.start()] + data.draw(st.sampled_from(NONSENSE)) + profile[place.end() :]
    try:
        load_profile(changed.encode(), "changed.toml")
    except ProfileError:
        return
    assert list(errors(PROFILE, tomllib.loads(changed))) == []
