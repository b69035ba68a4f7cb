-- about: PostGIS: shapes with an SRID and without, in two and four dimensions, arrays, NULLs, out of line, what a delete has, and what is no geometry
-- group: installed
-- setup
CREATE EXTENSION IF NOT EXISTS postgis SCHEMA public;
CREATE TABLE t (id int PRIMARY KEY, g geometry, p geometry(Point, 4326), zm geometry(PointZM), gg geography, gp geography(Point, 4326), gs geometry[], ps geometry(Point, 3857)[],
  ggs geography[], d geometry DEFAULT 'POINT(1 2)', b2 box2d, b3 box3d);
CREATE TABLE required (id int PRIMARY KEY, g geometry NOT NULL, p geometry(Point, 4326) NOT NULL, gg geography NOT NULL, gs geometry[] NOT NULL, ggs geography[] NOT NULL);
CREATE TABLE whole (id int PRIMARY KEY, g geometry NOT NULL, gg geography);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE long (id int PRIMARY KEY, small int, g geometry, gg geography, gs geometry[]);
ALTER TABLE long ALTER g SET STORAGE EXTERNAL, ALTER gg SET STORAGE EXTERNAL, ALTER gs SET STORAGE EXTERNAL;
CREATE DOMAIN place AS geometry(Point, 4326);
CREATE TABLE of_domain (id int PRIMARY KEY, at place, shape geometry(Geometry, 0));
INSERT INTO t VALUES (1, 'POINT(1 2)', 'SRID=4326;POINT(-71.06 42.28)', 'POINT(1 2 3 4)', 'POINT(1 2)', 'POINT(-110 30)', ARRAY['POINT(1 2)'::geometry, NULL, 'SRID=4326;POINT(3 4)'], ARRAY['SRID=3857;POINT(1 2)'::geometry],
  ARRAY['POINT(1 2)'::geography, NULL, 'LINESTRING(0 0, 1 1)'], NULL, 'BOX(1 2,3 4)', 'BOX3D(1 2 3,4 5 6)');
INSERT INTO t (id) VALUES (2);
INSERT INTO t (id, g) VALUES (3, 'SRID=4326;LINESTRING(0 0, 1 1.5, 2 0)'), (4, 'POLYGON((0 0,1 0,1 1,0 0))'), (5, 'GEOMETRYCOLLECTION EMPTY'), (6, 'POINT EMPTY'),
  (7, 'SRID=3857;MULTIPOINT((1 2),(3 4))'), (8, 'CIRCULARSTRING(0 0, 1 1, 2 0)'), (9, 'POINT Z (1 2 3)'), (10, 'SRID=900913;POINT(0 0)');
INSERT INTO t (id, gg, gs, ggs) VALUES (12, 'SRID=4267;POINT(1 2)', '{}', '{}'), (13, 'LINESTRING(0 0, 1 1)', '{NULL}', ARRAY['SRID=4267;POINT(1 2)'::geography]);
INSERT INTO required VALUES (1, 'POINT(1 2)', 'SRID=4326;POINT(1 2)', 'POINT(1 2)', ARRAY['POINT(1 2)'::geometry], '{}');
INSERT INTO whole VALUES (1, 'POINT(1 2)', 'POINT(1 2)');
INSERT INTO long SELECT 1, 1, ST_MakeLine(ARRAY(SELECT ST_MakePoint(n, n) FROM generate_series(1, 1000) n)),
  ST_SetSRID(ST_MakeLine(ARRAY(SELECT ST_MakePoint(n / 100.0, 1) FROM generate_series(1, 1000) n)), 4326)::geography, ARRAY(SELECT ST_MakePoint(n, n) FROM generate_series(1, 1000) n);
INSERT INTO of_domain VALUES (1, 'SRID=4326;POINT(1 2)', 'POINT(1 2)'), (2, NULL, NULL);
-- stream
INSERT INTO t SELECT id + 20, g, p, zm, gg, gp, gs, ps, ggs, d, b2, b3 FROM t;
INSERT INTO t (id, g) SELECT 50, ST_AsEWKT(ST_MakePoint(0.1, 1e-7));
UPDATE t SET g = 'SRID=4326;POINT(3 4)' WHERE id = 1;
DELETE FROM t WHERE id = 1;
UPDATE required SET id = 2;
DELETE FROM required;
UPDATE whole SET g = 'SRID=4326;POINT(3 4)', gg = NULL;
DELETE FROM whole;
UPDATE long SET small = 2;
DELETE FROM long;
INSERT INTO of_domain VALUES (3, 'SRID=4326;POINT(3 4)', 'POINT(3 4)');
DELETE FROM of_domain;
