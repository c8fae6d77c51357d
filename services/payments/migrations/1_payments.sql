CREATE TABLE payments (
    payment_id    TEXT PRIMARY KEY,
    order_id      TEXT NOT NULL,
    amount_cents  INTEGER NOT NULL CHECK (amount_cents > 0),
    status        TEXT NOT NULL CHECK (status IN ('charged', 'refunded')),
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX payments_by_order ON payments (order_id);

-- Orders that were given up. They stay, so that a charge which arrives after
-- the refund is refused.
CREATE TABLE refunded_orders (
    order_id      TEXT PRIMARY KEY,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
