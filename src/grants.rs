//! Who may do what. So far there is one answer: in anonymous mode everybody
//! may use every subject but those of the messaging system, which the subjects
//! that streams republish on belong to.

use std::sync::Arc;

use crate::{
    classes::Classes,
    config::Config,
    error::{Code, Refusal},
    identity::Identity,
    subject::{Pattern, Subject},
};

/// What the configuration grants to whom.
#[derive(Debug)]
pub struct Rules {
    classes: Arc<Classes>,
}

/// What one client may do. One pointer: there is one per connection.
#[derive(Clone, Debug)]
pub struct Grants(Arc<Granted>);

#[derive(Debug)]
struct Granted {
    classes: Arc<Classes>,
    identity: Identity,
}

impl Rules {
    /// The rules of a configuration.
    pub fn new(_config: &Config, classes: Arc<Classes>) -> Self {
        Self { classes }
    }

    /// What somebody may do.
    ///
    /// # Errors
    /// `forbidden`, when a claim cannot stand where a rule wants it.
    pub fn grant(&self, identity: Identity) -> Result<Grants, Refusal> {
        Ok(Grants(Arc::new(Granted { classes: self.classes.clone(), identity })))
    }
}

impl Grants {
    /// Everything but the system's own subjects.
    pub fn anonymous(classes: Arc<Classes>) -> Self {
        Self(Arc::new(Granted { classes, identity: Identity::anonymous() }))
    }

    /// Whose they are.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Parses what a client asks to receive, and checks that it may.
    ///
    /// # Errors
    /// `bad_subject` or `forbidden`.
    pub fn subscribe(&self, subject: &str) -> Result<Pattern, Refusal> {
        let pattern = Pattern::parse(subject)
            .map_err(|why| Refusal::of(Code::BadSubject, subject, format!("the subject {why}")))?;
        if pattern.is_reserved() {
            return Err(reserved(subject));
        }
        if self.0.classes.is_republished(&pattern) {
            return Err(republished(subject));
        }
        Ok(pattern)
    }

    /// Parses where a client asks to publish, and checks that it may.
    ///
    /// # Errors
    /// `bad_subject` or `forbidden`.
    pub fn publish(&self, subject: &str) -> Result<Subject, Refusal> {
        let parsed = Subject::parse(subject)
            .map_err(|why| Refusal::of(Code::BadSubject, subject, format!("the subject {why}")))?;
        if parsed.is_reserved() {
            return Err(reserved(subject));
        }
        if self.0.classes.republishes(&parsed) {
            return Err(republished(subject));
        }
        Ok(parsed)
    }
}

fn republished(subject: &str) -> Refusal {
    Refusal::of(Code::Forbidden, subject, "a stream repeats its events there for nodes; use the subjects it stores")
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
            assert_eq!(Grants::anonymous(Arc::default()).subscribe(subject).expect_err(subject).code, Code::Forbidden);
        }
        assert_eq!(
            Grants::anonymous(Arc::default()).publish("_INBOX.abc").expect_err("reserved").code,
            Code::Forbidden
        );
        assert_eq!(Grants::anonymous(Arc::default()).publish("a.*").expect_err("wildcard").code, Code::BadSubject);
        assert!(Grants::anonymous(Arc::default()).subscribe(">").is_ok());
    }
}
