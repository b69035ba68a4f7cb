-- about: the list of columns that are left out is longer after a restart, then shorter, also of rows that were written before it
-- set: column.exclude.list=columns_changed\.t\.a
-- setup
CREATE TABLE t (id int PRIMARY KEY, a text, b text NOT NULL, c int);
INSERT INTO t VALUES (1, 'a', 'b', 1);
-- stream
INSERT INTO t VALUES (2, 'a', 'b', 2);
-- restart column.exclude.list=columns_changed\.t\.(a|b)
INSERT INTO t VALUES (3, 'a', 'b', 3);
-- stream
UPDATE t SET c = 4 WHERE id = 1;
DELETE FROM t WHERE id = 2;
-- restart column.exclude.list=columns_changed\.t\.c
INSERT INTO t VALUES (5, 'a', 'b', 5);
-- stream
UPDATE t SET a = 'changed' WHERE id = 1;
UPDATE t SET id = 6 WHERE id = 3;
