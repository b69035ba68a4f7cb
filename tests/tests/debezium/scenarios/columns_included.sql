-- about: columns that are named, and nothing else
-- set: column.include.list=columns_included\.t\.(id|b),differential\..*
-- setup
CREATE TABLE t (id int PRIMARY KEY, a text, b text);
CREATE TABLE u (id int PRIMARY KEY, a text);
INSERT INTO t VALUES (1, 'a', 'b');
INSERT INTO u VALUES (1, 'a');
-- stream
INSERT INTO t VALUES (2, 'a', 'b');
UPDATE t SET a = 'changed' WHERE id = 1;
DELETE FROM t;
INSERT INTO u VALUES (2, 'a');
