-- about: a NULL in an enum array that is NOT NULL
-- fails: null used for required field
-- setup
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE t (id int PRIMARY KEY, m mood[] NOT NULL);
INSERT INTO t VALUES (1, '{sad}');
-- stream
INSERT INTO t VALUES (2, '{sad,NULL}');
INSERT INTO t VALUES (3, '{ok}');
