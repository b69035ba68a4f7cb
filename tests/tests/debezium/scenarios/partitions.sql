-- about: keys lie in the partition of their bytes' murmur2
-- set: topic.creation.default.partitions=5
-- set: key.converter.schemas.enable=false
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE u (k text PRIMARY KEY, v text);
INSERT INTO t SELECT n, 'row' FROM generate_series(1, 50) n;
INSERT INTO u SELECT 'ключ 😀 ' || n, 'row' FROM generate_series(1, 50) n;
-- stream
UPDATE t SET v = 'changed';
UPDATE u SET k = k || 'x';
DELETE FROM t;
DELETE FROM u;
