-- about: sparse vectors of more dimensions than Debezium's schema can say
-- server: vectors
-- setup
CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
CREATE TABLE t (id int PRIMARY KEY, s sparsevec);
INSERT INTO t VALUES (1, '{1:1}/5'), (2, '{1:1}/32768'), (3, '{40000:1}/100000');
-- stream
INSERT INTO t SELECT id + 20, s FROM t;
