-- Moves that were begun and did not complete, one row per target schema. It is counted when a move begins and
-- removed by the transaction that writes the marker, so a move that was killed counts too.
CREATE TABLE webui_init.attempt (
    target_schema text        PRIMARY KEY,
    failures      integer     NOT NULL,
    -- None if the last one was killed or interrupted, or could not say any more how it ended.
    exit_code     integer,
    failed_at     timestamptz NOT NULL,
    tool_version  text        NOT NULL
);
