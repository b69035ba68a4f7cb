-- about: generated columns, which the stream does not have before PostgreSQL 18 and not by default then
-- setup
CREATE TABLE t (id int PRIMARY KEY, b text, g text GENERATED ALWAYS AS ('n' || b) STORED, i int, d int GENERATED ALWAYS AS (i * 2) STORED NOT NULL);
INSERT INTO t (id, b, i) VALUES (1, 'x', 5), (2, NULL, 6);
-- stream
INSERT INTO t (id, b, i) VALUES (3, 'y', 7), (4, NULL, 8);
UPDATE t SET b = 'z' WHERE id = 1;
DELETE FROM t WHERE id = 2;
