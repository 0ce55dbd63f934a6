"""The lists and texts of a package: its parts (CycloneDX), its changelog, its copyright."""

import argparse
import json
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from zipfile import ZipFile

from wheels import LEFT_OUT, ROOT, Wheel, normal_name


def components(wheels: Sequence[Wheel], architecture: str, version: str, epoch: int) -> str:
    """The parts of the package, as a CycloneDX 1.6 document."""
    parts = [
        {
            "type": "library",
            "bom-ref": wheel.file.name,
            "name": wheel.name,
            "version": wheel.version,
            "licenses": [_cyclone_licence(wheel)],
            "purl": f"pkg:pypi/{normal_name(wheel.name)}@{wheel.version}?file_name={wheel.file.name}",
            "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        }
        for wheel in sorted(wheels, key=lambda one: one.file.name)
    ]
    package = f"pkg:deb/gardu@{version}?arch={architecture}"
    whole = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([package, parts]))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": package,
                "name": "gardu",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "purl": package,
            },
        },
        "components": parts,
        "dependencies": [{"ref": package, "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return json.dumps(whole, indent=1) + "\n"


def _cyclone_licence(wheel: Wheel) -> dict[str, object]:
    if wheel.metadata["License-Expression"]:
        return {"expression": wheel.licence}
    return {"license": {"name": wheel.licence}}


def debian_changelog(version: str, epoch: int) -> str:
    date = format_datetime(datetime.fromtimestamp(epoch, UTC))
    return (
        f"gardu ({version}) stable; urgency=medium\n\n  * What changed stands in NEWS.gz beside this file.\n\n"
        f" -- Gardu maintainers <maintainers@gardu.example>  {date}\n"
    )


def copyright_text(wheels: Sequence[Wheel]) -> str:
    text = (ROOT / "systemd/debian/copyright").read_text()
    for name in sorted({wheel.name for wheel in wheels} - {"gardu"}, key=str.lower):
        same = [wheel for wheel in wheels if wheel.name == name]
        files = " ".join(f"{wheel.place}/{part}" for wheel in same for part in _top_level(wheel))
        metadata = same[0].metadata
        author = metadata["Author-email"] or metadata["Author"] or metadata["Maintainer-email"]
        text += (
            f"\nFiles: {files}\nCopyright: {author or 'the authors of ' + name}\n"
            f"License: {normal_name(name)}\n {same[0].licence}. The text is in {_licence_file(same[0])}.\n"
        )
    return text


def _top_level(wheel: Wheel) -> list[str]:
    with ZipFile(wheel.file) as archive:
        return sorted({entry.split("/")[0] for entry in archive.namelist() if not LEFT_OUT.search(entry)})


def _licence_file(wheel: Wheel) -> str:
    with ZipFile(wheel.file) as archive:
        texts = [entry for entry in sorted(archive.namelist()) if re.search(r"dist-info/.*(LICEN|COPY)", entry)]
    return f"/{wheel.place}/{texts[0]}" if texts else "its source, from https://pypi.org"


def debian_version(version: str) -> str:
    """A version of Python's packages as Debian sorts it: 1.2.0rc1 comes before 1.2.0."""
    return re.sub(r"(a|b|rc|\.dev)([0-9]+)", r"~\1\2", version)


def release_number(text: str) -> str:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+){1,3}((a|b|rc)[0-9]+)?(\.dev[0-9]+)?", text):
        raise argparse.ArgumentTypeError(f"{text} is no version such as 1.2.0 or 1.2.0rc1")
    return text
