-- about: an unchanged TOAST value that has no placeholder, in a NOT NULL column
-- fails: null used for required field
-- setup
CREATE TABLE t (id int PRIMARY KEY, small int, n numeric NOT NULL);
ALTER TABLE t ALTER n SET STORAGE EXTERNAL;
INSERT INTO t VALUES (1, 1, repeat('7', 8000)::numeric);
-- stream
UPDATE t SET small = 2;
INSERT INTO t VALUES (2, 2, 2);
