-- about: dates, times, timestamps and intervals, scalar and array, with their extremes
-- setup
CREATE TABLE t (id int PRIMARY KEY, d date, t0 time(0), t3 time(3), t6 time, tz timetz, tz0 timetz(0), ts0 timestamp(0), ts3 timestamp(3), ts6 timestamp, tstz timestamptz,
  tstz0 timestamptz(0), tstz3 timestamptz(3), iv interval, ds date[], ts time[], tzs timetz[], tss timestamp[], ts3s timestamp(3)[], tstzs timestamptz[]);
CREATE TABLE required (id int PRIMARY KEY, d date NOT NULL, t3 time(3) NOT NULL, t6 time NOT NULL, tz timetz NOT NULL, ts3 timestamp(3) NOT NULL, ts6 timestamp NOT NULL,
  tstz timestamptz NOT NULL, iv interval NOT NULL, tss timestamp[] NOT NULL);
INSERT INTO t VALUES (1, '2017-09-15', '09:55:10', '09:55:10.123', '09:55:10.123456', '11:51:30.123789+02', '11:51:30+02', '2020-01-01 10:00:00', '2020-01-01 10:00:00.123',
  '2020-01-01 10:00:00.123456', '2020-01-01 10:00:00.123456+02', '2020-01-01 10:00:00+02', '2020-01-01 10:00:00.120+02', '1 year 2 mons 3 days 04:05:06.78',
  '{2017-09-15,NULL}', '{09:55:10.123456,NULL}', '{11:51:30.123789+02,NULL}', '{"2020-01-01 10:00:00",NULL}', '{"2020-01-01 10:00:00.12",NULL}', '{"2020-01-01 10:00:00+02",NULL}');
INSERT INTO t VALUES (2, '1500-02-28', '24:00:00', '24:00:00', '24:00:00', '24:00:00+02', '24:00:00-12', '1969-12-31 23:59:59', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.999999',
  '1969-12-31 23:59:59.999999+00', '1969-12-31 23:59:59+00', '1969-12-31 23:59:59.999+00', '-1 year -2 mons +3 days -04:05:06.78', '{}', '{}', '{}', '{}', '{}', '{}');
INSERT INTO t (id, d, t6, ts6, tstz, iv) VALUES (3, '10000-01-01', '00:00:00', '10000-01-01 00:00:00', '10000-01-01 00:00:00+00', '0'),
  (4, '5874897-12-31', '23:59:59.999999', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '178000000 years'),
  (5, '1582-10-15', '12:00:00.1', '0001-01-01 00:00:00', '0001-01-01 00:00:00+00', '-178000000 years'),
  (6, NULL, NULL, 'infinity', 'infinity', '00:00:00.000001'), (7, NULL, NULL, '-infinity', '-infinity', '-00:00:00.000001'),
  (8, NULL, NULL, '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00+00 BC', '1 mon'), (9, NULL, NULL, '4713-12-31 23:59:59.999999 BC', '4713-12-31 23:59:59.999999+00 BC', '277:46:40.5');
INSERT INTO t (id, ts0, ts3) VALUES (10, 'infinity', '-infinity');
INSERT INTO required VALUES (1, '2000-01-01', '01:00', '01:00', '01:00+00', '2000-01-01', '2000-01-01', '2000-01-01 00:00+00', '1 day', '{}');
-- stream
INSERT INTO t SELECT id + 20, d, t0, t3, t6, tz, tz0, ts0, ts3, ts6, tstz, tstz0, tstz3, iv, ds, ts, tzs, tss, ts3s, tstzs FROM t;
UPDATE required SET id = 2;
DELETE FROM required;
DELETE FROM t WHERE id = 1;
