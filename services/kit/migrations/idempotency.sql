-- One row per Idempotency-Key: what was asked, and the answer once there is one.
CREATE TABLE idempotency (
    key           TEXT PRIMARY KEY,
    request       TEXT NOT NULL,
    response      TEXT,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (created_at_ms);
