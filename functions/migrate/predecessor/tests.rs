use super::*;

/// `name kind [(length)] [!] [=] [always]`: `!` refuses NULL, `=` fills itself.
fn column(line: &str) -> Column {
    let (name, rest) = line.split_once(' ').unwrap();
    let kind = rest.trim_end_matches([' ', '!', '=', '*']);
    let (kind, length) = match kind.split_once('(') {
        Some((kind, length)) => (kind, length.trim_end_matches(')').parse().ok()),
        None => (kind, None),
    };
    Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        length,
        not_null: rest.contains('!'),
        has_default: rest.contains('='),
        fixed: rest.contains('*'),
    }
}

const V001: [&str; 14] = [
    "raw_event_id bigint!=",
    "tenant_hk bytea!",
    "api_key_hk bytea",
    "received_timestamp timestamp with time zone!=",
    "client_ip inet",
    "user_agent text",
    "raw_payload jsonb!",
    "batch_id character varying(100)",
    "processing_status character varying(20)!=",
    "error_message text",
    "retry_count integer!=",
    "record_source character varying(100)!=",
    "event_key uuid",
    "request jsonb",
];

fn shape(columns: &[&str]) -> Shape {
    Shape {
        kind: Some("r".to_owned()),
        logged: true,
        id_has_sequence: true,
        id_is_unique: true,
        columns: columns.iter().map(|line| column(line)).collect(),
        ..Shape::default()
    }
}

/// V001's, with one column in the place of its own, or added.
fn with(line: &str) -> Shape {
    let name = line.split(' ').next().unwrap();
    let mut shape = shape(&V001);
    shape.columns.retain(|column| column.name != name);
    shape.columns.push(column(line));
    shape
}

fn without(name: &str) -> Shape {
    let mut shape = shape(&V001);
    shape.columns.retain(|column| column.name != name);
    shape
}

#[track_caller]
fn assert_incompatible(label: &str, shape: &Shape, says: &str) {
    match shape.verdict() {
        Verdict::Incompatible(why) => assert!(why.contains(says), "{label}: {why}"),
        other => panic!("{label}: {other:?}"),
    }
}

#[test]
fn what_v001_makes_and_nothing_at_all_is_ours() {
    assert_eq!(shape(&V001).verdict(), Verdict::Ours);
    assert_eq!(Shape::default().verdict(), Verdict::Ours);
    assert_eq!(with("theirs text").verdict(), Verdict::Ours);
}

#[test]
fn what_v001_can_write_to_is_compatible() {
    for line in [
        "raw_event_id integer!=",
        "tenant_hk bytea",
        "received_timestamp timestamp with time zone=",
        "user_agent character varying(1024)",
        "user_agent character varying",
        "batch_id text",
        "batch_id character varying(36)",
        "processing_status character varying(10)=",
        "error_message character varying(1024)",
        "retry_count smallint",
        "retry_count bigint!=",
        "record_source text",
    ] {
        assert_eq!(with(line).verdict(), Verdict::Compatible, "{line}");
    }
    for name in ["api_key_hk", "processing_status", "event_key", "request"] {
        assert_eq!(without(name).verdict(), Verdict::Compatible, "{name}");
    }
}

#[test]
fn what_v001_cannot_write_to_is_incompatible_and_named() {
    for (line, says) in [
        (
            "raw_event_id smallint!=",
            "raw_event_id is smallint, to which V001 cannot write bigint",
        ),
        ("raw_event_id bigint!=*", "generated always"),
        (
            "tenant_hk text!",
            "tenant_hk is text, to which V001 cannot write bytea",
        ),
        ("raw_payload text!", "raw_payload is text"),
        ("raw_payload json!", "raw_payload is json,"),
        (
            "user_agent character varying(50)",
            "user_agent is character varying(50), V001 writes up to 1024",
        ),
        ("batch_id character varying(35)", "up to 36 characters"),
        (
            "client_ip inet!",
            "client_ip is inet not null, V001 writes NULL there",
        ),
        ("event_key uuid!=", "V001 writes NULL there"),
        (
            "processing_status character varying(20)!",
            "not null without a default",
        ),
        (
            "received_timestamp timestamp without time zone!=",
            "cannot write timestamp with time zone",
        ),
        ("site_id integer!", "site_id is not null without a default"),
    ] {
        assert_incompatible(line, &with(line), says);
    }
    for name in ["raw_event_id", "tenant_hk", "raw_payload"] {
        assert_incompatible(name, &without(name), "no row could have a value in it");
    }
}

