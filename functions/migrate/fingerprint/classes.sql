-- Pieces of one query, joined by "union all": a piece per class of object, each gives object, entry, definition.
-- object: what the entry belongs to, as the ledger names it. No OID, attribute number, statistic or hint flag is read.
-- A number behind the name of a class is the first server_version_num that knows its catalog.

-- class: the beginning
with namespaces as materialized (
  select n.oid, n.nspname, n.nspowner, n.nspacl from pg_namespace n
  where n.nspname !~ '^pg_(toast|temp_|toast_temp_)' and n.nspname not in ('pg_catalog', 'information_schema', 'migrations')
), relations as materialized (
  select c.*, n.nspname, format('%I.%I', n.nspname, c.relname) as name,
    case c.relkind when 'r' then 'table' when 'p' then 'table' when 'v' then 'view' when 'm' then 'materialized view'
      when 'f' then 'foreign table' when 'S' then 'sequence' when 'c' then 'type' else 'index' end as kind,
    coalesce(t.relid, c.oid) as home
  from pg_class c join namespaces n on n.oid = c.relnamespace
  left join lateral (
    select d.refobjid as relid from pg_depend d
    where c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = c.oid and d.objsubid = 0
      and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
    union all
    select i.indrelid from pg_index i where c.relkind in ('i', 'I') and i.indexrelid = c.oid
  ) as t on true
), named as materialized (
  select r.oid, r.nspname, r.relname, r.name, r.relkind, h.kind || ' ' || h.name as object
  from relations r join relations h on h.oid = r.home
), routines as materialized (
  select p.*, n.nspname, format('%I.%I', n.nspname, p.proname) as name,
    format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as signature
  from pg_proc p join namespaces n on n.oid = p.pronamespace
), ours as materialized (
  select r.* from pg_roles r where r.rolname in ('tracking_ingest_role', 'tracking_processor_role')
), here as materialized (
  select d.* from pg_database d where d.datname = current_database()
)
select null::text as object, null::text as entry, null::text as definition where false

-- class: schema
select 'schema ' || n.nspname, 'schema ' || n.nspname, concat_ws('; ', 'owner ' || pg_get_userbyid(n.nspowner), d.description)
from namespaces n
left join pg_description d on d.classoid = 'pg_namespace'::regclass and d.objoid = n.oid and d.objsubid = 0

-- class: relation
select m.object, format('%s %s', r.kind, r.name), concat_ws('; ', 'owner ' || pg_get_userbyid(r.relowner), 'kind ' || r.relkind::text,
  'persistence ' || r.relpersistence::text, 'row security ' || r.relrowsecurity || ' ' || r.relforcerowsecurity,
  'replica identity ' || r.relreplident::text, 'access method ' || a.amname, 'tablespace ' || s.spcname,
  'settings ' || array_to_string(array(select unnest(r.reloptions) order by 1), ','),
  'toast settings ' || array_to_string(array(select unnest(toast.reloptions) order by 1), ','),
  'of type ' || nullif(r.reloftype, 0)::regtype, 'partition key ' || pg_get_partkeydef(r.oid),
  'partition ' || pg_get_expr(r.relpartbound, r.oid),
  'parents ' || nullif(array_to_string(array(select i.inhparent::regclass::text from pg_inherits i
    where i.inhrelid = r.oid order by i.inhseqno), ','), ''),
  case when r.relkind in ('v', 'm') then pg_get_viewdef(r.oid) end,
  'populated ' || case when r.relkind = 'm' then r.relispopulated end, d.description)
from relations r join named m on m.oid = r.oid
left join pg_am a on a.oid = r.relam
left join pg_tablespace s on s.oid = r.reltablespace
left join pg_class toast on toast.oid = r.reltoastrelid
left join pg_description d on d.classoid = 'pg_class'::regclass and d.objoid = r.oid and d.objsubid = 0
where r.relkind not in ('i', 'I')

-- class: column
select m.object, format('column %s.%I', m.name, a.attname), concat_ws('; ',
  'place ' || row_number() over (partition by a.attrelid order by a.attnum),
  format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
  'default ' || pg_get_expr(e.adbin, e.adrelid), 'identity ' || nullif(a.attidentity::text, ''),
  'generated ' || nullif(a.attgenerated::text, ''),
  'collation ' || l.collname,
  'storage ' || a.attstorage::text, 'statistics ' || nullif(a.attstattarget, -1),
  'options ' || array_to_string(a.attoptions, ','), 'options of its server ' || array_to_string(a.attfdwoptions, ','),
  'privileges ' || (select string_agg(p.line, ', ' order by p.line) from (
    select format('%s=%s%s', case p.grantee when 0 then 'public' else pg_get_userbyid(p.grantee) end, p.privilege_type,
      case when p.is_grantable then '*' end) as line from aclexplode(a.attacl) as p) as p), d.description)
