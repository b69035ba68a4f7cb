-- about: transactions of published tables that are not captured are the last commit of those that follow
-- set: publication.autocreate.mode=all_tables
-- tables: other_tables\.t
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE other (id int PRIMARY KEY);
-- stream
INSERT INTO t VALUES (1, 'x');
INSERT INTO other VALUES (1);
INSERT INTO t VALUES (2, 'y');
TRUNCATE other;
INSERT INTO t VALUES (3, 'z');
TRUNCATE t;
INSERT INTO t VALUES (4, 'z');
