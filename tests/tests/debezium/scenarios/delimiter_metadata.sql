-- about: another delimiter in the names of topics that are no table's
-- set: topic.delimiter=_
-- set: provide.transaction.metadata=true
-- setup
CREATE TABLE t (id int PRIMARY KEY);
-- stream
INSERT INTO t VALUES (1);
SELECT pg_logical_emit_message(false, 'lone', 'its topic has a dot');
-- restart
-- stream
INSERT INTO t VALUES (2);
