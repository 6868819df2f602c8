//! The queue that keeps events while the database is away, and where its dead letters rest.
//!
//! In: `QUEUE_URL`, `DEAD_LETTERS_URL`, and who this function is to AWS. Out: all of it, or none where there is no
//! queue.

use super::{invalid, withheld, Aws, Environment, Invalid};

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
                format!("must be off or the URL of a queue, got {}", withheld(other)),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_queues_or_none_and_a_fault_names_the_variable() {
        let url = "https://sqs.eu-west-1.amazonaws.com/1/events";
        for (queue, dead_letters, expected) in [
            (None, None, Ok(false)),
            (Some("off"), Some("off"), Ok(false)),
            (Some(url), Some(url), Ok(true)),
            (
                Some(url),
                None,
                Err("DEAD_LETTERS_URL is off and QUEUE_URL is not"),
            ),
            (
                None,
                Some(url),
                Err("QUEUE_URL is off and DEAD_LETTERS_URL is not"),
            ),
            (
                Some("events"),
                Some(url),
                Err("QUEUE_URL must be off or the URL of a queue, got 6 characters"),
            ),
        ] {
            let owned = |value: Option<&str>| value.map(str::to_owned);
            let environment = Environment::of_process().replaced([
                ("QUEUE_URL", owned(queue)),
                ("DEAD_LETTERS_URL", owned(dead_letters)),
                ("AWS_REGION", Some("eu-west-1".to_owned())),
                ("AWS_ACCESS_KEY_ID", Some("id".to_owned())),
                ("AWS_SECRET_ACCESS_KEY", Some("secret".to_owned())),
                ("AWS_SESSION_TOKEN", None),
                ("AWS_ENDPOINT_URL", None),
            ]);
            match (environment.queue(), expected) {
                (Ok(found), Ok(is_there)) => assert_eq!(found.is_some(), is_there, "{queue:?}"),
                (Err(fault), Err(says)) => assert!(fault.to_string().starts_with(says), "{fault}"),
                (found, _) => panic!("{queue:?} {dead_letters:?}: {found:?}"),
            }
        }
    }
}
