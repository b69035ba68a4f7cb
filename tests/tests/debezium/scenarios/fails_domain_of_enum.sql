-- about: a domain over an enum, which no captured table uses
-- fails: NullPointerException in its type registry
-- setup
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN my_mood AS mood;
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'x');
-- stream
INSERT INTO t VALUES (2, 'y');
