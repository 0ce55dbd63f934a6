"""One token for each row of the backlog."""

from agent.delivery.policies.backlog_tokens import BacklogTokens


def test_a_second_s_worth_may_be_sent_at_once_and_then_so_many_a_second() -> None:
    tokens = BacklogTokens(100, 10.0)
    assert tokens.fill(10.0) == 100
    tokens.spend(100)
    assert [tokens.fill(at_s) for at_s in (10.0, 10.25, 10.5, 11.0, 99.0)] == [0, 25, 50, 100, 100]


def test_it_says_when_there_will_be_enough_for_the_first_that_waits() -> None:
    tokens = BacklogTokens(100, 10.0)
    tokens.spend(100)
    tokens.fill(10.0)
    assert tokens.due_s is None
    tokens.wait_for(80)
    assert tokens.due_s == 10.8
    tokens.wait_for(50)
    tokens.wait_for(90)
    assert tokens.due_s == 10.5
    tokens.fill(10.1)
    assert tokens.due_s is None
    tokens.wait_for(50)
    assert tokens.due_s == 10.5
