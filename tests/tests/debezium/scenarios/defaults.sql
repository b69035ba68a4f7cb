-- about: defaults, literal and of functions, where the value is NULL and where it is not
-- setup
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE t (id serial PRIMARY KEY, i int DEFAULT 5, i2 int NOT NULL DEFAULT 7, neg int DEFAULT -7, big bigint DEFAULT 9223372036854775807, t text DEFAULT 'x', t2 text NOT NULL DEFAULT 'it''s', b bool DEFAULT true, b2 bool DEFAULT (not true),
  d date DEFAULT '2020-01-01', ts timestamp DEFAULT now(), ts2 timestamp DEFAULT '2020-01-01 10:00:00', tstz timestamptz DEFAULT now(), tstz2 timestamptz DEFAULT '2020-01-01 10:00:00+02', n numeric(5,2) DEFAULT 1.5,
  nn numeric DEFAULT 1.5, n3 numeric(5,2) DEFAULT random(), f float8 DEFAULT 'NaN', f4 float4 DEFAULT 1.5, u uuid DEFAULT gen_random_uuid(), j json DEFAULT '{"a":1}', jb jsonb DEFAULT '{"a":1}', x xml DEFAULT '<a/>',
  m mood DEFAULT 'ok', m2 mood DEFAULT 'sad'::text::mood, c char(4) DEFAULT 'ab', v varchar(9) DEFAULT 'abc', iv interval DEFAULT '1 day'::interval * 2, bt bit(3) DEFAULT B'101', by bytea DEFAULT '\x01', o oid DEFAULT 1,
  r int4range DEFAULT '[1,2)', inet inet DEFAULT '10.0.0.1', mo money DEFAULT 1, p point DEFAULT '(1,2)', ia int[] DEFAULT '{1}', cu text DEFAULT current_user, e text DEFAULT E'a\nb', ca text DEFAULT 'a' || 'b', nu text DEFAULT NULL,
  pl int DEFAULT (1 + 1), ct text DEFAULT (1)::text, dp date DEFAULT '2020-01-01'::date + 1, tm time DEFAULT '10:00', tmz timetz DEFAULT '10:00+02', cd date DEFAULT CURRENT_DATE);
INSERT INTO t DEFAULT VALUES;
INSERT INTO t (id, i, t, b, d, n, f, j, m, c, iv, tstz, u, tm) VALUES (10, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
UPDATE t SET ts = '2024-01-01', tstz = '2024-01-01 00:00+00', n3 = 0.5, cd = '2024-01-01', u = '3f2504e0-4f89-11d3-9a0c-0305e82c3301';
-- stream
INSERT INTO t SELECT id + 20, i, i2, neg, big, t, t2, b, b2, d, ts, ts2, tstz, tstz2, n, nn, n3, f, f4, u, j, jb, x, m, m2, c, v, iv, bt, by, o, r, inet, mo, p, ia, cu, e, ca, nu, pl, ct, dp, tm, tmz, cd FROM t;
UPDATE t SET id = 99 WHERE id = 21;
DELETE FROM t;
