-- about: no snapshot: the first record is a change
-- set: snapshot.mode=no_data
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'x'), (2, 'y');
-- stream
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES (3, 'z');
