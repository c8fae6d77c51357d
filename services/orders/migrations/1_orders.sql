CREATE TABLE orders (
    order_id        TEXT PRIMARY KEY,
    user_id         INTEGER NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('pending', 'confirmed', 'failed')),
    total_cents     INTEGER NOT NULL,
    payment_id      TEXT,
    -- Why it failed, as a code.
    reason          TEXT,
    -- Freed when the order fails, so that the caller can try again.
    idempotency_key TEXT,
    created_at_ms   INTEGER NOT NULL,
    -- A pending order whose lease is over was left by a process that died, and
    -- is taken up by another.
    lease_until_ms  INTEGER NOT NULL
) STRICT;

CREATE INDEX orders_by_user ON orders (user_id, created_at_ms);
CREATE INDEX orders_pending ON orders (lease_until_ms) WHERE status = 'pending';

CREATE TABLE order_items (
    order_id    TEXT NOT NULL REFERENCES orders (order_id),
    product_id  INTEGER NOT NULL,
    quantity    INTEGER NOT NULL CHECK (quantity > 0),
    -- The price when the order was placed; the catalog may change.
    price_cents INTEGER NOT NULL,
    PRIMARY KEY (order_id, product_id)
) STRICT, WITHOUT ROWID;
