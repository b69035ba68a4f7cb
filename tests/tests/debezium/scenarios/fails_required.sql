-- about: a NOT NULL numeric that is NaN
-- fails: null used for required field
-- setup
CREATE TABLE t (id int PRIMARY KEY, n numeric(5,2) NOT NULL);
INSERT INTO t VALUES (1, 1.5);
-- stream
INSERT INTO t VALUES (2, 'NaN');
INSERT INTO t VALUES (3, 2.5);
