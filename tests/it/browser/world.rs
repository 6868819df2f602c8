//! What a round needs: a database with a key per page, `ingest` behind an HTTP API, a browser; and what can be asked
//! of them afterwards.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{json, Value};
use site_tracking::site_key::SiteKey;

use super::pages::{KeyIn, Page, Retries};
use crate::support::authority::Authority;
use crate::support::browser::Browser;
use crate::support::http_api::{HttpApi, Seen, Trouble};
use crate::support::site::{Site, Watched};
use crate::support::wait;

/// The slowest tracker here flushes every ten seconds.
const ROWS_LIMIT: Duration = Duration::from_secs(40);

/// No request for so long: longer than the trackers' waits before a first and a second retry, and than the 10 s after
/// which the most patient of them gives up an answer.
pub const TRIED_AGAIN: Duration = Duration::from_secs(12);

/// The same of a page that is gone: what it sent at its end is under way at once or never.
pub const SAID_FAREWELL: Duration = Duration::from_secs(3);

/// Trackers that do not come to rest by then are a fault in themselves.
const REST_LIMIT: Duration = Duration::from_secs(90);

pub struct World {
    pub gateway: HttpApi,
    pub pages: Vec<(Page, SiteKey)>,
    site: Site,
    function: Watched,
    browser: Browser,
    marks: Mutex<Vec<(Page, String)>>,
}

impl World {
    pub async fn new(pages: &[Page]) -> Self {
        let site = Site::new().await;
        let mut keyed = Vec::new();
        for page in pages {
            keyed.push((*page, site.another_key(page.name, None).await));
        }
        let identity = Authority::new().server(&["collect.test", "*.page.test"]);
        let function = site.start(crate::INGEST).await;
        let gateway = HttpApi::start(function.api.clone(), &identity).await;
        let browser = Browser::start(&identity).await;
        Self {
            gateway,
            pages: keyed,
            site,
            function,
            browser,
            marks: Mutex::default(),
        }
    }

    /// All pages at once; `visit` is `first`, or a name of its own for each return.
    pub async fn visit_all(&self, visit: &str) {
        let collector = format!("https://collect.test:{}", self.gateway.port);
        let visits = self.pages.iter().map(|(page, key)| {
            let (endpoint, token) = match page.key_in {
                KeyIn::Path => (format!("{collector}/{}", key.expose()), "fox-shop"),
                KeyIn::Config => (collector.clone(), key.expose()),
            };
            json!({ "do": "visit", "page": page.name, "module": page.module, "endpoint": endpoint,
                "token": token, "visit": visit })
        });
        self.remember(&self.browser.run(visits.collect()).await);
    }

    pub async fn leave_all(&self) {
        let marks = self.browser.run(self.on_each_page("leave")).await;
        self.remember(&marks);
    }

    fn on_each_page(&self, what: &str) -> Vec<Value> {
        self.pages
            .iter()
            .map(|(page, _)| json!({ "do": what, "page": page.name }))
            .collect()
    }

    /// The marks that each page gave.
    fn remember(&self, marks: &[Value]) {
        let mut known = self.marks.lock().unwrap();
        for ((page, _), marks) in self.pages.iter().zip(marks) {
            for mark in marks
                .as_array()
                .unwrap()
                .iter()
                .map(|mark| mark.as_str().unwrap())
            {
                if !known.iter().any(|(_, other)| other == mark) {
                    known.push((*page, mark.to_owned()));
                }
            }
        }
    }

    /// The first request with events of each page goes wrong.
    pub fn trouble_once_each(&self, trouble: Trouble) {
        let pages: Vec<Page> = self.pages.iter().map(|(page, _)| *page).collect();
        let mut done = HashSet::new();
        self.gateway.trouble(move |seen| {
            let page = pages
                .iter()
                .find(|page| is_from(seen, page) && carries_events(seen, page))?;
            done.insert(page.name).then_some(trouble)
        });
    }

    pub async fn wait_for_trouble(&self) {
        wait::until_async("a request with events of each page", ROWS_LIMIT, || async {
            let seen = self.gateway.seen();
            let troubled = seen.iter().filter(|seen| seen.trouble.is_some()).count();
            (troubled >= self.pages.len()).then_some(())
        })
        .await;
    }

