//! Who may do what. So far there is one answer: in anonymous mode everybody
//! may use every subject but those of the messaging system.

use crate::{
    error::{Code, Refusal},
    subject::{Pattern, Subject},
};

/// What one client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grants {
    /// Everything but the system's own subjects.
    Anonymous,
}

impl Grants {
    /// Parses what a client asks to receive, and checks that it may.
    ///
    /// # Errors
    /// `bad_subject` or `forbidden`.
    pub fn subscribe(self, subject: &str) -> Result<Pattern, Refusal> {
        let pattern = Pattern::parse(subject)
            .map_err(|why| Refusal::of(Code::BadSubject, subject, format!("the subject {why}")))?;
        if pattern.is_reserved() {
            return Err(reserved(subject));
        }
        Ok(pattern)
    }

    /// Parses where a client asks to publish, and checks that it may.
    ///
    /// # Errors
    /// `bad_subject` or `forbidden`.
    pub fn publish(self, subject: &str) -> Result<Subject, Refusal> {
        let parsed = Subject::parse(subject)
            .map_err(|why| Refusal::of(Code::BadSubject, subject, format!("the subject {why}")))?;
        if parsed.is_reserved() {
            return Err(reserved(subject));
        }
        Ok(parsed)
    }
}

fn reserved(subject: &str) -> Refusal {
    Refusal::of(
        Code::Forbidden,
        subject,
        "subjects whose first token begins with `$` or `_` belong to the messaging system; choose another one",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_subjects_are_out_of_reach() {
        for subject in ["$JS.API.>", "$SYS.ACCOUNT.x", "_INBOX.abc", "$KV.bucket.key"] {
            assert_eq!(Grants::Anonymous.subscribe(subject).expect_err(subject).code, Code::Forbidden);
        }
        assert_eq!(Grants::Anonymous.publish("_INBOX.abc").expect_err("reserved").code, Code::Forbidden);
        assert_eq!(Grants::Anonymous.publish("a.*").expect_err("wildcard").code, Code::BadSubject);
        assert!(Grants::Anonymous.subscribe(">").is_ok());
    }
}
