-- about: virtual generated columns, PostgreSQL 18's default kind, which the stream never has
-- postgres: 18
-- setup
CREATE TABLE t (id int PRIMARY KEY, b text, g text GENERATED ALWAYS AS ('n' || b), s text GENERATED ALWAYS AS (b || '!') STORED, i int, d int GENERATED ALWAYS AS (i * 2) NOT NULL);
INSERT INTO t (id, b, i) VALUES (1, 'x', 5), (2, NULL, 6);
-- stream
INSERT INTO t (id, b, i) VALUES (3, 'y', 7), (4, NULL, 8);
UPDATE t SET b = 'z' WHERE id = 1;
DELETE FROM t WHERE id = 2;
