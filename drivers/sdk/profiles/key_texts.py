"""What each key of a profile means: for docs/drivers.md and the JSON Schema. The agent does not load this.

Types, bounds and defaults are not repeated here.
"""

from collections.abc import Mapping

from drivers.sdk.contract import LineSettings, Page
from drivers.sdk.profiles.columns import BytesFieldTable, NumberFieldTable
from drivers.sdk.profiles.fields import FieldTable
from drivers.sdk.profiles.frames import CheckTable, FrameTable, LengthTable, SerialFrame
from drivers.sdk.profiles.head import ExampleTable, Head, SimTable
from drivers.sdk.profiles.i2c import AnswerTable, CommandTable, I2c, ReadyTable
from drivers.sdk.profiles.lines import LineFieldTable, LinesTable, SerialLine, SignTable
from drivers.sdk.profiles.modbus import Modbus, ModbusTcp, ReadTable, RegisterFieldTable
from drivers.sdk.profiles.profile import SensorLine
from drivers.sdk.profiles.rules import BytesRuleTable, RuleTable, SpanTable

_FIELDS = "the values of a measurement, by name"
_RULE = "which values are doubtful, and why"
_LINE = "the settings of the serial line"
_PERIOD = "seconds between two measurements of a healthy device; of a polled one, the usual interval"
_SETUP = "written each time the port was opened, one after the other"
_REQUEST = "written to ask for a measurement; if absent, the device sends on its own"
_TIMEOUT = "how soon the device answers"

