//! The decode ladder: a byte of settings, the length of a query, the query, the body.

#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use promises::{judge, mutated, sender, Sent, SITE_KEY};
use site_tracking::ingest::api_event::Body;
use site_tracking::ingest::beacon::Ping;
use site_tracking::site_key::SiteKey;

/// What senders say of their bodies, by the lowest bits of the first byte.
const CODINGS: [Option<&str>; 4] = [None, Some("br"), Some("gzip"), Some("deflate")];
const HAS_FROM: u8 = 4;
const HAS_TO: u8 = 8;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutated(data, size, max_size, seed)
});

fuzz_target!(|input: &[u8]| {
    let [settings, query_bytes, rest @ ..] = input else {
        return;
    };
    let (query, body) = rest.split_at(usize::from(*query_bytes).min(rest.len()));
    let query = String::from_utf8_lossy(query);
    let body = Body {
        bytes: Cow::Borrowed(body),
        broken: None,
    };
    let site_key = SiteKey::parse(SITE_KEY).expect("the key of the seeds is one");
    let _ = judge(&Sent {
        body: &body,
        coding: CODINGS[usize::from(settings & 3)],
        query: &query,
        ping: Ping {
            from: (settings & HAS_FROM != 0).then_some("https://a.example/"),
            to: (settings & HAS_TO != 0).then_some(&*query),
        },
        sender: sender(&site_key),
    });
});
