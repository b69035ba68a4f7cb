-- about: columns that are left out, keys kept
-- set: column.exclude.list=columns_excluded\.T\.A,columns_excluded\.t\.id,columns_excluded\.t\.x.*
-- setup
CREATE TABLE t (id int PRIMARY KEY, a text, b text, x1 int NOT NULL, x2 int);
CREATE TABLE u (id int PRIMARY KEY, a text);
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 'a', 'b', 1, 2);
INSERT INTO u VALUES (1, 'a');
-- stream
INSERT INTO t VALUES (2, 'a', 'b', 1, 2);
UPDATE t SET a = 'changed' WHERE id = 1;
UPDATE t SET id = 3 WHERE id = 1;
DELETE FROM t;
INSERT INTO u VALUES (2, 'a');
