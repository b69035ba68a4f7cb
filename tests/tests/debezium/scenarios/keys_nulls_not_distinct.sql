-- about: a unique index for which NULLs are equal is a key as others are
-- postgres: 15 16 17 18
-- setup
CREATE TABLE t (a int, b text);
CREATE UNIQUE INDEX one_null ON t (a) NULLS NOT DISTINCT;
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 'x'), (NULL, 'y');
-- stream
INSERT INTO t VALUES (2, 'y');
UPDATE t SET b = 'z';
UPDATE t SET a = 3 WHERE a IS NULL;
DELETE FROM t;
