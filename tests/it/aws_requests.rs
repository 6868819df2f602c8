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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

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
    // Nothing goes out before TLS and TCP are done: a queue that is not reached has nothing.
    let tls = client(&url.replace("http:", "https:"))
        .call(Service::Sqs, "a", "{}", within)
        .await;
    assert!(matches!(tls, Err(AwsError::Network(_))), "{tls:?}");
    let (full, _waiting) = full().await;
    let unreached = client(&full).call(Service::Sqs, "a", "{}", within).await;
    assert!(matches!(unreached, Err(AwsError::Network(_))), "{unreached:?}");
    drop(listener);
    let away = client(&url).call(Service::Sqs, "a", "{}", LIMIT).await;
    assert!(matches!(away, Err(AwsError::Network(_))), "{away:?}");
}

/// A host that drops who wants to connect, as a network without a way to the service does; as long as these are kept.
async fn full() -> (String, (TcpListener, Vec<TcpStream>)) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let place = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(place)).await {
        waiting.push(stream.unwrap());
    }
    (format!("http://{place}"), (listener, waiting))
}

/// A connection that is lost, and then a no: what was asked first may have been done.
#[tokio::test]
async fn a_refusal_of_a_second_attempt_says_nothing_of_the_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let aws = client(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        for answers in [&[Some("200 OK"), None][..], &[Some("403 Forbidden"); 2]] {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                let mut request = Vec::new();
                while !request.ends_with(b"{}") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                let Some(status) = answer else { break };
                let text = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
    });
    let ask = || aws.call(Service::Sqs, "AmazonSQS.SendMessage", "{}", LIMIT);
    assert_eq!(ask().await.unwrap(), "{}");
    let second = ask().await;
    assert!(matches!(second, Err(AwsError::Unanswered(_))), "{second:?}");
    let third = ask().await;
    assert!(
        matches!(third, Err(AwsError::Refused { status: 403, .. })),
        "{third:?}"
    );
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
