-- Roles for a store on PostgreSQL. Run as the owner of the database, after the store has started once:
--   psql -v control=egret_store -v data=egret_proxy -f config/postgresql.sql "$DATABASE_URL"
-- The control plane reads and writes all; the data plane reads what it verifies, and nothing else.
\set ON_ERROR_STOP on
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"control";
GRANT SELECT ON head, nodes, documents TO :"data";
GRANT SELECT (entry, number, body, signature) ON versions TO :"data";
