-- about: the isn extension: isbn is text, the others are left out
-- group: installed
-- setup
CREATE EXTENSION IF NOT EXISTS isn SCHEMA public;
CREATE TABLE t (id int PRIMARY KEY, a isbn, b ean13, c issn);
INSERT INTO t VALUES (1, '0-393-04002-X', '978-0-393-04002-9', '1436-4522');
INSERT INTO t (id) VALUES (2);
-- stream
INSERT INTO t SELECT id + 20, a, b, c FROM t;
