-- about: a key whose ranges may not overlap: an index that is no B-tree
-- postgres: 18
-- setup
CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;
CREATE TABLE t (id int, during int4range, v text, PRIMARY KEY (id, during WITHOUT OVERLAPS));
CREATE TABLE u (id int NOT NULL, during int4range NOT NULL, v text, UNIQUE (id, during WITHOUT OVERLAPS));
ALTER TABLE u REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, '[1,5)', 'x');
INSERT INTO u VALUES (1, '[1,5)', 'x');
-- stream
INSERT INTO t VALUES (1, '[5,9)', 'y');
UPDATE t SET v = 'z' WHERE during = '[1,5)';
UPDATE t SET during = '[1,4)' WHERE during = '[1,5)';
DELETE FROM t WHERE during = '[5,9)';
INSERT INTO u VALUES (1, '[5,9)', 'y');
UPDATE u SET v = 'z';
DELETE FROM u;
