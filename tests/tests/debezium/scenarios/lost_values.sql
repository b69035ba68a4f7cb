-- about: values that Debezium loses: name in the stream, bit arrays, NULL in enum arrays, arrays of arrays, numeric of negative scale
-- postgres: 15 16 17 18
-- setup
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE t (id int PRIMARY KEY, a_name name, bits bit(3)[], moods mood[], texts text[], ints int[], n numeric(3,-2));
INSERT INTO t VALUES (1, 'pg_class', '{101,NULL}', '{sad,NULL}', '{{a,b},{c,d}}', '{{1,2},{3,4}}', 12300);
INSERT INTO t (id) VALUES (2);
-- stream
INSERT INTO t SELECT id + 20, a_name, bits, moods, texts, ints, n FROM t;
