-- The marker: one row per target schema, written in the transaction that moved the rows. Its primary key is
-- what makes a second move impossible.
CREATE TABLE webui_init.migration (
    target_schema      text        PRIMARY KEY,
    source_path        text        NOT NULL,
    source_fingerprint text        NOT NULL,
    source_revision    text,
    target_revision    text        NOT NULL,
    rows               bigint      NOT NULL,
    bytes              bigint      NOT NULL,
    leftovers          bigint      NOT NULL,
    report             json        NOT NULL,
    started_at         timestamptz NOT NULL,
    finished_at        timestamptz NOT NULL,
    tool_version       text        NOT NULL
);

-- Whatever could not be stored as it was: the original, and why.
CREATE TABLE webui_init.leftover (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_schema text NOT NULL,
    table_name    text NOT NULL,
    source_rowid  bigint,
    reason        text NOT NULL,
    row           json NOT NULL
);
