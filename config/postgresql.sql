-- Roles and grants for a store on PostgreSQL. Run as the owner of the tables (or a superuser), after `egret init`, and
-- again after each upgrade; running it twice changes nothing:
--   psql -v control=egret_store -v data=egret_proxy [-v schema=public] -f config/postgresql.sql "$DATABASE_URL"
--
-- control   the stores: reads and writes all rows. It needs no grant here when it owns the tables.
-- data      the proxies: reads what it verifies, and adds lines of use to `spooled`, which it cannot read. Nothing else.
--
-- Roles that do not exist are made without a password: give them one (\password egret_proxy), or certificates.
\set ON_ERROR_STOP on
\if :{?schema}
\else
\set schema public
\endif
SELECT format('CREATE ROLE %I LOGIN NOINHERIT', role) FROM unnest(ARRAY[:'control', :'data']) AS role
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
BEGIN;
SET LOCAL search_path = :"schema";
REVOKE CREATE ON SCHEMA :"schema" FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA :"schema" FROM PUBLIC;
GRANT USAGE ON SCHEMA :"schema" TO :"control", :"data";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO :"control";
GRANT SELECT ON head, nodes, documents, history TO :"data";
GRANT SELECT (entry, number, body, signature) ON versions TO :"data";
GRANT INSERT ON spooled TO :"data";
COMMIT;
