//! The logins that ingest connects with: made right behind an apply, taken away before a rollback.

use tokio_postgres::error::SqlState;

use super::Attempt;
use crate::migrate::failure::Failure;
use crate::migrate::login;
use crate::migrate::notes::Weight;
use crate::migrate::plan::Wish;
use crate::migrate::report::Outcome;

impl Attempt<'_> {
    /// Makes the ingest login what the order says; says nothing to the database where it is so already.
    pub(super) async fn ready_login(&mut self) -> Result<(), Failure> {
        let (Some(login), Wish::Have(_)) = (&self.order.login, &self.order.wish) else {
            return Ok(());
        };
        let standing = login::standing(self.client, login).await?;
        let statements = login::statements(login, &standing, self.proof)?;
        for statement in &statements {
            let sent = self.client.batch_execute(statement).await;
            sent.map_err(|error| {
                missing_right(error.into(), || login::remedy(&standing, &statements, statement))
            })?;
        }
        if !statements.is_empty() && self.report.outcome == Outcome::Unchanged {
            self.report.outcome = Outcome::Applied;
            self.report.reason += &format!("; login {} was made right", login.name);
        }
        self.report
            .notes
            .extend(Weight::Act, login::note(login, &standing, self.proof));
        Ok(())
    }

    /// Takes away the logins that were made for ingest; what something else hangs on stays and is reported.
    pub(super) async fn remove_logins(&mut self) -> Result<(), Failure> {
        let (go, stay) = login::leaving(self.client).await?;
        self.report.notes.extend(Weight::Aside, stay);
        for statement in go {
            self.client.batch_execute("savepoint login").await?;
            match self.client.batch_execute(&statement).await.map_err(Failure::from) {
                Ok(()) => self.client.batch_execute("release savepoint login").await?,
                Err(failure) if is_in_use(&failure) => {
                    self.client.batch_execute("rollback to savepoint login").await?;
                    let note = format!("{statement} was not possible: {failure}");
                    self.report.notes.push(Weight::Know, note);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

fn is_in_use(failure: &Failure) -> bool {
    failure.is(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) || failure.is(&SqlState::INSUFFICIENT_PRIVILEGE)
}

fn missing_right(failure: Failure, remedy: impl FnOnce() -> String) -> Failure {
    if !failure.is(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return failure;
    }
    Failure {
        remedy: Some(remedy()),
        ..failure
    }
}
