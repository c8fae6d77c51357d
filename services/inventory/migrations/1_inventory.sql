-- Units that nobody has reserved.
CREATE TABLE stock (
    product_id INTEGER PRIMARY KEY,
    units      INTEGER NOT NULL CHECK (units >= 0)
) STRICT;

-- One row per order that ever reserved or released. A released order stays, so
-- that a reservation which arrives late cannot take units for it any more.
CREATE TABLE reservations (
    order_id      TEXT PRIMARY KEY,
    state         TEXT NOT NULL CHECK (state IN ('reserved', 'released')),
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE reserved_items (
    order_id   TEXT NOT NULL REFERENCES reservations (order_id),
    product_id INTEGER NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
) STRICT, WITHOUT ROWID;
