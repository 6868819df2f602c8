//! While the database is away requests are fast and hardly any reaches for it; when it is back they find it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use crate::support::function::REMAINING;
use crate::support::gateway::{Answer, Request, Shape};
use crate::support::metrics;
use crate::support::runtime_api::Outcome;
use crate::support::site::Site;
use crate::support::wait;
use crate::INGEST;

/// In front of a database: counts who comes, and hangs up on them while it is away.
struct Door {
    port: u16,
    is_open: Arc<AtomicBool>,
    came: Arc<AtomicUsize>,
}

impl Door {
    async fn closed(to_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Self {
            port: listener.local_addr().unwrap().port(),
            is_open: Arc::default(),
            came: Arc::default(),
        };
        let (is_open, came) = (door.is_open.clone(), door.came.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                came.fetch_add(1, Ordering::SeqCst);
                if is_open.load(Ordering::SeqCst) {
                    tokio::spawn(async move {
                        let mut server = TcpStream::connect(("127.0.0.1", to_port)).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    });
                }
            }
        });
        door
    }
}

#[tokio::test]
async fn while_the_database_is_away_few_reach_for_it_and_one_finds_it_back() {
    const REQUESTS: usize = 300;
    let site = Site::new().await;
    let door = Door::closed(site.database.cluster.port).await;
    let changed = [
        ("DB_PORT", &*door.port.to_string()),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "8"),
    ];
    let ingest = site.start_with(INGEST, &site.environment_with(&changed)).await;
    let event = Request::post(Shape::V2, site.key.expose(), r#"{"a":1}"#);
    let began = Instant::now();
    let answers: Vec<_> = (0..REQUESTS)
        .map(|_| ingest.api.invoke(event.json(), REMAINING))
        .collect();
    for answer in answers {
        let Ok(Outcome::Response(reply)) = answer.await else {
            panic!("no answer:\n{}", ingest.output());
        };
        let answer = Answer::of(&reply);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    }
    // One ahead of the first request, eight at once before anything is known, then one for each interval.
    let intervals = 2 + began.elapsed().as_millis() as usize / 250;
    let came = door.came.load(Ordering::SeqCst);
    assert!(came <= 1 + 8 + intervals, "{came} in {:?}", began.elapsed());

    door.is_open.store(true, Ordering::SeqCst);
    wait::until_async("an event that lands", Duration::from_secs(5), || async {
        (ingest.send(&event).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(ingest.send(&event).await.status, 200, "and all after it");
    let log = ingest.stop().await;
    let spared = log.matches(r#""tag":"spared""#).count();
    assert!(spared > REQUESTS / 2, "{log}");
    let lines = metrics::lines(&log);
    let [open, failed, stored] =
        ["BreakerOpen", "Failed", "Stored"].map(|name| metrics::total(&lines, name) as usize);
    assert!((spared..=failed + 1).contains(&open), "{open}: {log}");
    assert!(failed >= REQUESTS && stored == 2, "{failed}, {stored}: {log}");
}

#[tokio::test]
async fn what_one_sender_may_have_brought_about_keeps_nobody_else_from_the_database() {
    let site = Site::new().await;
    site.fail_where_bad().await;
    let other = site.another_key("other-tenant", None).await;
    let neighbour = Request::post(Shape::V2, other.expose(), r#"{"a":1}"#);
    let ingest = site.start(INGEST).await;
    for code in ["55000", "42P01", "42501", "40001", "57014", "0A000", "ZZ001"] {
        let bad = format!(r#"{{"bad":"{code}"}}"#);
        let bad = Request::post(Shape::V2, site.key.expose(), &bad);
        for _ in 0..2 {
            let answer = ingest.send(&bad).await;
            assert_eq!(
                (answer.status, answer.tag()),
                (503, "unavailable"),
                "{code}: {answer:?}"
            );
        }
        assert_eq!(ingest.send(&neighbour).await.status, 200, "after {code}");
    }
    // What a database says that works for nobody does.
    let full = Request::post(Shape::V2, site.key.expose(), r#"{"bad":"53100"}"#);
    for _ in 0..2 {
        assert_eq!(ingest.send(&full).await.status, 503);
    }
    assert_eq!(ingest.send(&neighbour).await.status, 503);
    let log = ingest.stop().await;
    assert_eq!(log.matches(r#""tag":"spared""#).count(), 1, "{log}");
}
