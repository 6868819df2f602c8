//! The queue that keeps events while the database is away, and where its dead letters rest.
//!
//! In: `QUEUE_URL`, `DEAD_LETTERS_URL`, and who this function is to AWS. Out: all of it, or none where there is no
//! queue.

use super::{invalid, Aws, Environment, Invalid};

/// Two queues of Amazon SQS.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Where events wait.
    pub url: String,
    /// Where those rest that the database refuses.
    pub dead_letters_url: String,
    /// Who sends them.
    pub aws: Aws,
}

impl Environment {
    /// The queue; `None` where there is to be none.
    ///
    /// # Errors
    /// The first variable that is missing or cannot be understood.
    pub fn queue(&self) -> Result<Option<Queue>, Invalid> {
        let urls = (self.queue_url("QUEUE_URL")?, self.queue_url("DEAD_LETTERS_URL")?);
        match urls {
            (None, None) => Ok(None),
            (Some(url), Some(dead_letters_url)) => Ok(Some(Queue {
                url,
                dead_letters_url,
                aws: self.aws()?,
            })),
            (Some(_), None) => Err(invalid(
                "DEAD_LETTERS_URL",
                "is off and QUEUE_URL is not; set both or neither".to_owned(),
            )),
            (None, Some(_)) => Err(invalid(
                "QUEUE_URL",
                "is off and DEAD_LETTERS_URL is not; set both or neither".to_owned(),
            )),
        }
    }

    fn queue_url(&self, name: &'static str) -> Result<Option<String>, Invalid> {
        match self.text_or_default(name)?.as_str() {
            "off" => Ok(None),
            url if url.starts_with("https://") || url.starts_with("http://") => Ok(Some(url.to_owned())),
            other => Err(invalid(
                name,
                format!("must be off or the URL of a queue, got {other:?}"),
            )),
        }
    }
}
