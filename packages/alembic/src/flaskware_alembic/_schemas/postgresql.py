"""The schema of PostgreSQL, in its own words."""

# The queries are made of constants of this module.
# ruff: noqa: S608

from __future__ import annotations

import collections.abc as cabc
import contextlib
import graphlib
import typing as t

import sqlalchemy as sa

from .schema import Item
from .schema import Schema

# An extension's objects, and those of an identity column, are theirs.
_OURS = """NOT EXISTS (
  SELECT FROM pg_depend x WHERE x.classid = '{table}'::regclass AND x.objid = {id}
  AND x.deptype IN ('e', 'i') AND {more})"""
_OWN = {
    name: _OURS.format(table=name, id="o.oid", more="x.refobjid <> x.objid")
    for name in ("pg_class", "pg_proc")
}
_OWN["pg_type"] = _OURS.format(table="pg_type", id="o.oid", more="x.deptype = 'e'")
# The name with its schema, unless names are looked for in this schema.
_NAME = (
    "concat(CASE WHEN n.nspname = current_schema() THEN '' ELSE quote_ident(n.nspname)"
    " || '.' END, quote_ident({name}))"
)
_TABLE = _NAME.format(name="o.relname")
_OPTIONS = """concat_ws(' ',
  CASE WHEN s.seqstart <> s.seqmin THEN 'START WITH ' || s.seqstart END,
  CASE WHEN s.seqincrement <> 1 THEN 'INCREMENT BY ' || s.seqincrement END,
  CASE WHEN s.seqmin <> 1 THEN 'MINVALUE ' || s.seqmin END,
  CASE WHEN s.seqmax <> CASE s.seqtypid WHEN 'int2'::regtype THEN 32767
    WHEN 'int4'::regtype THEN 2147483647 ELSE 9223372036854775807 END
    THEN 'MAXVALUE ' || s.seqmax END,
  CASE WHEN s.seqcache <> 1 THEN 'CACHE ' || s.seqcache END,
  CASE WHEN s.seqcycle THEN 'CYCLE' END)"""
_IN = "JOIN pg_namespace n ON n.oid = {id} AND n.nspname = ANY(:schemas)"
_RELATIONS = f"JOIN pg_class o ON o.oid = {{id}} {_IN.format(id='o.relnamespace')}"

