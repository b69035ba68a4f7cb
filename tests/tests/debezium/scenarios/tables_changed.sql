-- about: the list of tables is longer, shorter and longer again after a restart, and the publication has what is captured
-- set: table.include.list=differential\.marker,tables_changed[a-z_]*\.t
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE u (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'in the snapshot');
INSERT INTO u VALUES (1, 'before it is captured');
-- stream
INSERT INTO t VALUES (2, 'a');
INSERT INTO u VALUES (2, 'not captured');
-- restart table.include.list=differential\.marker,tables_changed[a-z_]*\.[tu]
INSERT INTO t VALUES (3, 'while stopped');
INSERT INTO u VALUES (3, 'while stopped, before it is captured');
-- stream
INSERT INTO t VALUES (4, 'b');
INSERT INTO u VALUES (4, 'captured');
UPDATE u SET v = 'changed' WHERE id IN (1, 2);
DELETE FROM u WHERE id = 1;
-- restart table.include.list=differential\.marker,tables_changed[a-z_]*\.u
INSERT INTO t VALUES (5, 'while stopped, when it was captured before');
INSERT INTO u VALUES (5, 'while stopped');
-- stream
INSERT INTO t VALUES (6, 'not captured any more');
INSERT INTO u VALUES (6, 'c');
DELETE FROM t WHERE id = 1;
-- restart table.include.list=differential\.marker,tables_changed[a-z_]*\.[tu]
INSERT INTO t VALUES (7, 'while stopped, before it is captured again');
INSERT INTO u VALUES (7, 'while stopped');
-- stream
INSERT INTO t VALUES (8, 'captured again');
UPDATE t SET v = 'changed' WHERE id = 6;
INSERT INTO u VALUES (8, 'd');