#[test]
fn a_table_that_v001_cannot_use_is_incompatible_and_named() {
    let fine = || with("raw_event_id integer!=");
    let function = |can_return, dependents: &[&str]| Function {
        name: "raw.ingest_tracking_event(bytea) returning integer".to_owned(),
        can_return,
        dependents: dependents.iter().map(|name| (*name).to_owned()).collect(),
    };
    let pending = |definition: &str| Index {
        name: "site_tracking_events_r_pending".to_owned(),
        definition: definition.to_owned(),
        valid: true,
    };
    for (label, shape, says) in [
        (
            "view",
            Shape {
                kind: Some("v".to_owned()),
                ..fine()
            },
            "is no plain table",
        ),
        (
            "none",
            Shape {
                functions: vec![function(true, &[])],
                ..Shape::default()
            },
            "without the table",
        ),
        (
            "unlogged",
            Shape {
                logged: false,
                ..fine()
            },
            "set logged",
        ),
        (
            "hidden",
            Shape {
                hides_rows: true,
                ..fine()
            },
            "row level security",
        ),
        (
            "twins",
            Shape {
                id_is_unique: false,
                ..fine()
            },
            "add a primary key",
        ),
        (
            "no sequence",
            Shape {
                id_has_sequence: false,
                ..fine()
            },
            "owned by",
        ),
        (
            "aggregate",
            Shape {
                functions: vec![function(false, &[])],
                ..fine()
            },
            "rename it",
        ),
        (
            "a view on it",
            Shape {
                functions: vec![function(true, &["view v"])],
                ..fine()
            },
            "view v would go with it",
        ),
        (
            "index",
            Shape {
                indexes: vec![pending("CREATE INDEX x")],
                ..fine()
            },
            "raw.site_tracking_events_r_pending",
        ),
        (
            "keys",
            Shape {
                keys_differ: Some("other keys".to_owned()),
                ..fine()
            },
            "other keys",
        ),
        (
            "keys alone",
            Shape {
                keys_differ: Some("other keys".to_owned()),
                ..Shape::default()
            },
            "other keys",
        ),
        (
            "caller",
            Shape {
                callers_that_break: vec!["app.f".to_owned()],
                ..fine()
            },
            "app.f calls",
        ),
    ] {
        assert_incompatible(label, &shape, says);
    }
}

#[test]
fn what_could_not_be_given_back_hinders_a_stranger_alone() {
    let at_first = vec!["public.child inherits from it".to_owned()];
    let stranger = Shape {
        at_first: at_first.clone(),
        ..with("raw_event_id integer!=")
    };
    assert_eq!(
        stranger.verdict_at_first(),
        Verdict::Incompatible("public.child inherits from it".to_owned())
    );
    assert_eq!(stranger.verdict(), Verdict::Compatible);
    let both = Shape {
        logged: false,
        ..stranger
    };
    let Verdict::Incompatible(why) = both.verdict_at_first() else {
        panic!("it is not logged")
    };
    assert!(why.contains("set logged; public.child inherits"), "{why}");
    let ours = Shape {
        at_first,
        ..shape(&V001)
    };
    assert_eq!(ours.verdict_at_first(), Verdict::Ours);
    assert_eq!(
        with("raw_event_id integer!=").verdict_at_first(),
        Verdict::Compatible
    );
}

#[test]
fn an_index_that_was_not_built_to_its_end_is_built_again() {
    let mut shape = with("raw_event_id integer!=");
    assert_eq!(shape.indexes_to_build().len(), 3);
    for (name, made) in INDEXES {
        let definition = format!("CREATE {}", made.replace("%s", name));
        let valid = name != "site_tracking_events_r_received";
        shape.indexes.push(Index {
            name: name.to_owned(),
            definition,
            valid,
        });
    }
    let build = shape.indexes_to_build();
    assert_eq!(
        build,
        [(
            "site_tracking_events_r_received",
            "CREATE INDEX CONCURRENTLY site_tracking_events_r_received ON raw.site_tracking_events_r USING brin \
             (received_timestamp)"
                .to_owned(),
            true
        )]
    );
    assert_eq!(shape.verdict(), Verdict::Compatible);
}
