-- about: the delete of a row with a NOT NULL sparsevec, which Debezium has no filler for
-- fails: null used for required field
-- server: vectors
-- setup
CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
CREATE TABLE t (id int PRIMARY KEY, s sparsevec(5) NOT NULL);
INSERT INTO t VALUES (1, '{1:1}/5');
-- stream
INSERT INTO t VALUES (2, '{2:1}/5');
DELETE FROM t WHERE id = 1;
INSERT INTO t VALUES (3, '{3:1}/5');
