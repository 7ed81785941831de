"""dbt's adapter for PostgreSQL as a run uses it: connections kept, set up at once."""

from __future__ import annotations

from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.adapters.postgres.impl import PostgresAdapter
from dbt_common.behavior_flags import BehaviorFlagRendered


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
