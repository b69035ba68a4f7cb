-- about: enum types, domains over everything that may lie below, enum arrays
-- setup
CREATE TYPE mood AS ENUM ('sad', 'o''k, really', 'happy 😀');
CREATE DOMAIN price AS numeric(6,2) CHECK (VALUE >= 0);
CREATE DOMAIN net_price AS price;
CREATE DOMAIN code AS varchar(5) NOT NULL DEFAULT 'none';
CREATE DOMAIN below_code AS code;
CREATE DOMAIN small AS int2;
CREATE DOMAIN day AS date;
CREATE DOMAIN tags AS text[];
CREATE TABLE t (id int PRIMARY KEY, m mood, ms mood[], p price, np net_price, c code, s small, d day, tg tags, bc below_code, m2 mood NOT NULL DEFAULT 'sad');
INSERT INTO t VALUES (1, 'sad', '{sad,"happy 😀"}', 1.5, 2.25, 'abc', 5, '2020-01-01', '{a,NULL}', 'y'), (2, 'o''k, really', '{}', NULL, NULL, 'x', NULL, NULL, NULL, 'z');
-- stream
INSERT INTO t SELECT id + 20, m, ms, p, np, c, s, d, tg, bc FROM t;
UPDATE t SET m2 = 'happy 😀' WHERE id = 21;
DELETE FROM t WHERE id = 21;
