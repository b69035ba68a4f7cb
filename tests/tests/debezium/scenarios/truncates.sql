-- about: TRUNCATE makes a record when it is not skipped
-- set: skipped.operations=none
-- setup
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
INSERT INTO a VALUES (1, 'x');
-- stream
INSERT INTO a VALUES (2, 'y');
INSERT INTO b VALUES (1, 2);
TRUNCATE b;
TRUNCATE a, b;
TRUNCATE a CASCADE;
TRUNCATE a RESTART IDENTITY CASCADE;
INSERT INTO a VALUES (1, 'again');
