-- about: a heartbeat at the end of the snapshot, and its action
-- set: heartbeat.interval.ms=3600000
-- set: topic.heartbeat.prefix=__beats
-- setup
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
-- stream
INSERT INTO t VALUES (2);
