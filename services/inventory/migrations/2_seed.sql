-- Enough of the twelve products the shop opens with for days of load.
INSERT INTO stock (product_id, units) VALUES
    (1, 1000000), (2, 1000000), (3, 1000000), (4, 1000000),
    (5, 1000000), (6, 1000000), (7, 1000000), (8, 1000000),
    (9, 1000000), (10, 1000000), (11, 1000000), (12, 1000000);
