CREATE TABLE products (
    product_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL,
    description   TEXT,
    price_cents   INTEGER NOT NULL CHECK (price_cents > 0),
    created_at_ms INTEGER NOT NULL
) STRICT;
