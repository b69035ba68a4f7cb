-- about: bytea, bit strings and points, scalar and array
-- setup
CREATE TABLE t (id int PRIMARY KEY, b bytea, bit1 bit(1), bit2 bit(2), bit7 bit(7), bit64 bit(64), vb1 varbit(1), vb varbit, vb9 varbit(9), p point, bs bytea[]);
CREATE TABLE required (id int PRIMARY KEY, b bytea NOT NULL, bit1 bit(1) NOT NULL, bit7 bit(7) NOT NULL, vb varbit NOT NULL, p point NOT NULL, bs bytea[] NOT NULL);
INSERT INTO t VALUES (1, '\x01ff00', B'1', B'01', B'1000000', B'1000000000000000000000000000000000000000000000000000000000000001', B'0', B'101', B'100000001', '(1,2.5)', '{"\\x01ff",NULL,"\\x"}');
INSERT INTO t VALUES (2, '\x', B'0', B'00', B'0000001', (0::bit(64)), B'', B'', B'', '(-0,1e300)', '{}');
INSERT INTO t (id, p) VALUES (3, '(Infinity,NaN)'), (4, NULL);
INSERT INTO required VALUES (1, '\x00', B'0', B'0000000', B'', '(0,0)', '{}');
-- stream
INSERT INTO t SELECT id + 20, b, bit1, bit2, bit7, bit64, vb1, vb, vb9, p, bs FROM t;
UPDATE required SET id = 2;
DELETE FROM required;
DELETE FROM t WHERE id = 1;