from named m join pg_attribute a on a.attrelid = m.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef e on e.adrelid = a.attrelid and e.adnum = a.attnum
left join pg_collation l on l.oid = a.attcollation and l.collname <> 'default'
left join pg_description d on d.classoid = 'pg_class'::regclass and d.objoid = a.attrelid and d.objsubid = a.attnum
where m.relkind in ('r', 'p', 'v', 'm', 'f', 'c')

-- class: column's compression 140000
select m.object, format('compression of column %s.%I', m.name, a.attname), a.attcompression::text
from named m join pg_attribute a on a.attrelid = m.oid and a.attnum > 0 and not a.attisdropped and a.attcompression <> ''

-- class: constraint
select coalesce(m.object, 'type ' || k.contypid::regtype),
  format('constraint %I on %s', k.conname, coalesce(m.name, k.contypid::regtype::text)),
  concat_ws('; ', pg_get_constraintdef(k.oid), d.description)
from pg_constraint k join namespaces n on n.oid = k.connamespace
left join named m on m.oid = k.conrelid
left join pg_description d on d.classoid = 'pg_constraint'::regclass and d.objoid = k.oid
where k.conrelid = 0 or m.oid is not null

-- class: index
select m.object, 'index ' || m.name, concat_ws('; ', pg_get_indexdef(i.indexrelid), 'tablespace ' || s.spcname,
  case when not i.indisvalid then 'invalid' end, case when not i.indisready then 'not ready' end,
  case when i.indisclustered then 'clustered' end, case when i.indisreplident then 'replica identity' end, d.description)
from pg_index i join named m on m.oid = i.indexrelid
join pg_class c on c.oid = i.indexrelid
left join pg_tablespace s on s.oid = c.reltablespace
left join pg_description d on d.classoid = 'pg_class'::regclass and d.objoid = i.indexrelid and d.objsubid = 0

-- class: sequence
select m.object, 'values of sequence ' || m.name, concat_ws('; ', s.seqtypid::regtype, 'start ' || s.seqstart,
  'increment ' || s.seqincrement, 'from ' || s.seqmin, 'to ' || s.seqmax, 'cache ' || s.seqcache,
  case when s.seqcycle then 'cycle' end,
  (select format('owned by %s.%I (%s)', t.name, a.attname, d.deptype) from pg_depend d
    join named t on t.oid = d.refobjid join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where d.classid = 'pg_class'::regclass and d.objid = s.seqrelid and d.refclassid = 'pg_class'::regclass
      and d.deptype in ('a', 'i')))
from pg_sequence s join named m on m.oid = s.seqrelid

-- class: rule
select m.object, format('rule %I on %s', r.rulename, m.name), concat_ws('; ', pg_get_ruledef(r.oid), 'enabled ' || r.ev_enabled::text)
from pg_rewrite r join named m on m.oid = r.ev_class where r.rulename <> '_RETURN'

-- class: trigger
select m.object, format('trigger %I on %s', t.tgname, m.name), concat_ws('; ', pg_get_triggerdef(t.oid), 'enabled ' || t.tgenabled::text)
from pg_trigger t join named m on m.oid = t.tgrelid where not t.tgisinternal
union all
select m.object, format('trigger of constraint %I on %s by %s', k.conname, m.name, t.tgfoid::regproc), 'enabled ' || t.tgenabled::text
from pg_trigger t join named m on m.oid = t.tgrelid join pg_constraint k on k.oid = t.tgconstraint
where t.tgisinternal and t.tgenabled <> 'O'

-- class: policy
select m.object, format('policy %I on %s', p.polname, m.name), concat_ws('; ', 'for ' || p.polcmd::text, 'permissive ' || p.polpermissive,
  'to ' || (select string_agg(case r when 0 then 'public' else pg_get_userbyid(r) end, ',' order by pg_get_userbyid(r))
    from unnest(p.polroles) as r),
  'using ' || pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid))
