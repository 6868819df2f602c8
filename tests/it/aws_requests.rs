//! Requests to services of AWS arrive, are answered within their time, and cost one connection while all is well.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::Response;
use hyper_util::rt::TokioIo;
use serde_json::json;
use site_tracking::aws::{AwsError, Service};
use tokio::net::TcpListener;

use crate::support::moto::{client, Moto};
use crate::support::proxy::Proxy;

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_message_that_was_sent_is_received() {
    let moto = Moto::start();
    let queue = moto.queue("events").await;
    let text = r#"{"text":"ä\u0001"}"#;
    let body = json!({ "QueueUrl": queue, "MessageBody": text });
    moto.ask(Service::Sqs, "AmazonSQS.SendMessage", body).await;
    let body = json!({ "QueueUrl": queue });
    let received = moto.ask(Service::Sqs, "AmazonSQS.ReceiveMessage", body).await;
    assert_eq!(received["Messages"][0]["Body"], text, "{received}");

    let aws = moto.client();
    let nowhere = json!({ "QueueUrl": queue.replace("events", "none"), "MessageBody": "a" }).to_string();
    let refused = aws
        .call(Service::Sqs, "AmazonSQS.SendMessage", nowhere, LIMIT)
        .await;
    assert!(
        matches!(&refused, Err(AwsError::Refused { status: 400, code }) if code.contains("Queue")),
        "{refused:?}"
    );
    let refused = aws.put_object("no-such-bucket", "a/b c", "body", LIMIT).await;
    let code = "NoSuchBucket".to_owned();
    assert_eq!(refused, Err(AwsError::Refused { status: 404, code }));
}

#[tokio::test]
async fn a_connection_is_kept_and_one_that_died_is_made_anew() {
    let (port, connections) = answering().await;
    let proxy = Proxy::transparent(port).await;
    let aws = client(&format!("http://127.0.0.1:{}", proxy.port));
    let ask = || aws.call(Service::Sqs, "AmazonSQS.SendMessage", "{}", LIMIT);
    for _ in 0..5 {
        assert_eq!(ask().await.unwrap(), "{}");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    for round in 2..6 {
        proxy.reset_all();
        assert_eq!(ask().await.unwrap(), "{}");
        assert_eq!(connections.load(Ordering::Relaxed), round);
    }
}

#[tokio::test]
async fn a_service_that_is_away_or_silent_costs_no_more_than_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let within = Duration::from_millis(300);
    let began = Instant::now();
    let silent = client(&url).call(Service::Sqs, "a", "{}", within).await;
    assert_eq!(silent, Err(AwsError::TimedOut));
    assert!(began.elapsed() < 10 * within, "{:?}", began.elapsed());
    drop(listener);
    let away = client(&url).call(Service::Sqs, "a", "{}", LIMIT).await;
    assert!(matches!(away, Err(AwsError::Network(_))), "{away:?}");
}

/// Says `{}` to everything; how many connections it took.
async fn answering() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let service = service_fn(|_| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    (port, connections)
}
