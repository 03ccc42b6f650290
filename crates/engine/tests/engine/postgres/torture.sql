-- Everything that a dump can get wrong. Loaded into an empty database by a superuser.
DO $$ BEGIN
  CREATE ROLE app_owner; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN
  CREATE ROLE "Weird ""Role"; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN
  CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;

CREATE EXTENSION hstore;
CREATE EXTENSION pg_trgm;
CREATE SCHEMA app AUTHORIZATION app_owner;
CREATE SCHEMA "Sch""ema ü.;-- ";
COMMENT ON SCHEMA app IS 'it''s; "quoted" \ and
two lines';

CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'it''s; "fine"', 'ü');
CREATE DOMAIN app.positive AS integer CHECK (VALUE > 0) NOT NULL;
CREATE DOMAIN app.email AS text CHECK (VALUE ~ '^[^@]+@[^@]+$');
CREATE TYPE app.pair AS (a integer, b text, c app.mood);
CREATE TYPE app.floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);

CREATE TABLE app.every_type (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 7) PRIMARY KEY,
  c_bool boolean, c_int2 smallint, c_int4 integer, c_int8 bigint,
  c_numeric numeric, c_numeric_scaled numeric(20, 5), c_float4 real, c_float8 double precision, c_money money,
  c_char char(5), c_varchar varchar(40), c_text text, c_name name, c_internal_char "char", c_bytea bytea,
  c_date date, c_time time, c_timetz timetz, c_timestamp timestamp, c_timestamptz timestamptz, c_interval interval,
  c_interval_day interval day to second(3),
  c_json json, c_jsonb jsonb, c_jsonpath jsonpath, c_xml xml, c_uuid uuid,
  c_bit bit(5), c_varbit bit varying(20),
  c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8,
  c_point point, c_line line, c_lseg lseg, c_box box, c_path path, c_polygon polygon, c_circle circle,
  c_tsvector tsvector, c_tsquery tsquery, c_hstore hstore,
  c_int_array integer[], c_text_array text[][], c_mood app.mood, c_mood_array app.mood[],
  c_positive app.positive DEFAULT 1, c_email app.email, c_pair app.pair, c_pair_array app.pair[],
  c_int4range int4range, c_int8range int8range, c_numrange numrange, c_tsrange tsrange, c_tstzrange tstzrange, c_daterange daterange,
  c_floatrange app.floatrange, c_int4multirange int4multirange, c_datemultirange datemultirange, c_nummultirange nummultirange,
  c_oid oid, c_regclass regclass, c_regtype regtype, c_pg_lsn pg_lsn, c_xid8 xid8, c_txid_snapshot pg_snapshot,
  c_generated text GENERATED ALWAYS AS (upper(coalesce(c_text, 'none'))) STORED
);
INSERT INTO app.every_type (c_bool, c_int2, c_int4, c_int8, c_numeric, c_numeric_scaled, c_float4, c_float8, c_money, c_char, c_varchar, c_text,
  c_name, c_internal_char, c_bytea, c_date, c_time, c_timetz, c_timestamp, c_timestamptz, c_interval, c_interval_day, c_json, c_jsonb, c_jsonpath,
  c_xml, c_uuid, c_bit, c_varbit, c_inet, c_cidr, c_macaddr, c_macaddr8, c_point, c_line, c_lseg, c_box, c_path, c_polygon, c_circle, c_tsvector,
  c_tsquery, c_hstore, c_int_array, c_text_array, c_mood, c_mood_array, c_positive, c_email, c_pair, c_pair_array, c_int4range, c_int8range,
  c_numrange, c_tsrange, c_tstzrange, c_daterange, c_floatrange, c_int4multirange, c_datemultirange, c_nummultirange, c_oid, c_regclass,
  c_regtype, c_pg_lsn, c_xid8, c_txid_snapshot) VALUES
 (true, -32768, -2147483648, -9223372036854775808, 'NaN', -123456789012345.12345, '-Infinity', 'NaN', '-$92,233,720,368,547,758.08', 'a', 'ü',
  E'tab\t line\n return\r back\\slash \b\f\v quote" it''s \\N \\.', 'n', 'x', '\x00ff0a0d5c5c27', '4713-01-01 BC', '00:00:00', '24:00:00-15:59',
  '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999+00', '-178000000 years', '-3 days 04:05:06.789', '{"b": 1,  "a": [1.10, null], "b": 2}',
  '{"b": 1, "a": [1.10, 1e400, null]}', '$.a[*] ? (@ > 1)', '<a b="c">ü<!-- x --></a>', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', B'10101', B'',
  '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1.5,-0)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)',
  '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0.1,0.2),0.30000000000000004>', 'a:1A fat:2B,4C cat:5', 'fat & (rat | cat:A)',
  'a=>1, "b c"=>NULL, "d\""=>"e,=>"', '{1,NULL,3}', '{{"a","b,c"},{"NULL",NULL},{"","\\"}}', 'it''s; "fine"', '{sad,ü,NULL}', 1, 'a@b',
  '(1,"x,y ""z"" ()",ok)', ARRAY['(1,,sad)'::app.pair, NULL], '[1,10)', 'empty', '[1.10,2.200]', '["2020-01-01 00:00:00","infinity")',
  '(-infinity,"2020-01-01 00:00:00+02"]', '[2020-01-01,)', '[0.1,0.2)', '{[1,3),[5,7)}', '{}', '{[1.0,2.00)}', 4294967295, 'app.every_type', 'app.mood[]',
  '16/B374D848', '18446744073709551615', '10:20:10,14,15'),
 (false, 32767, 2147483647, 9223372036854775807, 'Infinity', 0.00000, '1e-45', '5e-324', '0.01', '', '', '', '', '', '', 'infinity', '24:00:00',
  '12:00:00+05:30', 'infinity', '-infinity', '178000000 years 11 mons 2147483647 days 23:59:59.999999', '0', '[]', '"text"', 'strict $',
  'just content <b/>', '00000000-0000-0000-0000-000000000000', B'00000', B'11111111111111111111', '::1', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff',
  'ff:ff:ff:ff:ff:ff:ff:ff', '(NaN,Infinity)', '{0,-1,0}', '[(1e308,0),(0,1e-308)]', '(3,4),(1,2)', '((0,0))', '((1,1))', '<(0,0),0>', '', '', '',
  '{}', '{}', 'sad', '{}', 2147483647, NULL, '(,,)', '{}', '(,)', '[9223372036854775806,9223372036854775807)', '(,5]', 'empty', '(,)', 'empty', 'empty',
  '{(,)}', '{[2020-01-01,2020-02-01)}', '{}', 0, NULL, 'integer', '0/0', '0', '1:1:'),
 (NULL, NULL, NULL, NULL, '-Infinity', NULL, '-0', '-0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '5874897-12-31', NULL, NULL, NULL, '1970-01-01 00:00:00.000001+00', NULL,
  NULL, 'null', 'null', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, 5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO app.every_type (c_numeric, c_float8, c_text) VALUES
 (1e-1000::numeric, 1.7976931348623157e308, repeat('long ü ', 60000)), (('1' || repeat('0', 5000) || '.10')::numeric, 2.2250738585072014e-308, E'\\N');

-- Names.
CREATE TABLE "Sch""ema ü.;-- "."Ta'ble "" / .. % 
two" ("Col ""umn" integer PRIMARY KEY, "select" text DEFAULT 'x; -- no comment', "ünï" integer, "$1" text);
INSERT INTO "Sch""ema ü.;-- "."Ta'ble "" / .. % 
two" VALUES (1, 'a', 2, '$$'), (2, NULL, NULL, NULL);
CREATE INDEX "in dex ON x" ON "Sch""ema ü.;-- "."Ta'ble "" / .. % 
two" ("ünï") WHERE "select" <> 'x;';
COMMENT ON TABLE "Sch""ema ü.;-- "."Ta'ble "" / .. % 
two" IS E'comment; with $$ and \\ and \nlines\n\\restrict x\n';

-- Shapes.
CREATE TABLE public.no_key (a integer, b text);
INSERT INTO public.no_key VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
CREATE TABLE public.empty_table (a integer);
CREATE TABLE public.no_columns ();
INSERT INTO public.no_columns DEFAULT VALUES;
INSERT INTO public.no_columns DEFAULT VALUES;
CREATE TABLE public.only_generated (a integer GENERATED ALWAYS AS (1 + 1) STORED);
INSERT INTO public.only_generated DEFAULT VALUES;
CREATE UNLOGGED TABLE public.unlogged (a integer);
INSERT INTO public.unlogged VALUES (7);
CREATE TABLE public.dropped_column (a integer, gone text, b integer);
INSERT INTO public.dropped_column VALUES (1, 'x', 2);
ALTER TABLE public.dropped_column DROP COLUMN gone;
ALTER TABLE public.dropped_column ADD COLUMN c integer DEFAULT 5;
CREATE TABLE public.parent (id integer, x text);
CREATE TABLE public.child (y integer) INHERITS (public.parent);
INSERT INTO public.parent VALUES (1, 'p');
INSERT INTO public.child VALUES (2, 'c', 3);
CREATE TABLE public.events (id bigint, at timestamptz NOT NULL, kind text, PRIMARY KEY (id, at, kind)) PARTITION BY RANGE (at);
CREATE TABLE public.events_2025 PARTITION OF public.events FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2026-01-01 00:00+00');
CREATE TABLE public.events_2026 PARTITION OF public.events FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2027-01-01 00:00+00') PARTITION BY LIST (kind);
CREATE TABLE public.events_2026_a PARTITION OF public.events_2026 FOR VALUES IN ('a');
CREATE TABLE public.events_rest PARTITION OF public.events DEFAULT;
CREATE INDEX ON public.events (kind);
INSERT INTO public.events SELECT n, '2025-03-01'::timestamptz + n * interval '1 hour', 'k' FROM generate_series(1, 500) n;
INSERT INTO public.events VALUES (9001, '2026-05-05', 'a'), (9002, '1999-01-01', 'old');
CREATE TABLE public.circle_a (id integer PRIMARY KEY, b integer);
CREATE TABLE public.circle_b (id integer PRIMARY KEY, a integer REFERENCES public.circle_a);
ALTER TABLE public.circle_a ADD FOREIGN KEY (b) REFERENCES public.circle_b DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO public.circle_a VALUES (1, 1);
INSERT INTO public.circle_b VALUES (1, 1);
COMMIT;
CREATE TABLE public.rewritten (kind varchar(10) CHECK (kind IN ('a', 'b', 'c')), n numeric(8, 2) DEFAULT 1.50,
  during tstzrange, EXCLUDE USING gist (during WITH &&), UNIQUE NULLS NOT DISTINCT (kind, n));
INSERT INTO public.rewritten VALUES ('a', 2.5, '[2020-01-01,2020-01-02)');
ALTER TABLE public.rewritten ADD CONSTRAINT later CHECK (n > 0) NOT VALID;

-- Sequences.
CREATE SEQUENCE public.counter START 5 INCREMENT -3 MINVALUE -100 MAXVALUE 100 CYCLE;
SELECT nextval('public.counter'), nextval('public.counter');
CREATE SEQUENCE public.untouched START 42;
CREATE TABLE public.with_serial (id serial PRIMARY KEY, t text);
INSERT INTO public.with_serial (t) VALUES ('a'), ('b'), ('c');

-- Code.
CREATE FUNCTION app.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $_$ SELECT $1 * 2; -- ;
$_$;
CREATE FUNCTION app.atomic(n integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN n > 1 THEN app.twice(n) ELSE 0 END; END;
CREATE PROCEDURE app.proc(INOUT x integer) LANGUAGE plpgsql AS $$ BEGIN x := x + 1; COMMIT; END $$;
CREATE AGGREGATE app.total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.t := NEW.t || '!'; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT ON public.with_serial FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE public.with_serial DISABLE TRIGGER touch;
CREATE VIEW public.a_view AS SELECT id, app.atomic(id) AS x FROM public.with_serial WHERE t IN ('a', 'b');
CREATE VIEW public.grouped AS SELECT c.id, c.b FROM public.circle_a c GROUP BY c.id;
CREATE MATERIALIZED VIEW public.mat_base AS SELECT count(*) AS n FROM public.events;
CREATE MATERIALIZED VIEW public.mat_on_mat AS SELECT n * 2 AS n FROM public.mat_base;
CREATE MATERIALIZED VIEW public.mat_empty AS SELECT 1 AS one WITH NO DATA;
CREATE UNIQUE INDEX ON public.mat_base (n);
CREATE RULE keep AS ON DELETE TO public.no_key DO ALSO (INSERT INTO public.empty_table VALUES (1); NOTIFY x);
CREATE INDEX trgm ON app.every_type USING gin (c_text gin_trgm_ops) WHERE length(c_text) < 100;
CREATE INDEX expression ON public.parent ((lower(x) || ';'), id DESC NULLS LAST) INCLUDE (x);
CREATE STATISTICS public.stats (dependencies, ndistinct) ON id, at FROM public.events;
CREATE OPERATOR app.=== (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq);
CREATE COLLATION app.posix FROM "C";
CREATE TEXT SEARCH CONFIGURATION app.plain (COPY = simple);
CREATE CAST (text AS app.mood) WITH INOUT AS ASSIGNMENT;
CREATE FUNCTION app.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION app.watch();
CREATE PUBLICATION some_tables FOR TABLE public.no_key WHERE (a > 0), public.with_serial (id);

-- Who may do what.
ALTER TABLE public.no_key OWNER TO app_owner;
REVOKE INSERT ON public.no_key FROM app_owner;
GRANT SELECT (a), UPDATE (b) ON public.no_key TO "Weird ""Role";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader WITH GRANT OPTION;
GRANT USAGE ON SCHEMA app TO reader;
GRANT EXECUTE ON FUNCTION app.twice(integer) TO reader;
REVOKE ALL ON FUNCTION app.atomic(integer) FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE TABLE public.secret (id integer, owner name);
INSERT INTO public.secret VALUES (1, 'reader'), (2, 'postgres');
ALTER TABLE public.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.secret TO reader USING (owner = current_user) WITH CHECK (id > 0);

-- Large objects.
SELECT lo_from_bytea(70001, decode(repeat('00ff5c0a', 200000), 'hex'));
SELECT lo_from_bytea(70002, '');
ALTER LARGE OBJECT 70001 OWNER TO app_owner;
GRANT SELECT ON LARGE OBJECT 70001 TO reader;
COMMENT ON LARGE OBJECT 70002 IS 'it''s empty';

-- The database itself.
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET work_mem = ''9MB''', current_database());
  EXECUTE format('ALTER DATABASE %I SET search_path = "$user", app, "Sch""ema ü.;-- "', current_database());
  EXECUTE format('ALTER ROLE reader IN DATABASE %I SET my.setting = ''it''''s''', current_database());
  EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO reader WITH GRANT OPTION', current_database());
  EXECUTE format('COMMENT ON DATABASE %I IS ''the torture''', current_database());
END $$;
