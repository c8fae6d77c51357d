-- Calls to peers that were promised in the same transaction as the change they
-- belong to. A row is due at `due_at_ms`; taking it pushes that into the
-- future, so that two relays never hold the same row.
CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY,
    message_id    TEXT NOT NULL UNIQUE,
    topic         TEXT NOT NULL,
    peer          TEXT NOT NULL,
    method        TEXT NOT NULL,
    path          TEXT NOT NULL,
    body          TEXT,
    traceparent   TEXT,
    attempts      INTEGER NOT NULL DEFAULT 0,
    due_at_ms     INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    refused       TEXT
) STRICT;

CREATE INDEX outbox_due ON outbox (peer, due_at_ms) WHERE refused IS NULL;
