-- about: transactions that are published and not captured, which are the last commit all the same
-- set: publication.autocreate.mode=disabled
-- group: uncaptured
-- tables: uncaptured\.t
-- setup
CREATE TABLE t (id int PRIMARY KEY);
CREATE TABLE other (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
-- stream
INSERT INTO t VALUES (2);
INSERT INTO other VALUES (1);
INSERT INTO t VALUES (3);
BEGIN;
INSERT INTO other VALUES (2);
INSERT INTO t VALUES (4);
COMMIT;
INSERT INTO other VALUES (3);
-- restart
-- stream
INSERT INTO t VALUES (5);
SELECT pg_logical_emit_message(false, 'uncaptured', 'not in a transaction');
-- restart
-- stream
INSERT INTO other VALUES (4);
SELECT pg_logical_emit_message(false, 'uncaptured', 'first after a restart');
INSERT INTO t VALUES (6);
