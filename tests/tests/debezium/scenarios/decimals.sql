-- about: numeric with and without precision, money, NaN and infinities, scalar and array
-- setup
CREATE TABLE t (id int PRIMARY KEY, n numeric, n52 numeric(5,2), n500 numeric(50,0), n25 numeric(5,5), m money, ns numeric[], n52s numeric(5,2)[], d decimal(10,3));
-- A scale beyond the precision is new in PostgreSQL 15.
DO $$ BEGIN IF current_setting('server_version_num')::int >= 150000 THEN ALTER TABLE t ALTER n25 TYPE numeric(2,5); END IF; END $$;
CREATE TABLE required (id int PRIMARY KEY, n numeric NOT NULL, n52 numeric(5,2) NOT NULL, m money NOT NULL, ns numeric[] NOT NULL);
INSERT INTO t VALUES (1, 10.00, 1.10, 99999999999999999999999999999999999999999999999999, 0.00012, '$1,234.56', '{1,NULL,10.00,-0.5,NaN}', '{1.10,NULL,-999.99}', 1.5);
INSERT INTO t VALUES (2, 'NaN', 'NaN', 'NaN', 'NaN', '-$0.01', '{}', '{}', 0);
INSERT INTO t VALUES (3, 0, 0, 0, 0, 0, NULL, NULL, -0.001);
INSERT INTO t VALUES (4, 1e100, -999.99, -1, -0.00099, '$92,233,720,368,547,758.07', '{1e-20,12345678901234567890.123456789}', '{0}', NULL);
INSERT INTO t VALUES (5, 1e-100, NULL, NULL, NULL, '-$92,233,720,368,547,758.08', NULL, NULL, NULL);
INSERT INTO t (id, n) VALUES (6, 'Infinity'), (7, '-Infinity'), (8, 100), (9, 128), (10, -128), (11, -129), (12, 0.000), (13, 255), (14, 256);
INSERT INTO required VALUES (1, 1, 1, 1, '{}');
-- stream
INSERT INTO t SELECT id + 20, n, n52, n500, n25, m, ns, n52s, d FROM t;
INSERT INTO t (id, n) VALUES (50, repeat('9', 131072)::numeric), (51, ('0.' || repeat('7', 16383))::numeric);
UPDATE required SET id = 2;
DELETE FROM required;
DELETE FROM t WHERE id = 1;
