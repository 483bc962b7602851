//! Claims: offers out, grants in.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use tradewind_proto::{v1, worker_client};
use tradewind_types::{ApiError, AttemptKey, LeaseToken};
use uuid::Uuid;

use crate::{
    attempt, callback_task,
    grant::{Granted, GrantedCallback},
    session::{Session, Slot},
};

/// A free slot, offered under a token of its own. Repeating the offer repeats its answer.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) token: LeaseToken,
    pub(crate) hint: Option<AttemptKey>,
    pub(crate) slot: Slot,
}

impl Offer {
    pub(crate) fn new(hint: Option<AttemptKey>, slot: Slot) -> Self {
        Self { token: LeaseToken(Uuid::new_v4()), hint, slot }
    }

    pub(crate) fn wire(&self) -> v1::ClaimOffer {
        v1::ClaimOffer { token: self.token.0.to_string(), hint: self.hint.map(|hint| hint.to_string()) }
    }
}

/// Counts a claim whose outcome is open, so that a drain waits for it.
pub(crate) struct OpenClaim(Arc<Session>);

impl OpenClaim {
    pub(crate) fn new(session: &Arc<Session>) -> Self {
        session.claims.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(session))
    }
}

impl Drop for OpenClaim {
    fn drop(&mut self) {
        self.0.claims.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Claims in one call and starts what is granted. Answers how many were. While the outcome is unknown, the same offers
/// are repeated: a grant that nobody hears of would cost the task its lease.
pub(crate) async fn claim(session: &Arc<Session>, offers: Vec<Offer>) -> Result<usize, ApiError> {
    let _open = OpenClaim::new(session);
    let sent = Instant::now();
    let request = v1::ClaimRequest {
        worker: session.settings.name.to_string(),
        incarnation: session.incarnation.to_string(),
        offers: offers.iter().map(Offer::wire).collect(),
    };
    let answer = session
        .client
        .call(session.terms().lease, |channel| {
            let request = request.clone();
            async move { worker_client(channel).claim(request).await }
        })
        .await?;
    Ok(take(session, offers, answer.answers, sent))
}

/// Starts the grants among the answers, one answer an offer. `sent` is when the offers first went out.
pub(crate) fn take(session: &Arc<Session>, offers: Vec<Offer>, answers: Vec<v1::ClaimAnswer>, sent: Instant) -> usize {
    let mut started = 0;
    for (offer, answer) in offers.into_iter().zip(answers) {
        match answer.answer {
            Some(v1::claim_answer::Answer::Granted(grant)) => match Granted::parse(grant) {
                Ok(granted) if granted.token == offer.token => {
                    started += 1;
                    attempt::start(session, granted, offer.slot, sent);
                }
                Ok(_) => tracing::error!("the leader granted a claim under another token; it is dropped"),
                Err(error) => tracing::error!(%error, "the leader granted something that makes no sense"),
            },
            Some(v1::claim_answer::Answer::Callback(grant)) => match GrantedCallback::parse(grant) {
                Ok(granted) if granted.token == offer.token => {
                    started += 1;
                    callback_task::start(session, granted, offer.slot, sent);
                }
                Ok(_) => tracing::error!("the leader granted a callback under another token; it is dropped"),
                Err(error) => tracing::error!(%error, "the leader granted a callback that makes no sense"),
            },
            Some(v1::claim_answer::Answer::Refused(why)) => {
                tracing::debug!(hint = ?offer.hint, why, "the claim was refused");
            }
            Some(v1::claim_answer::Answer::Nothing(_)) | None => {}
        }
    }
    started
}
