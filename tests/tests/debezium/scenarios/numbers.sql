-- about: integers, floats and booleans with their extremes, scalar and array, in the snapshot and in the stream
-- setup
CREATE TABLE t (id int PRIMARY KEY, a_bool bool, a_int2 int2, a_int4 int4, a_int8 int8, an_oid oid, a_float4 float4, a_float8 float8,
  bools bool[], int2s int2[], int4s int4[], int8s int8[], oids oid[], float4s float4[], float8s float8[]);
CREATE TABLE required (id int PRIMARY KEY, a_bool bool NOT NULL, a_int2 int2 NOT NULL, a_int4 int4 NOT NULL, a_int8 int8 NOT NULL,
  an_oid oid NOT NULL, a_float4 float4 NOT NULL, a_float8 float8 NOT NULL, int4s int4[] NOT NULL, float8s float8[] NOT NULL);
INSERT INTO t VALUES (1, true, 32767, 2147483647, 9223372036854775807, 4294967295, 3.4028235e38, 1.7976931348623157e308,
  '{t,f,NULL}', '{-32768,NULL,32767}', '{-2147483648,NULL,2147483647}', '{-9223372036854775808,NULL,9223372036854775807}', '{0,NULL,4294967295}',
  '{NaN,Infinity,-Infinity,NULL,1e-45,3.3}', '{NaN,Infinity,-Infinity,NULL,5e-324,4.44}');
INSERT INTO t VALUES (2, false, -32768, -2147483648, -9223372036854775808, 0, '-Infinity', 'NaN', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
INSERT INTO t VALUES (3, NULL, 0, 0, 0, 1, -0.0, -0.0, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO required VALUES (1, false, 0, 0, 0, 0, 0.001, 0.0001, '{1}', '{1e7}');
-- stream
INSERT INTO t SELECT id + 20, a_bool, a_int2, a_int4, a_int8, an_oid, a_float4, a_float8, bools, int2s, int4s, int8s, oids, float4s, float8s FROM t;
INSERT INTO t (id, a_float4, a_float8) VALUES (50, 0.1, 0.1), (51, 9999999, 9999999), (52, 1e7, 1e7), (53, 12345678, 123456789.125),
  (54, 0.001, 0.001), (55, 0.00099, 0.00099), (56, 1.5e-38, 2.2250738585072014e-308), (57, 'Infinity', '-Infinity');
INSERT INTO required VALUES (2, true, 1, 2, 3, 4, 5, 6, '{}', '{}');
UPDATE t SET a_int4 = 7 WHERE id = 1;
UPDATE required SET id = 3 WHERE id = 2;
DELETE FROM t WHERE id IN (2, 3);
DELETE FROM required;
