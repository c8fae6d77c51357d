CREATE TABLE notifications (
    notification_id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id         INTEGER NOT NULL,
    message         TEXT NOT NULL,
    -- Idempotency-Key of the request, if it had one: a repetition finds the
    -- first and adds nothing.
    message_id      TEXT UNIQUE,
    topic           TEXT,
    created_at_ms   INTEGER NOT NULL
) STRICT;

CREATE INDEX notifications_by_user ON notifications (user_id, notification_id);
