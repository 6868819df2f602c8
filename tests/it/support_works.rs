//! The world around the functions is what it says it is.

use crate::support::database::Database;
use crate::support::postgres::{Cluster, Version};
use crate::support::proxy::Proxy;

#[tokio::test]
async fn each_version_runs_with_tls_and_a_database_per_test() {
    for (version, least, most) in [
        (Version::Oldest, 12, 12),
        (Version::Default, 12, 99),
        (Version::Newest, 18, 99),
    ] {
        let database = Database::empty(Cluster::shared(version)).await;
        let client = database.superuser().await;
        let row = client
            .query_one(
                "select current_setting('server_version_num')::int / 10000, ssl
                 from pg_stat_ssl where pid = pg_backend_pid()",
                &[],
            )
            .await
            .unwrap();
        let (major, tls): (i32, bool) = (row.get(0), row.get(1));
        assert!(
            (least..=most).contains(&major) && tls,
            "{version:?}: {major}, TLS {tls}"
        );
    }
}

#[tokio::test]
async fn a_stopped_server_comes_back_on_its_port_with_its_data() {
    let cluster = Cluster::own(Version::Default);
    let database = Database::empty(&cluster).await;
    database
        .superuser()
        .await
        .batch_execute("create table kept ()")
        .await
        .unwrap();
    cluster.stop();
    cluster.start_again();
    database
        .superuser()
        .await
        .batch_execute("select from kept")
        .await
        .unwrap();
}

#[tokio::test]
async fn the_counting_proxy_sees_each_message_and_no_tls() {
    let cluster = Cluster::shared(Version::Default);
    let database = Database::empty(cluster).await;
    let user = database.login("").await;
    let proxy = Proxy::clear_text(cluster.port).await;
    let mut config = tokio_postgres::Config::new();
    config
        .host("127.0.0.1")
        .port(proxy.port)
        .dbname(&database.name)
        .user(&user)
        .password(&user);
    config.ssl_mode(tokio_postgres::config::SslMode::Prefer);
    let connector = native_tls::TlsConnector::new().unwrap();
    let (client, connection) = config
        .connect(postgres_native_tls::MakeTlsConnector::new(connector))
        .await
        .unwrap();
    tokio::spawn(connection);
    proxy.messages();
    client.simple_query("select 1").await.unwrap();
    client.query_typed("select 1", &[]).await.unwrap();
    assert_eq!(proxy.messages(), "QPBDES");
    proxy.reset_all();
    assert!(client.simple_query("select 1").await.is_err());
}
