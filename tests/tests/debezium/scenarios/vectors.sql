-- about: pgvector: dense, half and sparse vectors, the extremes of their numbers, arrays, NULLs, out of line, what a delete has
-- server: vectors
-- setup
CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
CREATE TABLE t (id int PRIMARY KEY, v vector, v3 vector(3), h halfvec, h3 halfvec(3), s sparsevec, s5 sparsevec(5), vs vector[], hs halfvec[], ss sparsevec(5)[], d vector DEFAULT '[1,2]');
CREATE TABLE required (id int PRIMARY KEY, v vector(3) NOT NULL, h halfvec(3) NOT NULL);
CREATE TABLE whole (id int PRIMARY KEY, v vector NOT NULL, h halfvec, s sparsevec);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE long (id int PRIMARY KEY, small int, v vector, h halfvec, s sparsevec);
ALTER TABLE long ALTER v SET STORAGE EXTERNAL, ALTER h SET STORAGE EXTERNAL, ALTER s SET STORAGE EXTERNAL;
CREATE DOMAIN embedding AS vector(2);
CREATE TABLE of_domain (id int PRIMARY KEY, e embedding);
INSERT INTO t VALUES (1, '[1,2,3]', '[1,2,3]', '[1,2,3]', '[1,2,3]', '{1:1,3:2}/5', '{1:1,3:2}/5', '{"[1,2]","[3]"}', '{"[1,2]"}', '{"{1:1}/5"}', NULL);
INSERT INTO t (id) VALUES (2);
INSERT INTO t (id, v) VALUES (3, '[0.1]'), (4, '[3.4028235e38,-3.4028235e38,1e-45,-0,1.17549435e-38]'), (5, '[1e-7,123456789,16777217,0.001,1e7]'), (6, '[-1.5, 2.25 , 0]');
INSERT INTO t (id, h) VALUES (7, '[0.1,65504,-65504,6e-8,-0,0.333]'), (8, '[1]');
INSERT INTO t (id, s) VALUES (9, '{}/5'), (10, '{5:0.1,1:-1e-7}/5'), (11, '{32767:1}/32767'), (12, '{1:3.4028235e38}/1');
INSERT INTO t (id, vs, hs, ss) VALUES (13, '{}', '{}', '{}');
INSERT INTO required VALUES (1, '[1,2,3]', '[1,2,3]');
INSERT INTO whole VALUES (1, '[1,2,3]', '[1,2,3]', '{1:1}/5');
INSERT INTO long SELECT 1, 1, array_agg(n)::vector, array_agg(n)::halfvec, array_agg(n)::vector::sparsevec FROM generate_series(1, 1000) n;
INSERT INTO of_domain VALUES (1, '[1,2]'), (2, NULL);
-- stream
INSERT INTO t SELECT id + 20, v, v3, h, h3, s, s5, vs, hs, ss, d FROM t;
INSERT INTO t (id, vs) VALUES (50, '{"[1,2]",NULL}');
UPDATE t SET v = '[4,5]', s = NULL WHERE id = 1;
DELETE FROM t WHERE id = 1;
UPDATE required SET id = 2;
DELETE FROM required;
UPDATE whole SET v = '[4]', h = NULL;
DELETE FROM whole;
UPDATE long SET small = 2;
DELETE FROM long;
INSERT INTO of_domain VALUES (3, '[3,4]');
DELETE FROM of_domain;