# Each gives the oid of what others depend on, the kind, the table, the name, the text.
_QUERIES = (
    """
SELECT n.oid, 'schema', '', n.nspname, 'CREATE SCHEMA ' || quote_ident(n.nspname)
FROM pg_namespace n
WHERE n.nspname = ANY(:schemas) AND n.nspname NOT IN (current_schema(), 'public')""",
    """
SELECT e.oid, 'extension', '', e.extname,
  'CREATE EXTENSION IF NOT EXISTS ' || quote_ident(e.extname)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE n.nspname <> 'pg_catalog'""",
    f"""
SELECT o.oid, 'type', '', {_NAME.format(name="o.typname")}, CASE o.typtype
  WHEN 'e' THEN format('CREATE TYPE %s AS ENUM (%s)',
    {_NAME.format(name="o.typname")},
    (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
     FROM pg_enum WHERE enumtypid = o.oid))
  WHEN 'd' THEN concat_ws(' ', 'CREATE DOMAIN ' || {_NAME.format(name="o.typname")},
    'AS ' || format_type(o.typbasetype, o.typtypmod), 'DEFAULT ' || o.typdefault,
    CASE WHEN o.typnotnull THEN 'NOT NULL' END,
    (SELECT string_agg(format('CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)),
      ' ' ORDER BY conname) FROM pg_constraint
     WHERE contypid = o.oid AND contype = 'c'))
  ELSE format('CREATE TYPE %s AS (%s)', {_NAME.format(name="o.typname")},
    (SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', '
      ORDER BY attnum) FROM pg_attribute
     WHERE attrelid = o.typrelid AND NOT attisdropped)) END
FROM pg_type o {_IN.format(id="o.typnamespace")} LEFT JOIN pg_class c
  ON c.oid = o.typrelid
WHERE (o.typtype IN ('e', 'd') OR o.typtype = 'c' AND c.relkind = 'c')
  AND {_OWN["pg_type"]} ORDER BY o.oid""",
    f"""
SELECT o.oid, 'sequence', coalesce((SELECT d.refobjid::regclass::text
  FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = o.oid
  AND d.deptype = 'a' AND d.refobjsubid > 0), ''), {_TABLE},
  concat_ws(' ', 'CREATE SEQUENCE ' || {_TABLE}, 'AS ' || format_type(s.seqtypid, -1),
  nullif({_OPTIONS}, ''))
FROM pg_sequence s {_RELATIONS.format(id="s.seqrelid")}
WHERE {_OWN["pg_class"]} ORDER BY o.oid""",
    f"""
SELECT o.oid, 'function', '',
  {_NAME.format(name="o.proname")} || '(' || pg_get_function_identity_arguments(o.oid)
  || ')', pg_get_functiondef(o.oid)
FROM pg_proc o {_IN.format(id="o.pronamespace")}
WHERE o.prokind IN ('f', 'p', 'w') AND {_OWN["pg_proc"]} ORDER BY o.oid""",
    f"""
SELECT o.oid, 'table', {_TABLE}, '', concat_ws(' ',
  CASE WHEN o.relpersistence = 'u' THEN 'UNLOGGED' END,
  CASE WHEN o.relispartition THEN 'PARTITION OF ' || i.inhparent::regclass || ' '
    || pg_get_expr(o.relpartbound, o.oid)
  WHEN i.inhparent IS NOT NULL THEN 'INHERITS (' || (SELECT
    string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno) FROM pg_inherits
    WHERE inhrelid = o.oid) || ')' END,
  'PARTITION BY ' || pg_get_partkeydef(o.oid),
  'WITH (' || array_to_string(o.reloptions, ', ') || ')')
FROM pg_class o {_IN.format(id="o.relnamespace")} LEFT JOIN pg_inherits i
  ON i.inhrelid = o.oid AND i.inhseqno = 1
WHERE o.relkind IN ('r', 'p') AND {_OWN["pg_class"]} ORDER BY o.oid""",
    f"""
SELECT NULL::oid, 'column', {_TABLE}, a.attname, concat_ws(' ', quote_ident(a.attname),
  format_type(a.atttypid, a.atttypmod), 'COLLATE ' || quote_ident(l.collname),
  CASE WHEN a.attgenerated <> '' THEN
    'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') '
    || CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END
  ELSE 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END,
  CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
    WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
  CASE WHEN a.attidentity <> '' THEN '(' || nullif((SELECT {_OPTIONS}
    FROM pg_sequence s WHERE s.seqrelid = pg_get_serial_sequence(
      a.attrelid::regclass::text, a.attname)::regclass), '') || ')' END,
  CASE WHEN a.attnotnull THEN 'NOT NULL' END)
FROM pg_attribute a {_RELATIONS.format(id="a.attrelid")}
JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.oid <> y.typcollation
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attislocal
  AND o.relkind IN ('r', 'p') AND {_OWN["pg_class"]} ORDER BY a.attrelid, a.attnum""",
    f"""
SELECT NULL::oid, 'constraint', {_TABLE}, k.conname,
  format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid))
FROM pg_constraint k {_RELATIONS.format(id="k.conrelid")}
WHERE k.contype IN ('p', 'u', 'c', 'f', 'x') AND k.conislocal AND k.conparentid = 0
  AND {_OWN["pg_class"]} ORDER BY k.contype = 'f', k.oid""",
    f"""
SELECT o.oid, CASE o.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, '',
  {_TABLE}, format('CREATE %s %s%s AS %s',
  CASE o.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END, {_TABLE},
  ' WITH (' || array_to_string(o.reloptions, ', ') || ')',
  rtrim(pg_get_viewdef(o.oid), ';'))
FROM pg_class o {_IN.format(id="o.relnamespace")}
WHERE o.relkind IN ('v', 'm') AND {_OWN["pg_class"]} ORDER BY o.oid""",
    f"""
SELECT NULL::oid, 'index', {_TABLE}, i.relname,
  replace(pg_get_indexdef(x.indexrelid, 0, true), ' ON ONLY ', ' ON ')
FROM pg_index x {_RELATIONS.format(id="x.indrelid")}
JOIN pg_class i ON i.oid = x.indexrelid
WHERE NOT i.relispartition AND {_OWN["pg_class"]} AND NOT EXISTS (SELECT
  FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
ORDER BY i.oid""",
    f"""
SELECT NULL::oid, 'statistics', {_TABLE}, z.stxname, pg_get_statisticsobjdef(z.oid)
FROM pg_statistic_ext z {_RELATIONS.format(id="z.stxrelid")} ORDER BY z.oid""",
    f"""
SELECT NULL::oid, 'trigger', {_TABLE}, g.tgname, pg_get_triggerdef(g.oid, true)
FROM pg_trigger g {_RELATIONS.format(id="g.tgrelid")}
WHERE NOT g.tgisinternal AND g.tgparentid = 0 ORDER BY g.oid""",
    f"""
SELECT NULL::oid, 'rule', {_TABLE}, r.rulename, rtrim(pg_get_ruledef(r.oid), ';')
FROM pg_rewrite r {_RELATIONS.format(id="r.ev_class")}
WHERE r.rulename <> '_RETURN' ORDER BY r.oid""",
    f"""
SELECT NULL::oid, 'policy', {_TABLE}, p.polname, concat_ws(' ',
  format('CREATE POLICY %I ON %s', p.polname, {_TABLE}),
  CASE WHEN NOT p.polpermissive THEN 'AS RESTRICTIVE' END, 'FOR ' || CASE p.polcmd
    WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
    WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
  'TO ' || (SELECT string_agg(CASE WHEN role = 0 THEN 'public' ELSE
    role::regrole::text END, ', ' ORDER BY role) FROM unnest(p.polroles) role),
  'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
  'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
FROM pg_policy p {_RELATIONS.format(id="p.polrelid")} ORDER BY p.oid""",
    f"""
SELECT NULL::oid, 'row security', {_TABLE}, 'enabled',
  format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', {_TABLE})
FROM pg_class o {_IN.format(id="o.relnamespace")} WHERE o.relrowsecurity""",
    f"""
SELECT NULL::oid, 'comment', {_TABLE}, coalesce(a.attname, 'table'),
  format('COMMENT ON %s IS %L', CASE WHEN a.attname IS NULL THEN 'TABLE ' || {_TABLE}
    ELSE format('COLUMN %s.%I', {_TABLE}, a.attname) END, m.description)
FROM pg_description m {_RELATIONS.format(id="m.objoid")}
LEFT JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = m.objsubid
  AND m.objsubid > 0
WHERE m.classoid = 'pg_class'::regclass AND o.relkind IN ('r', 'p')
  AND {_OWN["pg_class"]} ORDER BY o.oid, m.objsubid""",
)
# A sequence belongs to a column once both are there.
_OWNED = f"""
SELECT NULL::oid, 'owner', {_TABLE}, a.attname, format(
  'ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, {_TABLE}, a.attname)
FROM pg_depend d {_RELATIONS.format(id="d.refobjid")}
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
JOIN pg_sequence s ON s.seqrelid = d.objid
WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'a' ORDER BY d.objid"""
_ALL = " UNION ALL ".join(f"({query})" for query in (*_QUERIES, _OWNED))
# Objects that the queries above do not write down, in words.
_UNKNOWN = """
SELECT pg_describe_object(found.class, found.id, 0) FROM (
  SELECT 'pg_proc'::regclass AS class, oid AS id, pronamespace AS space FROM pg_proc
  WHERE prokind = 'a'
  UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace FROM pg_operator
  UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace FROM pg_collation
  UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgnamespace FROM pg_ts_config
  UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictnamespace FROM pg_ts_dict
  UNION ALL SELECT 'pg_opclass'::regclass, oid, opcnamespace FROM pg_opclass
  UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace FROM pg_type
  WHERE typtype = 'r' OR typtype = 'b' AND typelem = 0
  UNION ALL SELECT 'pg_class'::regclass, oid, relnamespace FROM pg_class
  WHERE relkind = 'f'
) found JOIN pg_namespace n ON n.oid = found.space AND n.nspname = ANY(:schemas)
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = found.class
  AND x.objid = found.id AND x.deptype IN ('e', 'i'))
UNION ALL SELECT pg_describe_object('pg_event_trigger'::regclass, e.oid, 0)
FROM pg_event_trigger e WHERE NOT EXISTS (SELECT FROM pg_depend x
  WHERE x.classid = 'pg_event_trigger'::regclass AND x.objid = e.oid
  AND x.deptype = 'e') ORDER BY 1"""
