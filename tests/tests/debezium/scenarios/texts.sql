-- about: text types, what JSON escapes, padding, and everything that is passed on as PostgreSQL writes it
-- setup
CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
CREATE EXTENSION IF NOT EXISTS ltree SCHEMA public;
CREATE TABLE t (id int PRIMARY KEY, a_char char(6), a_varchar varchar(20), a_text text, a_quoted_char "char", a_citext citext, a_ltree ltree, a_uuid uuid,
  a_json json, a_jsonb jsonb, an_xml xml, an_inet inet, a_cidr cidr, a_macaddr macaddr, a_macaddr8 macaddr8, a_tsvector tsvector,
  chars char(3)[], varchars varchar(9)[], texts text[], citexts citext[], ltrees ltree[], uuids uuid[], jsons json[], jsonbs jsonb[], inets inet[],
  cidrs cidr[], macaddrs macaddr[], macaddr8s macaddr8[]);
CREATE TABLE required (id int PRIMARY KEY, a_char char(6) NOT NULL, a_varchar varchar(20) NOT NULL, a_text text NOT NULL, a_citext citext NOT NULL, a_uuid uuid NOT NULL,
  a_json json NOT NULL, a_jsonb jsonb NOT NULL, an_xml xml NOT NULL, an_inet inet NOT NULL, a_tsvector tsvector NOT NULL, texts text[] NOT NULL);
INSERT INTO t VALUES (1, 'abc', 'x', 'plain', 'c', 'CaSe', 'a.b.c', '3f2504e0-4f89-11d3-9a0c-0305e82c3301', '{"a":  1, "b" : [1,2]}', '{"a":  1, "b" : [1,2]}',
  '<foo a="1">&lt;</foo>', '192.168.2.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', 'a fat cat'::tsvector,
  '{a,NULL,"b "}', '{"",NULL,"NULL",null}', '{"a\"b","c\\d","{e}","f,g","",NULL,"NULL"," h "}', '{A,b}', '{a.b,NULL}',
  '{3f2504e0-4f89-11d3-9a0c-0305e82c3301,NULL}', '{"{\"a\": 1}",NULL}', '{"{\"a\":1}",NULL}', '{10.1.2.3,NULL,::1}', '{10.0.0.0/8,NULL}',
  '{08:00:2b:01:02:03,NULL}', '{08:00:2b:01:02:03:04:05,NULL}');
INSERT INTO t (id, a_text) VALUES (2, ''), (3, NULL), (4, E'tab\t line\n return\r bell\007 del\177 quote" back\\ slash/ <b>&amp;'), (5, 'größe ключ 鍵 😀 👩‍👩‍👧 é');
INSERT INTO t (id, a_text) VALUES (6, U&'\2028\2029\FEFF\FFFD\0001\001F\0080'), (7, repeat('long ', 1000));
INSERT INTO t (id, a_quoted_char) VALUES (8, ''), (9, '\303');
INSERT INTO t (id, chars, texts) VALUES (10, '{}', '{}'), (11, '{abc}', ARRAY['😀', E'a\nb', E'tab\t']);
INSERT INTO required VALUES (1, '', '', '', '', '00000000-0000-0000-0000-000000000000', '1', 'null', '', '0.0.0.0', '', '{}');
INSERT INTO t (id, ltrees) VALUES (12, '{a.b,c}'), (13, '{}');
-- stream
INSERT INTO t SELECT id + 20, a_char, a_varchar, a_text, a_quoted_char, a_citext, a_ltree, a_uuid, a_json, a_jsonb, an_xml, an_inet, a_cidr, a_macaddr, a_macaddr8, a_tsvector,
  chars, varchars, texts, citexts, ltrees, uuids, jsons, jsonbs, inets, cidrs, macaddrs, macaddr8s FROM t WHERE id < 20;
UPDATE required SET id = 2;
UPDATE t SET a_text = 'other' WHERE id = 1;
DELETE FROM required;
DELETE FROM t WHERE id = 1;
