//! The pages of `tests/browser/pages`, and what is known of the tracker in each.

/// Where a tracker says which site it works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyIn {
    /// The endpoint's path, which every tracker can be told.
    Path,
    /// The tracker's own name for it (`writeKey`, `apiKey`, `token` …).
    Config,
}

/// Whether its events carry an id that the collector knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventId {
    Known,
    None,
}

/// Whether it sends again what was answered 503 without CORS headers, which a page cannot read. Mixpanel takes such
/// an answer for final while the browser is online, and drops the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Its host is `{name}.page.test`.
    pub name: &'static str,
    pub module: &'static str,
    pub key_in: KeyIn,
    /// Ends of the paths to which events go; empty where there is no tracker.
    pub events_at: &'static [&'static str],
    pub id: EventId,
    /// Names of marks whose events carry none although the others do.
    pub without_id: &'static [&'static str],
    pub retries: Retries,
    /// Pieces of what the browser says about requests that are no events.
    pub expected_complaints: &'static [&'static str],
}

impl Page {
    /// Whether the event with this mark carries an id.
    pub fn has_id(&self, mark: &str) -> bool {
        let is_exempt = self
            .without_id
            .iter()
            .any(|name| mark.contains(&format!(" {name} ")));
        self.id == EventId::Known && !is_exempt
    }
}

const TRACKER: Page = Page {
    name: "",
    module: "",
    key_in: KeyIn::Path,
    events_at: &[],
    id: EventId::Known,
    without_id: &[],
    retries: Retries::Yes,
    expected_complaints: &[],
};

pub const PAGES: [Page; 18] = [
    Page {
        name: "primitives",
        module: "primitives",
        id: EventId::None,
        retries: Retries::No,
        ..TRACKER
    },
    Page {
        name: "posthog",
        module: "posthog",
        events_at: &["/e/"],
        expected_complaints: &["/array/"],
        ..TRACKER
    },
    Page {
        name: "posthog-token",
        module: "posthog",
        key_in: KeyIn::Config,
        events_at: &["/e/"],
        expected_complaints: &["/array/"],
        ..TRACKER
    },
    Page {
        name: "snowplow-post",
        module: "snowplow",
        events_at: &["/tp2"],
        ..TRACKER
    },
    Page {
        name: "snowplow-get",
        module: "snowplow",
        events_at: &["/i"],
        ..TRACKER
    },
    Page {
        name: "segment",
        module: "segment",
        events_at: &["/t", "/p", "/i"],
        ..TRACKER
    },
    Page {
        name: "segment-batch",
        module: "segment-batch",
        events_at: &["/b"],
        ..TRACKER
    },
    Page {
        name: "segment-key",
        module: "segment",
        key_in: KeyIn::Config,
        events_at: &["/t", "/p", "/i"],
        expected_complaints: &["/v1/m"],
        ..TRACKER
    },
    Page {
        name: "plausible",
        module: "plausible",
        events_at: &["/api/event"],
        id: EventId::None,
        retries: Retries::No,
        ..TRACKER
    },
    Page {
        name: "mixpanel",
        module: "mixpanel",
        events_at: &["/track/"],
        without_id: &["person"],
        retries: Retries::No,
        ..TRACKER
    },
    Page {
        name: "mixpanel-json",
        module: "mixpanel",
        events_at: &["/track/"],
        without_id: &["person"],
        retries: Retries::No,
        ..TRACKER
    },
    Page {
        name: "amplitude",
        module: "amplitude",
        events_at: &["/2/httpapi"],
        ..TRACKER
    },
    Page {
        name: "amplitude-key",
        module: "amplitude",
        key_in: KeyIn::Config,
        events_at: &["/2/httpapi"],
        ..TRACKER
    },
    Page {
        name: "rudderstack",
        module: "rudderstack",
        events_at: &["/track", "/page", "/identify"],
        ..TRACKER
    },
    Page {
        name: "rudderstack-key",
        module: "rudderstack",
        key_in: KeyIn::Config,
        events_at: &["/track", "/page", "/identify"],
        ..TRACKER
    },
    Page {
        name: "openpanel",
        module: "openpanel",
        events_at: &["/track"],
        id: EventId::None,
        ..TRACKER
    },
    Page {
        name: "countly",
        module: "countly",
        events_at: &["/i"],
        id: EventId::None,
        ..TRACKER
    },
    Page {
        name: "countly-key",
        module: "countly",
        key_in: KeyIn::Config,
        events_at: &["/i"],
        id: EventId::None,
        ..TRACKER
    },
];

/// A page whose gateway answers by itself, and one whose policy lets nothing out.
pub const IN_THE_WAY: [Page; 2] = [
    Page {
        name: "throttled",
        module: "in-the-way",
        ..TRACKER
    },
    Page {
        name: "strict",
        module: "in-the-way",
        ..TRACKER
    },
];