from pg_policy p join named m on m.oid = p.polrelid

-- class: routine
select 'function ' || p.name, 'function ' || p.signature, concat_ws('; ', 'owner ' || pg_get_userbyid(p.proowner),
  'kind ' || p.prokind::text, case when p.prokind <> 'a' then pg_get_functiondef(p.oid) end,
  (select concat_ws(' ', 'state', g.aggtranstype::regtype, g.agginitval, 'from', g.aggtransfn::regprocedure,
      'end', g.aggfinalfn::regproc, 'sort', g.aggsortop::regoperator, 'combine', g.aggcombinefn::regproc,
      'write', g.aggserialfn::regproc, 'read', g.aggdeserialfn::regproc, g.aggkind, g.aggnumdirectargs,
      'moving', g.aggmtranstype::regtype, g.aggmtransfn::regproc, g.aggminvtransfn::regproc, g.aggmfinalfn::regproc,
      g.aggminitval, g.aggfinalmodify, g.aggmfinalmodify, 'result', p.prorettype::regtype, 'parallel', p.proparallel)
    from pg_aggregate g where g.aggfnoid = p.oid), d.description)
from routines p
left join pg_description d on d.classoid = 'pg_proc'::regclass and d.objoid = p.oid

-- class: type
select 'type ' || t.oid::regtype, 'type ' || t.oid::regtype, concat_ws('; ', 'owner ' || pg_get_userbyid(t.typowner), 'kind ' || t.typtype::text,
  'labels ' || (select string_agg(quote_literal(e.enumlabel), ',' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
  'of ' || format_type(nullif(t.typbasetype, 0), t.typtypmod), case when t.typnotnull then 'not null' end, 'default ' || t.typdefault,
  'range of ' || (select concat_ws(' ', g.rngsubtype::regtype, (select l.collname from pg_collation l where l.oid = g.rngcollation),
    (select o.opcname from pg_opclass o where o.oid = g.rngsubopc), g.rngcanonical, g.rngsubdiff)
    from pg_range g where g.rngtypid = t.oid),
  case when t.typtype = 'b' then concat_ws(' ', t.typlen, t.typbyval, t.typcategory, t.typispreferred, t.typdelim, t.typinput,
    t.typoutput, t.typreceive, t.typsend, t.typanalyze, t.typalign, t.typstorage, t.typelem::regtype) end,
  'collation ' || (select l.collname from pg_collation l where l.oid = t.typcollation and l.collname <> 'default'), d.description)
from pg_type t join namespaces n on n.oid = t.typnamespace
left join pg_class c on c.oid = t.typrelid
left join pg_description d on d.classoid = 'pg_type'::regclass and d.objoid = t.oid
where (c.oid is null or c.relkind = 'c') and not exists (select from pg_type e where e.typarray = t.oid)

-- class: operator
select 'operator ' || o.oid::regoperator, 'operator ' || o.oid::regoperator, concat_ws('; ', 'owner ' || pg_get_userbyid(o.oprowner),
  o.oprcode, o.oprresult::regtype, 'commutator ' || nullif(o.oprcom, 0)::regoperator, 'negator ' || nullif(o.oprnegate, 0)::regoperator,
  o.oprrest, o.oprjoin, 'hashes ' || o.oprcanhash, 'merges ' || o.oprcanmerge)
from pg_operator o join namespaces n on n.oid = o.oprnamespace

-- class: operator class
select format('operator class %I.%I', n.nspname, o.opcname), format('operator class %I.%I using %s', n.nspname, o.opcname, a.amname),
  concat_ws('; ', 'owner ' || pg_get_userbyid(o.opcowner), o.opcintype::regtype, 'default ' || o.opcdefault,
    nullif(o.opckeytype, 0)::regtype, f.opfname)
from pg_opclass o join namespaces n on n.oid = o.opcnamespace join pg_am a on a.oid = o.opcmethod
join pg_opfamily f on f.oid = o.opcfamily
union all
select format('operator family %I.%I', n.nspname, f.opfname), format('operator family %I.%I using %s', n.nspname, f.opfname, a.amname),
  concat_ws('; ', 'owner ' || pg_get_userbyid(f.opfowner),
    (select string_agg(concat_ws(' ', o.amopstrategy, o.amopopr::regoperator, o.amoppurpose), ', '
      order by o.amopstrategy, o.amopopr::regoperator::text) from pg_amop o where o.amopfamily = f.oid),
    (select string_agg(concat_ws(' ', p.amprocnum, p.amproc::regprocedure, p.amproclefttype::regtype, p.amprocrighttype::regtype), ', '
      order by p.amprocnum, p.amproc::regprocedure::text) from pg_amproc p where p.amprocfamily = f.oid))
from pg_opfamily f join namespaces n on n.oid = f.opfnamespace join pg_am a on a.oid = f.opfmethod

-- class: cast
select 'cast', format('cast (%s as %s)', c.castsource::regtype, c.casttarget::regtype),
  concat_ws('; ', nullif(c.castfunc, 0)::regprocedure, c.castcontext, c.castmethod)
from pg_cast c where c.oid >= 16384

-- class: collation
select 'collation', format('collation %I.%I', n.nspname, l.collname), concat_ws('; ', 'owner ' || pg_get_userbyid(l.collowner),
  l.collprovider, l.collisdeterministic, l.collencoding, to_jsonb(l) ->> 'collcollate', to_jsonb(l) ->> 'collctype',
  to_jsonb(l) ->> 'colliculocale', to_jsonb(l) ->> 'colllocale')
from pg_collation l join namespaces n on n.oid = l.collnamespace

-- class: statistics object
select m.object, format('statistics %I.%I', n.nspname, s.stxname),
  concat_ws('; ', 'owner ' || pg_get_userbyid(s.stxowner), pg_get_statisticsobjdef(s.oid))
from pg_statistic_ext s join namespaces n on n.oid = s.stxnamespace join named m on m.oid = s.stxrelid

-- class: extension
select 'extension ' || e.extname, 'extension ' || e.extname,
  concat_ws('; ', 'owner ' || pg_get_userbyid(e.extowner), e.extversion, n.nspname)
from pg_extension e join pg_namespace n on n.oid = e.extnamespace

-- class: language
select 'language ' || l.lanname, 'language ' || l.lanname, concat_ws('; ', 'owner ' || pg_get_userbyid(l.lanowner), 'trusted ' || l.lanpltrusted,
  (select string_agg(p.line, ', ' order by p.line) from (
    select format('%s=%s%s', case p.grantee when 0 then 'public' else pg_get_userbyid(p.grantee) end, p.privilege_type,
      case when p.is_grantable then '*' end) as line
    from aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) as p) as p))
from pg_language l where l.lanispl

-- class: foreign server
select 'server ' || s.srvname, 'server ' || s.srvname, concat_ws('; ', 'owner ' || pg_get_userbyid(s.srvowner), w.fdwname, s.srvtype, s.srvversion)
from pg_foreign_server s join pg_foreign_data_wrapper w on w.oid = s.srvfdw

-- class: event trigger
select 'event trigger ' || e.evtname, 'event trigger ' || e.evtname, concat_ws('; ', 'owner ' || pg_get_userbyid(e.evtowner), e.evtevent,
  e.evtfoid::regprocedure, 'enabled ' || e.evtenabled::text, array_to_string(e.evttags, ','))
from pg_event_trigger e

-- class: publication
select 'publication ' || p.pubname, 'publication ' || p.pubname, concat_ws('; ', 'owner ' || pg_get_userbyid(p.pubowner),
  (to_jsonb(p) - '{oid,pubname,pubowner}'::text[])::text)
from pg_publication p
union all
select m.object, format('publication %s of %s', p.pubname, m.name), 'published'
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid join named m on m.oid = r.prrelid

-- class: publication in part 150000
select m.object, format('part of publication %s of %s', p.pubname, m.name), concat_ws('; ', 'rows ' || pg_get_expr(r.prqual, r.prrelid),
  'columns ' || (select string_agg(a.attname, ',' order by a.attname) from pg_attribute a
    where a.attrelid = r.prrelid and a.attnum = any (r.prattrs)))
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid join named m on m.oid = r.prrelid
where r.prqual is not null or r.prattrs is not null
union all
select 'publication ' || p.pubname, format('publication %s of schema %I', p.pubname, n.nspname), 'all its tables'
from pg_publication_namespace r join pg_publication p on p.oid = r.pnpubid join namespaces n on n.oid = r.pnnspid

-- class: privilege
select case when n.nspname = 'raw' and p.grantee = any (select o.oid from ours o)
    then format('usage on schema raw by %s', pg_get_userbyid(p.grantee)) else 'schema ' || n.nspname end,
  format('privileges of %s on schema %I', case p.grantee when 0 then 'public' else pg_get_userbyid(p.grantee) end, n.nspname),
  string_agg(p.privilege_type || case when p.is_grantable then '*' else '' end, ', ' order by p.privilege_type)
from namespaces n cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) as p
group by n.nspname, p.grantee
union all
select o.object, 'privileges on ' || o.entry, (select string_agg(p.line, ', ' order by p.line) from (
    select format('%s=%s%s', case p.grantee when 0 then 'public' else pg_get_userbyid(p.grantee) end, p.privilege_type,
      case when p.is_grantable then '*' end) as line from aclexplode(o.acl) as p) as p)
