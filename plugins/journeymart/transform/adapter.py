"""dbt's adapter for PostgreSQL as a run uses it: connections kept, set up at once, and no message that nobody reads."""

from __future__ import annotations

from typing import Any

from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.adapters.postgres.impl import PostgresAdapter
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager

HEARD = frozenset({EventLevel.WARN, EventLevel.ERROR})
_make_message, _fire_event = BaseEvent.__init__, EventManager.fire_event


class KeptConnections(PostgresConnectionManager):
    """A connection for each thread, closed when the run ends.

    dbt closes it after every node; a new one, which has to read the catalog anew, costs PostgreSQL more than most
    models of a small run. Models leave nothing in a session that another could find: no temporary table, no setting.
    """

    def release(self) -> None:
        """End the node's transaction, if it left one open; a connection that cannot do so is closed."""
        try:
            if self.get_if_exists() is not None:
                self.rollback_if_open()
        except Exception:  # whatever it is, it goes on to dbt; the connection must not be used again
            super().release()
            raise


def prepare_adapter() -> None:
    """Let dbt use it, in this process."""
    PostgresAdapter.ConnectionManager = KeptConnections
    # Twenty times in a run dbt asks which module declares a flag, and reads the sources of all that is being called.
    BehaviorFlagRendered._default_source = staticmethod(lambda: PostgresAdapter.__module__)  # type: ignore[method-assign]
    BaseEvent.__init__ = _keep_message  # type: ignore[assignment, method-assign]
    BaseEvent.__getattr__ = _message_part  # type: ignore[method-assign]
    EventManager.fire_event = _fire_what_is_heard  # type: ignore[assignment, method-assign]


def _fire_what_is_heard(
    manager: EventManager, e: BaseEvent, level: EventLevel | None = None, *arguments: Any, **named: Any
) -> None:
    """A run has fifteen hundred events, each made a message twice, in a fifth of the time that dbt needs beside the
    database; with its log off (dbt.py) only warnings and errors do something."""
    if (level or e.level_tag()) in HEARD:
        _fire_event(manager, e, level, *arguments, **named)


def _keep_message(event: BaseEvent, *arguments: Any, **named: Any) -> None:
    """What an event says, which is made a message when somebody asks for it."""
    event.__dict__["said"] = arguments, named


def _message_part(event: BaseEvent, name: str) -> Any:
    if name == "pb_msg":
        arguments, named = object.__getattribute__(event, "said")
        _make_message(event, *arguments, **named)
        return event.__dict__["pb_msg"]
    return getattr(event.pb_msg, name)
