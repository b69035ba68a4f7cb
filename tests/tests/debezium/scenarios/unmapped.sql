-- about: types that are left out, and arrays whose scalars are not
-- setup
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN price AS numeric(6,2);
CREATE TABLE t (id int PRIMARY KEY, b box, c circle, l line, ls lseg, p path, po polygon, pr pair, lsn pg_lsn, q tsquery, x xid, x8 xid8, s txid_snapshot, mr int4multirange, rc regclass, ai aclitem, v text,
  moneys money[], names name[], intervals interval[], varbits varbit[], xmls xml[], points point[], prices price[], pairs pair[]);
CREATE TABLE only_unmapped (b box, c circle);
ALTER TABLE only_unmapped REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, '(2,2),(0,0)', '<(10,20),10>', '{1,2,3}', '[(0,0),(1,1)]', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '(1,x)', '0/16B3748', 'fat & rat', '7', '8', '10:20:10,14', '{[1,3),[5,7)}', 'pg_class', 'postgres=r/postgres', 'kept',
  '{1}', '{a}', '{1 day}', '{101}', '{<a/>}', '{"(1,2)"}', '{1.5}', '{"(1,x)"}');
INSERT INTO t (id) VALUES (2);
INSERT INTO only_unmapped VALUES ('(2,2),(0,0)', NULL);
-- stream
INSERT INTO t SELECT id + 20, b, c, l, ls, p, po, pr, lsn, q, x, x8, s, mr, rc, ai, v, moneys, names, intervals, varbits, xmls, points, prices, pairs FROM t;
INSERT INTO only_unmapped VALUES ('(2,2),(0,0)', NULL);
UPDATE t SET id = 99 WHERE id = 1;
DELETE FROM t;
