//! The types, and how PostgreSQL reads a literal of each.

use webui_init::value::Kind;

/// Kinds, their types, a default, and the bytes that PostgreSQL makes of a literal `l` (PL/pgSQL; an error
/// stands for NULL). Numbers in a date are epochs, and plain text is checked here, not there.
pub const KINDS: [(Kind, &str, &str, &str); 16] = [
    (
        Kind::Bool,
        "bool",
        "true",
        "RETURN boolsend(CASE WHEN pg_temp.is_number(l) AND trim(l) !~ '^[01]$' THEN pg_temp.number(l) <> 0 ELSE l::bool END);",
    ),
    (
        Kind::Int2,
        "int2",
        "7",
        "IF pg_temp.is_number(l) THEN RETURN int2send(pg_temp.number(l)::int2); END IF;",
    ),
    (
        Kind::Int4,
        "int4",
        "7",
        "IF pg_temp.is_number(l) THEN RETURN int4send(pg_temp.number(l)::int4); END IF;",
    ),
    (
        Kind::Int8,
        "int8",
        "7",
        "IF pg_temp.is_number(l) THEN RETURN int8send(pg_temp.number(l)::int8); END IF;",
    ),
    (
        Kind::Float4,
        "float4",
        "7",
        "IF l !~* '0x' THEN RETURN float4send(l::float4); END IF;",
    ),
    (
        Kind::Float8,
        "float8",
        "7",
        "IF l !~* '0x' THEN RETURN float8send(l::float8); END IF;",
    ),
    (Kind::Text, "text", "none", "RETURN textsend(l);"),
    (
        Kind::Varchar(5),
        "varchar(5)",
        "none",
        "RETURN varcharsend(l::varchar(5));",
    ),
    (
        Kind::Varchar(50),
        "varchar(50)",
        "none",
        "RETURN varcharsend(l::varchar(50));",
    ),
    (Kind::Json, "json", "{}", "RETURN json_send(l::json);"),
    (Kind::Jsonb, "jsonb", "{}", "RETURN jsonb_send(l::jsonb);"),
    (
        Kind::Date,
        "date",
        "2024-02-29",
        "RETURN date_send(CASE WHEN pg_temp.is_number(l) THEN pg_temp.epoch(l)::date ELSE l::date END);",
    ),
    (
        Kind::Timestamp,
        "timestamp",
        "2024-02-29 1:23",
        "RETURN timestamp_send(CASE WHEN pg_temp.is_number(l) THEN pg_temp.epoch(l) ELSE l::timestamp END);",
    ),
    (
        Kind::TimestampTz,
        "timestamptz",
        "2024-02-29 1:23",
        "RETURN timestamptz_send(CASE WHEN pg_temp.is_number(l) THEN pg_temp.epoch(l)::timestamptz ELSE l::timestamptz END);",
    ),
    (
        Kind::Uuid,
        "uuid",
        "00112233-4455-6677-8899-aabbccddeeff",
        "RETURN uuid_send(trim(l, E' \\t\\n\\r\\x0b\\f')::uuid);",
    ),
    (
        Kind::Bytea,
        "bytea",
        "none",
        "RETURN convert_to(l, 'UTF8');",
    ),
];

/// What the expressions above share. C's hexadecimal floats are not for this program. `numeric` takes blanks within the exponent before version 16; a number
/// here has none, and has no bounds: zero is zero whatever its exponent. `pg_temp.readable` is whether PostgreSQL's JSON functions can take
/// the value apart; numbers beyond `numeric` are no matter of text.
pub const FUNCTIONS: &str = r"
SET TimeZone = 'UTC';
CREATE FUNCTION pg_temp.is_number(l text) RETURNS bool LANGUAGE sql AS $$
    SELECT l ~ '^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$' $$;
CREATE FUNCTION pg_temp.number(l text) RETURNS numeric LANGUAGE sql AS $$
    SELECT CASE WHEN l ~ '^\s*[-+]?[0.]+([eE]|\s*$)|[eE]-[0-9]{4}' THEN 0 ELSE l::numeric END $$;
CREATE FUNCTION pg_temp.epoch(l text) RETURNS timestamp LANGUAGE plpgsql AS $$
DECLARE number numeric := pg_temp.number(l); micros numeric;
BEGIN
    IF number = trunc(number) AND trunc(number)::text ~ '^(19|20)[0-9]{6}$' THEN
        BEGIN
            RETURN trunc(number)::text::date;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END IF;
    micros := CASE WHEN abs(round(number)) < 1e11 THEN number * 1e6 WHEN abs(round(number)) < 1e14 THEN number * 1e3
        WHEN abs(round(number)) < 1e17 THEN number ELSE number / 1e3 END;
    RETURN timestamp 'epoch' + div(round(micros), 86400000000)::int * interval '1 day'
        + mod(round(micros), 86400000000)::float8 * interval '1 microsecond';
END $$;
CREATE FUNCTION pg_temp.readable(j json) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    PERFORM j::jsonb;
    RETURN true;
EXCEPTION WHEN numeric_value_out_of_range THEN RETURN true; WHEN OTHERS THEN RETURN false;
END $$;
CREATE FUNCTION pg_temp.is_iso(l text) RETURNS bool LANGUAGE sql AS $$
    SELECT l ~ '^\s*\d{4,}-\d\d?-\d\d?([T ]\d\d?:\d\d(:\d\d(\.\d+)?)?( ?(Z|[-+]\d\d(:?\d\d)?))?)?\s*$' $$;
";
