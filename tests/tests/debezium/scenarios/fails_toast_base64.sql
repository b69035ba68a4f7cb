-- about: an unchanged TOAST bytea as base64 text, in a NOT NULL column
-- set: binary.handling.mode=base64
-- fails: null used for required field
-- setup
CREATE TABLE t (id int PRIMARY KEY, small int, b bytea NOT NULL);
ALTER TABLE t ALTER b SET STORAGE EXTERNAL;
INSERT INTO t VALUES (1, 1, repeat('x', 3000)::bytea);
-- stream
UPDATE t SET small = 2;
INSERT INTO t VALUES (2, 2, '\x02');
