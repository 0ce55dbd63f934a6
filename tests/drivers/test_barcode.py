from agent.config.io.catalog import Catalog
from drivers.sdk.contract import Item, Measurement

DRIVER = Catalog().get("barcode")


def items(raw: bytes) -> list[Item]:
    decoder = DRIVER.decoder({})
    return [*decoder.feed(raw, 0), *decoder.finish(0)]


def test_each_scanned_code_is_an_event() -> None:
    assert items(b"8991234567890\r\nTICKET 17/A\r") == [
        Measurement({"code": "8991234567890"}, event="seen"),
        Measurement({"code": "TICKET 17/A"}, event="seen"),
    ]


def test_what_is_no_code_is_passed_over() -> None:
    assert items(b"\r\n\r\nabc\r\n" + b"\x00\xff12\x0145678\r\n" + b"9" * 129 + b"\r\n") == []
