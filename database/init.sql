-- The shop that Rowcast's demo and tests watch. Run it as often as you like: what is there stays as it is.

CREATE TABLE IF NOT EXISTS orders (
    id            serial PRIMARY KEY,
    customer_name text NOT NULL,
    product_name  text NOT NULL,
    status        text NOT NULL,
    updated_at    timestamp NOT NULL DEFAULT now()
);

-- A morning's orders, in every state an order can be in; only into a table that is empty.
INSERT INTO orders (customer_name, product_name, status, updated_at)
SELECT customer_name, product_name, status, now() - age
FROM (VALUES
    (1, 'Amelia Brandt',  'Walnut desk, 140 cm',        'delivered', interval '26 hours'),
    (2, 'Tomasz Nowak',   'Mechanical keyboard, ISO',   'delivered', interval '22 hours'),
    (3, 'Priya Raman',    'Desk lamp, brass',           'shipped',   interval '9 hours'),
    (4, 'Joon-ho Kim',    'USB-C dock, 11 ports',       'shipped',   interval '5 hours'),
    (5, 'Zoë Lindqvist',  'Office chair, mesh back',    'packed',    interval '2 hours'),
    (6, 'Mateus Oliveira','Monitor arm, double',        'packed',    interval '55 minutes'),
    (7, 'Fatima El Amin', 'Noise-cancelling headset',   'pending',   interval '12 minutes'),
    (8, 'Liam O''Connor', 'Standing mat, anthracite',   'cancelled', interval '7 minutes')
) AS morning (place, customer_name, product_name, status, age)
WHERE NOT EXISTS (SELECT FROM orders)
ORDER BY place;