# The object that must be there first; a default, a rule or a key counts for its
# table or view.
_EDGES = """
SELECT coalesce(d.adrelid, r.ev_class, nullif(k.conrelid, 0), e.objid), coalesce(
  y.typrelid, ye.typrelid, y.typelem, e.refobjid)
FROM pg_depend e
LEFT JOIN pg_attrdef d ON e.classid = 'pg_attrdef'::regclass AND d.oid = e.objid
LEFT JOIN pg_rewrite r ON e.classid = 'pg_rewrite'::regclass AND r.oid = e.objid
LEFT JOIN pg_constraint k ON e.classid = 'pg_constraint'::regclass AND k.oid = e.objid
LEFT JOIN (SELECT oid, nullif(typrelid, 0) AS typrelid, nullif(typelem, 0) AS typelem
  FROM pg_type WHERE typrelid <> 0 AND typtype = 'c' OR typcategory = 'A') y
  ON e.refclassid = 'pg_type'::regclass AND y.oid = e.refobjid
LEFT JOIN (SELECT t.oid, nullif(t.typrelid, 0) AS typrelid FROM pg_type t
  JOIN pg_class c ON c.oid = t.typrelid AND c.relkind <> 'c') ye ON ye.oid = y.typelem
WHERE e.refobjid >= 16384 AND e.classid IN ('pg_class'::regclass, 'pg_proc'::regclass,
  'pg_type'::regclass, 'pg_attrdef'::regclass, 'pg_rewrite'::regclass)
  AND NOT (e.deptype = 'a' AND EXISTS (SELECT FROM pg_sequence s
    WHERE s.seqrelid = e.objid))"""


