-- The exact rights of Matrix Hub's admin in Postgres. Run once per database, by a superuser:
--
--     psql -d <database> -v admin=<role> -f postgres.sql
--
-- The role keeps its password; a role that does not exist yet is created without one (set it with \password).
-- For each further schema in the RealtimeCluster's `schemas`:  ALTER SCHEMA <schema> OWNER TO <admin>;
-- For tables that belong to another role:                      GRANT <that role> TO <admin>;
\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I', :'admin') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'admin') \gexec

-- CREATEROLE makes, alters and drops the tenants' roles. Nothing else: no superuser, and row security binds it too.
ALTER ROLE :"admin" LOGIN INHERIT CREATEROLE NOSUPERUSER NOBYPASSRLS NOCREATEDB NOREPLICATION;

-- CREATE is for the schema `matrixhub` and for the gateways' own; CONNECT, to be handed on, is for the tenants' group
-- and for the gateways' role.
GRANT CREATE ON DATABASE :"DBNAME" TO :"admin";
GRANT CONNECT ON DATABASE :"DBNAME" TO :"admin" WITH GRANT OPTION;

-- Only who owns a schema may keep tenants from creating objects in it, and may add partitions to its tables.
ALTER SCHEMA public OWNER TO :"admin";
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
