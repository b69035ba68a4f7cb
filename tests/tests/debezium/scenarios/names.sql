-- about: names of schemas, tables and columns that no topic takes as they are
-- tables: Ünïcode Schema\..*
-- topics: _n_code_Schema.T_ble___
-- topics: _n_code_Schema.with_quote
-- topics: _n_code_Schema.a_b
-- setup
CREATE SCHEMA "Ünïcode Schema";
CREATE TABLE "Ünïcode Schema"."Täble 😀" ("ID Ä" int PRIMARY KEY, "a ""quoted"" name" text, "back\slash" text, "😀" int, "UPPER" int, "with.dot" int, "select" int);
CREATE TABLE "Ünïcode Schema"."with""quote" ("i""d" int PRIMARY KEY, v text);
CREATE TABLE "Ünïcode Schema"."a b" (id int PRIMARY KEY, v text);
CREATE TABLE "Ünïcode Schema"."a-b" (id int PRIMARY KEY, v text);
INSERT INTO "Ünïcode Schema"."Täble 😀" VALUES (1, 'a', 'b', 1, 2, 3, 4);
INSERT INTO "Ünïcode Schema"."with""quote" VALUES (1, 'a');
INSERT INTO "Ünïcode Schema"."a b" VALUES (1, 'space');
-- stream
INSERT INTO "Ünïcode Schema"."Täble 😀" VALUES (2, 'a', 'b', 1, 2, 3, 4);
UPDATE "Ünïcode Schema"."Täble 😀" SET "ID Ä" = 3 WHERE "ID Ä" = 1;
DELETE FROM "Ünïcode Schema"."Täble 😀";
INSERT INTO "Ünïcode Schema"."with""quote" VALUES (2, 'b');
UPDATE "Ünïcode Schema"."with""quote" SET "i""d" = 3 WHERE "i""d" = 2;
INSERT INTO "Ünïcode Schema"."a b" VALUES (2, 'space');
INSERT INTO "Ünïcode Schema"."a-b" VALUES (2, 'hyphen');
