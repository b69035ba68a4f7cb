-- about: values that are stored out of line and left alone by an update, in every identity
-- setup
CREATE TABLE t (id int PRIMARY KEY, small int, a_text text, a_varchar varchar(200000), a_json json, a_jsonb jsonb, a_bytea bytea, a_numeric numeric, texts text[], int4s int4[], int8s int8[],
  uuids uuid[], dates date[], byteas bytea[], bools bool[], nn text NOT NULL);
ALTER TABLE t ALTER a_text SET STORAGE EXTERNAL, ALTER a_varchar SET STORAGE EXTERNAL, ALTER a_json SET STORAGE EXTERNAL, ALTER a_jsonb SET STORAGE EXTERNAL, ALTER a_bytea SET STORAGE EXTERNAL,
  ALTER a_numeric SET STORAGE EXTERNAL, ALTER texts SET STORAGE EXTERNAL, ALTER int4s SET STORAGE EXTERNAL, ALTER int8s SET STORAGE EXTERNAL, ALTER uuids SET STORAGE EXTERNAL,
  ALTER dates SET STORAGE EXTERNAL, ALTER byteas SET STORAGE EXTERNAL, ALTER bools SET STORAGE EXTERNAL, ALTER nn SET STORAGE EXTERNAL;
CREATE TABLE full_identity (id int PRIMARY KEY, small int, a_text text);
ALTER TABLE full_identity ALTER a_text SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
CREATE TABLE long_key (id text PRIMARY KEY, small int, a_text text);
ALTER TABLE long_key ALTER id SET STORAGE EXTERNAL, ALTER a_text SET STORAGE EXTERNAL;
INSERT INTO t SELECT 1, 1, repeat('a', 3000), repeat('v', 3000), to_json(repeat('j', 3000)), to_jsonb(repeat('b', 3000)), repeat('x', 3000)::bytea, repeat('7', 8000)::numeric,
  ARRAY[repeat('t', 3000)], array_agg(n), array_agg(n::int8), array_agg('3f2504e0-4f89-11d3-9a0c-0305e82c3301'::uuid), array_agg('2020-01-01'::date + n), ARRAY[repeat('y', 3000)::bytea],
  array_agg(true) || array_agg(true) || array_agg(false), repeat('n', 3000) FROM generate_series(1, 1000) n;
INSERT INTO full_identity VALUES (1, 1, repeat('f', 3000));
INSERT INTO long_key VALUES (repeat('k', 2200), 1, repeat('f', 3000));
-- stream
UPDATE t SET small = 2;
UPDATE t SET small = 3, a_text = 'short';
UPDATE t SET id = 2;
DELETE FROM t;
UPDATE full_identity SET small = 2;
UPDATE full_identity SET id = 2;
DELETE FROM full_identity;
UPDATE long_key SET small = 2;
UPDATE long_key SET a_text = 'short';
DELETE FROM long_key;
