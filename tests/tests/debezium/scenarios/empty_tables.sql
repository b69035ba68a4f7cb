-- about: tables without rows at the end of the snapshot: the held back record is the last one
-- setup
CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE b (id int PRIMARY KEY);
INSERT INTO a VALUES (1), (2);
-- stream
INSERT INTO b VALUES (1);
