-- about: logical messages inside and outside of transactions
-- group: messages
-- topics: message
-- setup
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
SELECT pg_logical_emit_message(true, 'early', 'before the slot');
-- stream
SELECT pg_logical_emit_message(true, 'foo', 'alone in its transaction');
SELECT pg_logical_emit_message(false, 'foo', 'not in a transaction');
BEGIN;
INSERT INTO t VALUES (2);
SELECT pg_logical_emit_message(true, 'b"ar', 'größe 😀');
INSERT INTO t VALUES (3);
SELECT pg_logical_emit_message(false, 'outside', 'while a transaction is open');
INSERT INTO t VALUES (4);
SELECT pg_logical_emit_message(true, '', '');
COMMIT;
BEGIN;
SELECT pg_logical_emit_message(true, 'rolled', 'back');
SELECT pg_logical_emit_message(false, 'rolled', 'not back');
ROLLBACK;
SELECT pg_logical_emit_message(true, 'bytes', '\x00ff01'::bytea);
INSERT INTO t VALUES (5);
