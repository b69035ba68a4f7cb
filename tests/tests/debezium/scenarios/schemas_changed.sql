-- about: the list of schemas is longer after a restart, then shorter
-- set: schema.include.list=differential,schemas_changed
-- topics: schemas_changed_other.t
-- setup
CREATE SCHEMA schemas_changed_other;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE schemas_changed_other.t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'in the snapshot');
INSERT INTO schemas_changed_other.t VALUES (1, 'before it is captured');
-- stream
INSERT INTO t VALUES (2, 'a');
INSERT INTO schemas_changed_other.t VALUES (2, 'not captured');
-- restart schema.include.list=differential,schemas_changed,schemas_changed_other
INSERT INTO t VALUES (3, 'while stopped');
-- stream
INSERT INTO t VALUES (4, 'b');
INSERT INTO schemas_changed_other.t VALUES (4, 'captured');
DELETE FROM schemas_changed_other.t WHERE id = 1;
-- restart schema.include.list=differential,schemas_changed_other
-- stream
INSERT INTO t VALUES (5, 'not captured any more');
INSERT INTO schemas_changed_other.t VALUES (5, 'c');
