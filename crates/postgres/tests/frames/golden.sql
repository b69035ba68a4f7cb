-- Makes every message that pgoutput has in protocol 1. `capture.sh` runs it and writes down what the plug-in says.

CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('calm', 'cross');
CREATE DOMAIN shop.price AS numeric(10, 2);
CREATE TABLE shop.orders (id serial PRIMARY KEY, customer text, mood shop.mood, price shop.price, tags text[]);
CREATE TABLE shop.documents (id int PRIMARY KEY, title varchar(40), body text);
ALTER TABLE shop.documents ALTER body SET STORAGE EXTERNAL;
CREATE TABLE shop.whole (a int, b text);
ALTER TABLE shop.whole REPLICA IDENTITY FULL;
CREATE TABLE shop.by_index (id int PRIMARY KEY, code text NOT NULL, note text);
CREATE UNIQUE INDEX by_code ON shop.by_index (code);
ALTER TABLE shop.by_index REPLICA IDENTITY USING INDEX by_code;
CREATE TABLE shop.log_only (entry text);
ALTER TABLE shop.log_only REPLICA IDENTITY NOTHING;
CREATE TABLE shop."Täble ""😀""" ("the key" int PRIMARY KEY, "__proto__" text, "line
break" text);
CREATE TABLE shop.child (id int PRIMARY KEY, order_id int REFERENCES shop.orders);
CREATE PUBLICATION golden FOR ALL TABLES WITH (publish = 'insert, update, delete, truncate');
SELECT pg_create_logical_replication_slot('golden', 'pgoutput');

-- Insert, with every kind of value; Type before its Relation.
BEGIN;
INSERT INTO shop.orders (customer, mood, price, tags) VALUES ('Ada', 'calm', 19.90, '{a,"b c",NULL}');
INSERT INTO shop.orders (customer, mood, price, tags) VALUES ('', NULL, NULL, '{}'), (E'tab\tline\nback\\slash', 'cross', -0.01, NULL);
COMMIT;

-- Update without an old row, of the key, and delete by key.
UPDATE shop.orders SET mood = 'cross' WHERE id = 1;
UPDATE shop.orders SET id = 100 WHERE id = 1;
DELETE FROM shop.orders WHERE id = 2;

-- A value in TOAST that the update does not touch.
INSERT INTO shop.documents VALUES (1, 'long', repeat('x', 2100));
UPDATE shop.documents SET title = 'longer' WHERE id = 1;
UPDATE shop.documents SET id = 2 WHERE id = 1;

-- Old rows whole, and by an index that is not the primary key.
INSERT INTO shop.whole VALUES (1, NULL);
UPDATE shop.whole SET b = 'now';
DELETE FROM shop.whole;
INSERT INTO shop.by_index VALUES (1, 'one', 'n');
UPDATE shop.by_index SET code = 'uno';
DELETE FROM shop.by_index;
INSERT INTO shop.log_only VALUES ('kept');

-- Names that nobody should choose.
INSERT INTO shop."Täble ""😀""" VALUES (1, 'constructor', '4-byte: 😀');

-- A shape that changes inside a transaction.
BEGIN;
INSERT INTO shop.whole VALUES (2, 'before');
ALTER TABLE shop.whole ADD c timestamptz DEFAULT '2026-01-01 00:00:00+00', DROP a;
INSERT INTO shop.whole VALUES ('after');
COMMIT;

-- Truncates with each option.
TRUNCATE shop.documents;
TRUNCATE shop.orders, shop.by_index RESTART IDENTITY CASCADE;

-- Logical messages, in and out of a transaction.
SELECT pg_logical_emit_message(true, 'with', 'in the transaction');
SELECT pg_logical_emit_message(false, 'without', '\x00ff'::bytea);

-- A transaction that came from elsewhere.
SELECT pg_replication_origin_create('another server');
SELECT pg_replication_origin_session_setup('another server');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/ABCDEF', '2026-01-02 03:04:05+00');
INSERT INTO shop.orders (customer) VALUES ('replicated');
COMMIT;
SELECT pg_replication_origin_session_reset();
