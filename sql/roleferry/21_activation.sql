--
-- The installation
--

-- The only database that may send is the one this row was written in: a copy
-- carries another identity or, being no part of a dump, no row at all.
CREATE TABLE roleferry.activation (
    one               boolean PRIMARY KEY DEFAULT true CONSTRAINT activation_one_check CHECK (one),
    system_identifier bigint NOT NULL,
    database_oid      oid NOT NULL,
    timeline          integer NOT NULL,
    installation      text NOT NULL,
    active            boolean NOT NULL DEFAULT true,
    activated_at      timestamptz NOT NULL DEFAULT now(),
    activated_by      text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE roleferry.activation IS 'proof that this database, and no copy of it, is meant to send; written by activate()';
COMMENT ON COLUMN roleferry.activation.timeline IS
'of the server when it was activated, or since it was promoted: a restore to a point in time is on another';
COMMENT ON COLUMN roleferry.activation.active IS 'false: deactivate() was called here';
COMMENT ON COLUMN roleferry.activation.installation IS
'64 random bits in hex: what tells this installation''s events from those of its copies';
