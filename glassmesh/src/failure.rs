//! How a command ends that did not succeed.

use std::{fmt, process::ExitCode};

use crate::out::{self, BAD, Styled};

/// What a console refused because it was asked wrongly; becomes [`Failure::Invalid`].
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

impl fmt::Display for Refused {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Why a command failed; decides the exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was given is wrong; nothing was done. Exit code 2, as for wrong arguments.
    Invalid(String),
    /// It was right and did not work. Exit code 1.
    Failed(anyhow::Error),
    /// The answer is a bad one, and has been given. Exit code 1.
    Told,
    /// A command that was run ended with this code, which becomes ours.
    Code(u8),
    /// Cut short by a second signal. Exit code 130, as shells have it for SIGINT.
    Killed,
}

impl Failure {
    /// Says why on stderr.
    pub(crate) fn report(&self) -> ExitCode {
        let error = Styled(BAD, "error:");
        match self {
            Self::Invalid(why) => {
                out::note(format_args!("{error} {why}"));
                ExitCode::from(2)
            }
            Self::Failed(why) => {
                out::note(format_args!("{error} {}", told(why)));
                ExitCode::FAILURE
            }
            Self::Told => ExitCode::FAILURE,
            Self::Code(code) => ExitCode::from(*code),
            Self::Killed => ExitCode::from(130),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        match error.into().downcast::<Refused>() {
            Ok(Refused(why)) => Self::Invalid(why),
            Err(error) => Self::Failed(error),
        }
    }
}

/// The error and its causes, without those that it names itself.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_named_already_is_not_said_twice() {
        let cause = anyhow::anyhow!("address in use");
        let error = cause.context("cannot listen: address in use; choose another");
        assert_eq!(told(&error), error.to_string());
        let cause = anyhow::anyhow!("refused");
        let error = cause.context("no console answers");
        assert_eq!(told(&error), "no console answers: refused");
    }
}
