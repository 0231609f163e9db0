-- The record of a move has a name of its own, which the receipt beside the data repeats, and says whether the data has
-- gone back to SQLite since.
ALTER TABLE webui_init.migration
    ADD COLUMN id    uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid() UNIQUE,
    ADD COLUMN state text NOT NULL DEFAULT 'moved' CHECK (state IN ('moved', 'returned'));

-- A role that only runs Open WebUI must be able to see that the move is done: a refusal never counts as absence. These
-- columns say that there was a move, and nothing of what was moved; everything else stays closed.
GRANT USAGE ON SCHEMA webui_init TO PUBLIC;
GRANT SELECT (target_schema, source_fingerprint, rows, finished_at, id, state) ON webui_init.migration TO PUBLIC;
GRANT SELECT (target_schema) ON webui_init.attempt TO PUBLIC;
