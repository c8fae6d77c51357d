-- The shop opens with a few customers, so that an order can be placed at once.
INSERT INTO users (user_id, name, email, created_at_ms) VALUES
    (1, 'Ada Winter',     'ada@example.com',    0),
    (2, 'Bruno Keller',   'bruno@example.com',  0),
    (3, 'Chidi Okafor',   'chidi@example.com',  0),
    (4, 'Dolores Vega',   'dolores@example.com', 0),
    (5, 'Emre Yilmaz',    'emre@example.com',   0),
    (6, 'Freya Lund',     NULL,                 0);
