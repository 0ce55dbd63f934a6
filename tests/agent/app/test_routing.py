"""Messages of the broker reach who they are for, and reports go out in each session."""

from agent.app.routing import MessageRouter
from agent.delivery import wire
from agent.delivery.connection import Message

TOPICS = wire.Topics.of("makassar", "health", "batua", "batua-01")


class FakeCommands:
    """Has one answer."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.answers: list[tuple[str, bytes, bool]] = [("reply", b"pong", False)]

    def topics(self) -> list[str]:
        return ["command/#"]

    def handle(self, message: Message) -> None:
        self.heard.append(message)

    def answer(self) -> tuple[str, bytes, bool] | None:
        return self.answers.pop() if self.answers else None

    def flushed(self) -> bool:
        return True


def test_configurations_and_roots_go_one_way_and_everything_else_the_other() -> None:
    commands, configured = FakeCommands(), list[Message]()
    router = MessageRouter(commands, TOPICS, configured.append)
    assert router.topics() == ["command/#", TOPICS.desired, TOPICS.trust]
    messages = [Message(topic, b"x", True) for topic in (TOPICS.desired, TOPICS.trust, "command/ping", TOPICS.state)]
    for message in messages:
        router.handle(message)
    assert (configured, commands.heard) == (messages[:2], messages[2:])
    assert router.flushed()


def test_a_report_goes_out_before_answers_once_a_session_and_whenever_it_is_another_one() -> None:
    router = MessageRouter(FakeCommands(), TOPICS, lambda message: None)
    router.reported = b"one"
    assert router.answer() == (TOPICS.reported, b"one", True)
    assert router.answer() == ("reply", b"pong", False)
    assert router.answer() is None
    router.reported = b"two"
    assert router.answer() == (TOPICS.reported, b"two", True)
    assert router.answer() is None
    router.topics()
    assert router.answer() == (TOPICS.reported, b"two", True)
