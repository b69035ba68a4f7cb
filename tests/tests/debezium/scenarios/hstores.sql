-- about: hstore as json text, in the order of a Java HashMap, scalar and array
-- setup
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
CREATE TABLE t (id int PRIMARY KEY, h hstore, hs hstore[], r hstore NOT NULL DEFAULT '');
INSERT INTO t VALUES (1, 'key1=>val1, key2=>NULL, "key 3"=>"NULL", a=>"quote\" back\\slash"', ARRAY['a=>1'::hstore, NULL]), (2, '', '{}'), (3, NULL, NULL);
INSERT INTO t VALUES (4, (SELECT hstore(array_agg('key number ' || n), array_agg(n::text)) FROM generate_series(1, 60) n), NULL), (5, 'Aa=>1, BB=>2, AaAa=>3, BBBB=>4, AaBB=>5, BBAa=>6, "ü😀"=>"😀"', NULL);
-- stream
INSERT INTO t SELECT id + 20, h, hs FROM t;
UPDATE t SET id = 99 WHERE id = 21;
DELETE FROM t WHERE id = 22;
