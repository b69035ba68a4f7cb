-- about: filters by schema and table, regular expressions in any case that match the whole name
-- set: schema.include.list=SCHEMA_filter,other.*,differential
-- set: table.exclude.list=schema_filter\.not_.*,other_schema\.excluded,other_schema\.with\\,comma
-- topics: other_schema.included
-- topics: other_schema.exclude
-- setup
CREATE SCHEMA other_schema;
CREATE SCHEMA another;
CREATE TABLE t (id int PRIMARY KEY);
CREATE TABLE not_this (id int PRIMARY KEY);
CREATE TABLE "NOT_That" (id int PRIMARY KEY);
CREATE TABLE other_schema.included (id int PRIMARY KEY);
CREATE TABLE other_schema.excluded (id int PRIMARY KEY);
CREATE TABLE other_schema.exclude (id int PRIMARY KEY);
CREATE TABLE another.t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
INSERT INTO not_this VALUES (1);
INSERT INTO other_schema.included VALUES (1);
INSERT INTO another.t VALUES (1);
-- stream
INSERT INTO t VALUES (2);
INSERT INTO not_this VALUES (2);
INSERT INTO "NOT_That" VALUES (2);
INSERT INTO other_schema.included VALUES (2);
INSERT INTO other_schema.excluded VALUES (2);
INSERT INTO other_schema.exclude VALUES (2);
INSERT INTO another.t VALUES (2);