    /// Until each mark has a row, or has had its time; who asks counts.
    pub async fn wait_for_rows(&self) {
        let started = Instant::now();
        while started.elapsed() < ROWS_LIMIT {
            if self.rows_per_mark().await.iter().all(|(_, _, rows)| *rows > 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether each mark of a tracker that tries again has a row.
    pub async fn all_that_is_tried_again_is_here(&self) -> bool {
        let counts = self.rows_per_mark().await;
        let mut expected = counts.iter().filter(|(page, _, _)| page.retries == Retries::Yes);
        expected.all(|(_, _, rows)| *rows > 0)
    }

    /// Until the last request is `quiet` ago: what would be sent again has been.
    pub async fn rest(&self, quiet: Duration) {
        let started = SystemTime::now();
        wait::until_async("the trackers' rest", REST_LIMIT, || async {
            let last = self.gateway.seen().iter().map(|seen| seen.received).max();
            let since = last.unwrap_or(started).max(started);
            (since.elapsed().unwrap_or_default() >= quiet).then_some(())
        })
        .await;
    }

    /// How many rows of the page's tenant hold each mark, as text or as it stands in a URL.
    pub async fn rows_per_mark(&self) -> Vec<(Page, String, i64)> {
        let marks = self.marks.lock().unwrap().clone();
        let tenants: Vec<&str> = marks.iter().map(|(page, _)| page.name).collect();
        let texts: Vec<&str> = marks.iter().map(|(_, mark)| mark.as_str()).collect();
        let urls: Vec<String> = texts.iter().map(|mark| in_url(mark)).collect();
        let sql = "select (select count(*) from raw.site_tracking_events_r
                           where tenant_hk = convert_to(tenant, 'UTF8') and processing_status = 'PENDING'
                           and (position(mark in raw_payload::text) > 0 or position(url in raw_payload::text) > 0))
                   from unnest($1::text[], $2::text[], $3::text[]) with ordinality as m (tenant, mark, url, n)
                   order by n";
        let counts = self
            .site
            .admin
            .query(sql, &[&tenants, &texts, &urls])
            .await
            .unwrap();
        let counts = counts.iter().map(|row| row.get(0));
        marks
            .into_iter()
            .zip(counts)
            .map(|((page, mark), rows)| (page, mark, rows))
            .collect()
    }

    /// Events that a page sent although they had been acknowledged.
    pub fn resent(&self) -> Vec<String> {
        let mut resent = Vec::new();
        for seen in self.gateway.seen() {
            let body = seen
                .answer
                .as_ref()
                .and_then(|answer| serde_json::from_slice(&answer.body).ok());
            let body: Value = body.unwrap_or_default();
            if !matches!(&body["duplicate"], Value::Null)
                && body["duplicate"] != json!([])
                && body["duplicate"] != 0
            {
                resent.push(format!("{} {} was sent again: {body}", seen.method, seen.path));
            }
        }
        resent
    }

    /// What the browser complained of, but for what `expected` has of each page.
    pub async fn reports(&self, expected: fn(&Page) -> &'static [&'static str]) -> Vec<String> {
        let mut faults = Vec::new();
        let reports = self.browser.run(self.on_each_page("report")).await;
        for ((page, _), report) in self.pages.iter().zip(&reports) {
            let console = report["console"].as_array().unwrap().iter();
            let failed = report["failed"].as_array().unwrap().iter();
            let failed = failed.filter(|failed| !self.was_only_unread(page, failed));
            for complaint in console.chain(failed) {
                let text = complaint
                    .as_str()
                    .map_or_else(|| complaint.to_string(), str::to_owned);
                if !expected(page).iter().any(|piece| text.contains(piece)) {
                    faults.push(format!("{}: the browser says: {text}", page.name));
                }
            }
        }
        faults
    }

    /// The browser also calls a request aborted whose good answer the page did not read to its end.
    fn was_only_unread(&self, page: &Page, failed: &Value) -> bool {
        let url = failed["url"].as_str().unwrap().split('?').next().unwrap();
        let collector = format!("https://collect.test:{}", self.gateway.port);
        let is_this = |seen: &Seen| {
            seen.method == failed["method"] && url.strip_prefix(&collector) == Some(seen.path.as_str())
        };
        let is_good = |seen: &Seen| seen.answer.as_ref().is_some_and(|answer| answer.status < 300);
        let seen = self.requests(page);
        let mut answered = seen.iter().filter(|seen| is_this(seen)).peekable();
        failed["error"] == "net::ERR_ABORTED" && answered.peek().is_some() && answered.all(is_good)
    }

    /// What the pages with faults sent and what they were answered, for who reads of the faults.
    pub fn story_of(&self, faults: &[String]) -> String {
        let is_told = |page: &Page| {
            faults
                .iter()
                .any(|fault| fault.starts_with(&format!("{}:", page.name)))
        };
        let mut story = String::new();
        for (page, _) in self.pages.iter().filter(|(page, _)| is_told(page)) {
            for seen in self.requests(page) {
                let status = seen.answer.as_ref().map(|answer| answer.status);
                let (at, trouble) = (humantime::format_rfc3339_millis(seen.received), seen.trouble);
                story += &format!(
                    "{at} {} {} {} {status:?} {trouble:?}\n",
                    page.name, seen.method, seen.path
                );
            }
        }
        story
    }

    /// The requests of one page.
    pub fn requests(&self, page: &Page) -> Vec<Seen> {
        self.gateway
            .seen()
            .into_iter()
            .filter(|seen| is_from(seen, page))
            .collect()
    }

    pub fn marks(&self, page: &Page) -> Vec<String> {
        let marks = self.marks.lock().unwrap();
        let own = marks.iter().filter(|(other, _)| other.name == page.name);
        own.map(|(_, mark)| mark.clone()).collect()
    }

    pub async fn close(self) {
        self.browser.close().await;
        self.function.stop().await;
    }
}

fn is_from(seen: &Seen, page: &Page) -> bool {
    let sender = seen
        .header("origin")
        .or_else(|| seen.header("referer"))
        .or_else(|| seen.header("ping-from"));
    sender.is_some_and(|sender| sender.starts_with(&format!("https://{}.page.test", page.name)))
}

fn carries_events(seen: &Seen, page: &Page) -> bool {
    let is_event = seen.method != "OPTIONS" && !(seen.body.is_empty() && seen.query.is_empty());
    is_event && page.events_at.iter().any(|end| seen.path.ends_with(end))
}

/// As `encodeURIComponent` writes it.
fn in_url(mark: &str) -> String {
    percent_encoding::utf8_percent_encode(mark, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
}
