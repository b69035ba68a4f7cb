-- about: range types, scalar and array
-- setup
CREATE TABLE t (id int PRIMARY KEY, i4 int4range, i8 int8range, n numrange, d daterange, ts tsrange, tstz tstzrange, i4s int4range[], ns numrange[], ds daterange[], tss tsrange[], tstzs tstzrange[]);
INSERT INTO t VALUES (1, '[1,10)', '(1,10]', '[1.5,2.50]', '[2020-01-01,2020-12-31]', '[2019-03-31 15:30:00,infinity]', '(2019-03-31 15:30:00+05,)', '{"[1,2)",NULL,empty}', '{"(,1.0]"}', '{"[2020-01-01,)"}',
  '{"[2019-03-31 15:30:00,2019-04-01)"}', '{"[2019-03-31 15:30:00+00,2019-04-01 00:00:00+00)",NULL}');
INSERT INTO t VALUES (2, 'empty', '(,)', '[NaN,NaN]', '[-infinity,infinity]', '(-infinity,0044-03-15 BC)', '[2019-03-31 15:30:00.5+00,2019-03-31 15:30:00.75+00]', '{}', '{}', '{}', '{}', '{}');
INSERT INTO t (id) VALUES (3);
-- stream
INSERT INTO t SELECT id + 20, i4, i8, n, d, ts, tstz, i4s, ns, ds, tss, tstzs FROM t;