KEY_TEXTS: Mapping[type, Mapping[str, str]] = {
    Head: {
        "kind": "how the device talks",
        "name": "name of the driver, and of the file",
        "title": "maker, model and purpose",
        "source": "where this comes from: document, revision, page",
        "page": "what `gardu drivers NAME` shows",
        "example": "what the device really sent, and its meaning",
        "sim": "what the simulator sends",
    },
    Page: {
        "about": "what the device measures",
        "wiring": "how it is connected",
        "pitfalls": "what goes wrong in practice",
        "example": "a `[[sensor]]` block",
    },
    ExampleTable: {
        "hex": "the bytes",
        "text": "the characters, instead of `hex`; each is one byte (Latin-1)",
        "source": "where the example comes from",
        "expect": "field = value; without `expect`, `q` and `reject`, the device says nothing",
        "q": "field = quality, of a doubtful value",
        "reject": "the reason why the bytes are rejected",
    },
    SimTable: {
        "values": "field = typical value",
        "template": "of lines: the text, in the manner of Python's `str.format`",
    },
    LineSettings: {
        "baud": "line rate",
        "parity": "none, even or odd",
        "stop_bits": "stop bits",
        "data_bits": "data bits",
    },
    SensorLine: {"data_bits": "data bits"},
    FieldTable: {
        "unit": "the unit of the value; absent for text and states",
        "kind": "what the value is: a measured quantity, a count, a state or a text",
        "resolution": "the step to which the value is rounded; if absent, the step of the device's own numbers",
        "min": "a lower value is `bad:range`",
        "max": "a higher value is `bad:range`",
        "identifier": "the number of a card or a code, which leaves the gateway only as a keyed hash",
        "personal": "leaves the gateway only from a sensor with `personal = true`",
    },
    NumberFieldTable: {
        "scale": "value = number x `scale` / `divisor` + `offset`",
        "divisor": "see `scale`",
        "offset": "see `scale`",
        "map": "instead: the value of each number; any other number makes the frame invalid",
        "clip": "whether values are cropped to `min` and `max`, because the maker says so",
    },
    BytesFieldTable: {"at": "the first byte, from 0", "type": "how its bytes are read"},
    RuleTable: {
        "quality": "`uncertain:` or `bad:`, and a reason; a bad value becomes null",
        "when": "field = value, or one of a list; all of them must hold",
        "fields": "the fields that it concerns; if absent, all of them",
        "within_s": "holds only for so long after the port was opened",
    },
    BytesRuleTable: {"zeros": "these bytes of the frame must all be zero"},
    SpanTable: {"from": "the first byte", "to": "the first byte that no longer counts"},
    SerialFrame: {
        "frame": "how a frame is recognised and checked",
        "fields": _FIELDS,
        "rule": _RULE,
        "request": _REQUEST,
        "setup": _SETUP,
        "timeout_s": _TIMEOUT,
        "period_s": _PERIOD,
        "line": _LINE,
    },
    FrameTable: {
        "sync": "the bytes that every frame starts with",
        "length": "how many bytes a frame has, or where it says so",
        "tail": "the bytes that every frame ends with",
        "check": "the checksum of a frame",
    },
    LengthTable: {
        "at": "the first byte of the length field, from 0",
        "type": "how its bytes are read; an integer type",
        "add": "added to the number to get the length of the whole frame",
        "min": "shorter frames are invalid; if absent, as short as the fields allow",
        "max": "longer frames are invalid",
    },
    CheckTable: {
        "sum": "the kind of checksum",
        "from": "the first byte that it covers; a negative position counts from the end",
        "to": "the first byte that it no longer covers; if absent, it covers the rest",
        "at": "where the checksum stands",
    },
    SerialLine: {
        "lines": "what a line looks like",
        "fields": _FIELDS,
        "rule": _RULE,
        "event": "every line is an event of this name",
        "request": _REQUEST,
        "setup": _SETUP,
        "timeout_s": _TIMEOUT,
        "period_s": _PERIOD + "; with `event`, 0 means that it sends only when something happens",
        "line": _LINE,
    },
    LinesTable: {
        "format": "a regular expression, flat JSON objects, or columns",
        "pattern": "RE2 (without look-around and back-references), with named groups; it must match to the end of the "
        "line. Let it end in something that a truncated line lacks, such as the unit",
        "candidate": "where in a line a reading may begin: a line that begins like one and does not match is rejected, "
        "any other line is ignored",
        "require": "fields without which a line is no reading",
        "separator": "what separates columns; if absent, a comma",
        "columns": "how many columns a line has",
        "max_length": "longer lines are ignored; in bytes",
    },
    LineFieldTable: {
        "key": "the group or JSON key, or several, of which the first that is present counts; if absent, the field's "
        "name",
        "column": "the column, from 0",
        "scale": "value = number x `scale` + `offset`",
        "offset": "see `scale`",
        "absolute": "whether the sign is dropped",
        "map": "instead: the value of each text; any other text makes the line invalid",
        "sign_of": "where `key` is absent: these keys, whose sign decides",
        "sign": "the values for `sign_of`",
        "unit_group": "the group that contains the unit",
        "units": "a factor for each text of `unit_group`",
    },
    SignTable: {"positive": "the value above zero", "negative": "the value below zero"},
    ModbusTcp: {
        "reads": "the blocks that are read each time",
        "fields": _FIELDS,
        "rule": _RULE,
        "word_order": "which word of a long number comes first",
        "byte_order": "which byte of a word comes first",
        "timeout_s": "how soon the device answers a read",
        "request_gap_s": "the silence that the device needs before a read",
        "period_s": _PERIOD,
        "unit": "the usual address; a sensor sets another with its own key `unit`",
    },
    Modbus: {"line": _LINE},
    ReadTable: {
        "function": "1 coils, 2 discrete inputs, 3 holding registers, 4 input registers",
        "address": "the first register, from 0: register 40001 of many manuals is 0",
        "count": "how many registers (at most 125) or bits",
        "optional": "some devices reject this block because they do not have it; its fields are then absent",
    },
    RegisterFieldTable: {
        "register": "the first register, from 0",
        "type": "how its registers are read; `bit` for coils and discrete inputs",
        "word_order": "if absent, that of the profile",
        "byte_order": "if absent, that of the profile",
        "function": "of the block, where several contain the register",
    },
    I2c: {
        "address": "the usual address",
        "addresses": "all addresses that the device can have",
        "frame": "what an answer looks like",
        "fields": _FIELDS,
        "rule": _RULE,
        "start": "the commands that set the device up",
        "ready": "the command that asks whether there is a new measurement",
        "measure": "the command before an answer is read",
        "timeout_s": _TIMEOUT,
        "period_s": _PERIOD,
    },
    AnswerTable: {
        "length": "bytes of an answer",
        "word_check": "the checksum behind every two bytes; the positions of fields do not count it",
    },
    CommandTable: {"write": "the bytes of the command", "wait_ms": "how long to wait after it"},
    ReadyTable: {
        "count": "bytes of the answer",
        "mask": "there is a new measurement when any of these bits of the answer is set",
    },
}
