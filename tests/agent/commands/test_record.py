"""What became of commands is kept, bounded, and signed ones give way to nobody."""

from agent.commands.record import RETENTION_MS, SLOTS, CommandRecord, Outcome


class Kept(dict[str, str]):
    def recall(self, name: str) -> str:
        return self.get(name, "")

    def record(self) -> CommandRecord:
        return CommandRecord("command.", self.recall, self.__setitem__)


def test_an_outcome_is_there_after_a_restart() -> None:
    kept = Kept()
    record = kept.record()
    record.put("a", Outcome("accepted", expires_ms=5))
    record.put("a", Outcome("done", "", {"t": 1}, 5))
    assert kept.record().get("a") == record.get("a") == Outcome("done", "", {"t": 1}, 5)
    assert record.get("b") is None
    assert len(kept) == 1


def test_the_oldest_gives_way_also_after_a_restart() -> None:
    kept = Kept()
    record = kept.record()
    for number in range(SLOTS + 1):
        record.put(str(number), Outcome("done"))
    assert (record.get("0"), record.get("1")) == (None, Outcome("done"))
    again = kept.record()
    again.put("new", Outcome("done"))
    assert (again.get("1"), again.get("2"), again.get("new")) == (None, Outcome("done"), Outcome("done"))
    assert len(kept) == SLOTS


def test_a_full_record_lets_go_only_of_what_could_not_be_repeated() -> None:
    record = Kept().record()
    for number in range(SLOTS):
        assert not record.full(0)
        record.put(str(number), Outcome("done", expires_ms=1000 * number))
    assert record.full(RETENTION_MS)
    assert not record.full(RETENTION_MS + 1)
    assert (record.get("0"), record.get("1")) == (None, Outcome("done", expires_ms=1000))


def test_a_long_result_is_not_kept_and_nonsense_is_no_entry() -> None:
    kept = Kept({"command.0": "[1,2]", "command.1": "{", "command.2": '["x","y","z",1,2,3]', "command.3": "7"})
    record = kept.record()
    record.put("a", Outcome("done", "", "x" * 5000))
    assert kept.record().get("a") == Outcome("done")
