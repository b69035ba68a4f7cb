-- about: the snapshot reads what the user's SELECT gives
-- set: snapshot.select.statement.overrides=snapshot_override.t
-- set: snapshot.select.statement.overrides.snapshot_override.t=SELECT * FROM snapshot_override.t WHERE id > 1 ORDER BY id DESC
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE u (id int PRIMARY KEY);
INSERT INTO t VALUES (1, 'left out'), (2, 'x'), (3, 'y');
INSERT INTO u VALUES (1), (2);
-- stream
INSERT INTO t VALUES (4, 'z');