from (
  select m.object, format('%s %s', r.kind, r.name) as entry,
    coalesce(r.relacl, acldefault(case r.relkind when 'S' then 's'::"char" else 'r'::"char" end, r.relowner)) as acl
  from relations r join named m on m.oid = r.oid where r.relkind not in ('i', 'I', 'c')
  union all
  select 'function ' || p.name, 'function ' || p.signature, coalesce(p.proacl, acldefault('f', p.proowner)) from routines p
  union all
  select 'type ' || t.oid::regtype, 'type ' || t.oid::regtype, coalesce(t.typacl, acldefault('T', t.typowner))
  from pg_type t join namespaces n on n.oid = t.typnamespace
  left join pg_class c on c.oid = t.typrelid
  where (c.oid is null or c.relkind = 'c') and not exists (select from pg_type e where e.typarray = t.oid)
  union all
  select 'server ' || s.srvname, 'server ' || s.srvname, coalesce(s.srvacl, acldefault('S', s.srvowner)) from pg_foreign_server s
) as o
union all
select 'database', 'privileges on the database', string_agg(p.line, ', ' order by p.line)
from here h cross join lateral (
  select format('%s=%s%s', case p.grantee when 0 then 'public' else pg_get_userbyid(p.grantee) end, p.privilege_type,
    case when p.is_grantable then '*' end) as line
  from aclexplode(coalesce(h.datacl, acldefault('d', h.datdba))) as p) as p

