-- The catalog the shop opens with; inventory holds stock for the same ids.
INSERT INTO products (product_id, name, description, price_cents, created_at_ms) VALUES
    (1,  'Pour-over kettle',       'Gooseneck, 0.9 l, brushed steel',                  6490, 0),
    (2,  'Hand grinder',           'Conical steel burrs, 30 g',                        8900, 0),
    (3,  'Paper filters, 100',     'Unbleached, size 02',                               590, 0),
    (4,  'Espresso cups, set of 4','Double-walled glass, 80 ml',                       3200, 0),
    (5,  'House blend, 1 kg',      'Whole beans: chocolate, hazelnut, a little plum',  2450, 0),
    (6,  'Decaf, 500 g',           'Whole beans, sugar-cane process',                  1590, 0),
    (7,  'Kitchen scale',          '0.1 g steps, timer, rechargeable',                 3990, 0),
    (8,  'Milk jug',               'Stainless steel, 350 ml, sharp spout',             1890, 0),
    (9,  'Cold-brew bottle',       'Borosilicate glass, 1 l, mesh filter',             2790, 0),
    (10, 'Moka pot',               'Aluminium, six cups',                              3450, 0),
    (11, 'Travel mug',             'Insulated, 400 ml, does not leak',                 2390, 0),
    (12, 'Espresso machine',       'Single boiler, 58 mm portafilter',               64900, 0);
