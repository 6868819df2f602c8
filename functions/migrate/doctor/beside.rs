//! What this function has beside the database: Amazon S3, over which its answers go; and the queue, which it has not.

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use crate::aws::Aws;
use crate::config::Environment;
use crate::doctor::Finding;

const WAY: &str = "give the function's subnets a gateway endpoint for Amazon S3, or a NAT";

pub fn queue() -> Finding {
    Finding::skipped("migrate has no queue; ask ingest: {\"action\":\"doctor\"} of the ingest function")
}

/// Whether there is a way, and, where a bucket is named, whether this function may write to it.
pub async fn s3(environment: &Environment, bucket: Option<&str>) -> Finding {
    let aws = match environment.aws() {
        Ok(config) => Aws::new(config),
        Err(invalid) => return Finding::skipped(format!("this is no function on AWS: {invalid}")),
    };
    if let Some(bucket) = bucket {
        return match aws.put_object(bucket, "V001/doctor.json", "{}", PATIENCE).await {
            Ok(()) => Finding::ok(format!("V001/doctor.json was put into {bucket}")),
            Err(error) => Finding::failed(
                format!("nothing can be put into {bucket}: {error}"),
                format!("let the function s3:PutObject on V001/* of {bucket}; {WAY}"),
            ),
        };
    }
    let place = aws.place_of_s3();
    match timeout(PATIENCE, TcpStream::connect((place.host.as_str(), place.port))).await {
        Ok(Ok(_)) => Finding::ok(format!("{} takes connections; no bucket was named", place.host)),
        _ => Finding::failed(format!("there is no way to {}", place.host), WAY),
    }
}
