-- about: a table without columns
-- fails: NullPointerException at its snapshot
-- setup
CREATE TABLE nothing ();
CREATE TABLE t (id int PRIMARY KEY, v text);
ALTER TABLE nothing REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 'x');
-- stream
INSERT INTO t VALUES (2, 'y');