def read_postgresql(
    connection: sa.Connection, schemas: cabc.Sequence[str], *, in_order: bool
) -> Schema:
    """Return what some schemas hold.

    :param in_order: Whether each thing comes after those that it needs; also find what
        cannot be written down.
    """
    texts: dict[Item, str] = {}
    oids: dict[int, Item] = {}
    values = {"schemas": list(schemas)}

    def rows(query: str) -> cabc.Sequence[t.Any]:
        return connection.execute(sa.text(query.replace("::", "\\:\\:")), values).all()

    with _names_alone(connection):
        for id, kind, table, name, text in rows(_ALL):
            item = Item(kind, table, name)
            texts[item] = text
            if id is not None:
                oids.setdefault(id, item)
        if not in_order:
            return Schema(texts, "postgresql")
        edges = [(a, b) for a, b in rows(_EDGES) if a in oids and b in oids]
        unknown = tuple(row[0] for row in rows(_UNKNOWN))
    order = _sorted(oids, edges)
    rest = [item for item in texts if item not in order]
    return Schema({i: texts[i] for i in (*order, *rest)}, "postgresql", unknown)


@contextlib.contextmanager
def _names_alone(connection: sa.Connection) -> cabc.Generator[None]:
    """Let PostgreSQL leave out one schema of names, whatever the search path is."""
    query = sa.text("SELECT current_setting('search_path')")
    before = connection.scalar(query)
    change = sa.text("SELECT set_config('search_path', :path, true)")
    alone = sa.text(
        "SELECT set_config('search_path', quote_ident(current_schema()), true)"
    )
    connection.execute(alone)
    # After an error, the transaction takes no statement, and its end the change back.
    yield
    connection.execute(change, {"path": before})


def _sorted(oids: dict[int, Item], edges: cabc.Iterable[tuple[int, int]]) -> list[Item]:
    """Return items with each after what it depends on, otherwise as they are."""
    before: dict[Item, set[Item]] = {item: set() for item in oids.values()}
    for later, first in edges:
        if oids[later] != oids[first]:
            before[oids[later]].add(oids[first])
    place = {item: at for at, item in enumerate(oids.values())}
    sorter = graphlib.TopologicalSorter(before)
    try:
        sorter.prepare()
    except graphlib.CycleError:
        return list(oids.values())
    order: list[Item] = []
    ready = sorted(sorter.get_ready(), key=place.__getitem__)
    while ready:
        item = ready.pop(0)
        order.append(item)
        sorter.done(item)
        ready = sorted({*ready, *sorter.get_ready()}, key=place.__getitem__)
    return order
