"""``gardu run`` without the fix of one defect (``WITHOUT``: its number, or several with ``+``), to measure how soon the
generators find it.

``python -m tests.outside.hunt`` runs the generators against it.
"""

import os
import sys
from collections.abc import Callable, Mapping

import agent.base.io.clock
import agent.delivery.uplink
from agent.cli import main
from agent.delivery.timings import DeliveryTimings
from tests.outside import without_flow as flow
from tests.outside import without_guards as guards

WITHOUT: Mapping[str, Callable[[], None]] = {
    "1": guards.no_guard_for_commands,
    "2": guards.no_guard_for_topics,
    "3": guards.no_limit_of_messages,
    "4": guards.no_check_of_hosts,
    "5": guards.no_check_of_dates,
    "6": guards.gateways_are_believed,
    "7": flow.changing_while_iterating,
    "8": guards.backtracking_patterns,
    "15": flow.a_counter_that_must_be_written,
    "15b": flow.no_rows_in_memory,
    "16": flow.damage_is_an_error_like_others,
    "17": flow.nobody_looks_for_the_file,
    "18": flow.one_epoch_over_power_cuts,
    "19": flow.no_room_above_events,
    "20": flow.losses_are_not_told,
    "21": flow.no_poison,
    "22": flow.a_message_for_each_row,
    "23": flow.descriptions_once,
    "24": flow.old_topics_stay,
    "25": flow.replies_are_forgotten,
    "37": flow.no_budget,
    "38": flow.no_back_pressure,
}

if __name__ == "__main__":
    for name in os.environ.get("WITHOUT", "").split("+"):
        WITHOUT.get(name, lambda: None)()
    # A topic that was refused is tried again after half a minute: here sooner.
    agent.delivery.uplink.DeliveryTimings = lambda: DeliveryTimings(pause_s=1.0)  # type: ignore[assignment,misc]
    if os.environ.get("GARDU_BOOT"):  # a test cuts the power
        agent.base.io.clock.boot_id = lambda: os.environ["GARDU_BOOT"]
    sys.exit(main())
