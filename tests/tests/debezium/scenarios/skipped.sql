-- about: skipped operations, and what is left of a key change
-- set: skipped.operations=d,t
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'x');
-- stream
INSERT INTO t VALUES (2, 'y');
UPDATE t SET id = 3 WHERE id = 2;
DELETE FROM t WHERE id = 1;
TRUNCATE t;
INSERT INTO t VALUES (1, 'again');