-- class: default privilege
select 'default privileges', format('default privileges of %s in %s on %s', pg_get_userbyid(a.defaclrole),
    coalesce(n.nspname, 'any schema'), a.defaclobjtype),
  coalesce((select string_agg(p.line, ', ' order by p.line) from (
    select format('%s=%s%s', case p.grantee when 0 then 'public' else pg_get_userbyid(p.grantee) end, p.privilege_type,
      case when p.is_grantable then '*' end) as line from aclexplode(a.defaclacl) as p) as p), 'none')
from pg_default_acl a left join pg_namespace n on n.oid = a.defaclnamespace
where n.nspname is distinct from 'migrations'

-- class: comment
select 'comment', format('comment on %s %s', i.type, i.identity), d.description
from pg_description d cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) as i
where d.objoid >= 16384 and d.classoid not in ('pg_class'::regclass, 'pg_namespace'::regclass, 'pg_proc'::regclass,
    'pg_constraint'::regclass, 'pg_type'::regclass)
  and i.schema is distinct from 'migrations' and i.identity !~ '(^| on )migrations\.'
union all
select 'database', 'the database', concat_ws('; ', 'owner ' || pg_get_userbyid(h.datdba), shobj_description(h.oid, 'pg_database'),
  (select string_agg(concat_ws(' ', coalesce(nullif(s.setrole, 0)::regrole::text, 'all'), array_to_string(s.setconfig, ',')), '; '
    order by s.setrole::regrole::text) from pg_db_role_setting s where s.setdatabase = h.oid))
from here h

-- class: role
select 'role ' || r.rolname, 'role ' || r.rolname, concat_ws('; ', to_jsonb(r) - '{oid,rolname,rolpassword}'::text[],
  shobj_description(r.oid, 'pg_authid'))
from ours r

-- class: membership
select 'members', format('%s as a member of %s by %s', pg_get_userbyid(m.member), pg_get_userbyid(m.roleid), pg_get_userbyid(m.grantor)),
  concat_ws('; ', case when m.admin_option then 'admin' end, 'inherit ' || (to_jsonb(m) ->> 'inherit_option'),
    'set ' || (to_jsonb(m) ->> 'set_option'))
from pg_auth_members m where exists (select from ours r where r.oid in (m.member, m.roleid))
