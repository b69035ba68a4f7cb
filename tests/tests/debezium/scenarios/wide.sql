-- about: a table of 1,600 columns, the most that PostgreSQL has
-- setup
DO $$ BEGIN
  EXECUTE (SELECT 'CREATE TABLE t (id int PRIMARY KEY, ' || string_agg(format('c%s %s', n, (ARRAY['int', 'text', 'numeric(5,2)', 'timestamptz'])[n % 4 + 1]), ', ') || ')' FROM generate_series(1, 1599) n);
END $$;
INSERT INTO t VALUES (1, 'text', 1.5, '2020-01-01 00:00+00', 5);
-- stream
INSERT INTO t VALUES (2, 'text', 1.5, '2020-01-01 00:00+00', 5);
UPDATE t SET c1596 = 7;
DELETE FROM t;
