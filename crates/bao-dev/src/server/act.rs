//! Carrying out what a fault rule decided about a request.

use std::time::Duration;

use super::reply::Manner;
use crate::control::Shared;
use crate::envelope::Answer;
use crate::faults::{
    Action, When, edit, edit_all, fail_item, join_batches, reverse_batch, wrong_plaintext,
};
use crate::request::Request;
use crate::state::Node;
use crate::wire::{Ending, Line};

/// What becomes of a request.
pub(super) enum Fate {
    /// It is answered.
    Answered(Answer, Manner),
    /// Its stream ends without an answer.
    Ended,
    /// Nothing happens any more.
    Silence,
}

/// Carries out `action`, and the request as far as that lets it.
pub(super) fn act(
    shared: &Shared,
    node: Node,
    request: &Request,
    action: Option<Action>,
    line: &Line,
) -> Fate {
    let whole = |answer| Fate::Answered(answer, Manner::Whole);
    let end = |how| {
        line.end(how);
        Fate::Silence
    };
    let Some(action) = action else {
        return whole(shared.answer(request, node));
    };
    if let Some(made) = action.answer(&request.target()) {
        return whole(made);
    }
    match action {
        Action::Hang => Fate::Silence,
        Action::Reset => end(Ending::Rst),
        Action::Close => end(Ending::Fin),
        Action::ResetStream => Fate::Ended,
        Action::Rotate { when } => whole(rotated(shared, node, request, when)),
        action => carried_out(shared, node, request, action, &end),
    }
}

/// Actions that begin with the real answer.
fn carried_out(
    shared: &Shared,
    node: Node,
    request: &Request,
    action: Action,
    end: &dyn Fn(Ending) -> Fate,
) -> Fate {
    let mut answer = shared.answer(request, node);
    let mut manner = Manner::Whole;
    match action {
        Action::LoseAnswer => return end(Ending::Fin),
        Action::ResetMidBody => manner = Manner::Cut(Ending::Rst),
        Action::CloseMidBody => manner = Manner::Cut(Ending::Fin),
        Action::SlowBody { bytes, every_ms } => {
            manner = Manner::Slow(bytes, Duration::from_millis(every_ms));
        }
        Action::Truncate { bytes } => {
            let half = answer.body.len() / 2;
            answer.body.truncate(bytes.unwrap_or(half));
        }
        Action::Headers { headers } => answer.headers.extend(headers),
        Action::Edit { pointer, value } => {
            answer.body = edit(&answer.body, &pointer, value.as_ref());
        }
        Action::EditAll { member, value } => {
            answer.body = edit_all(&answer.body, &member, value.as_ref());
        }
        Action::WrongPlaintext => answer.body = wrong_plaintext(&answer.body),
        Action::ReverseBatch => answer.body = reverse_batch(&answer.body),
        Action::FailItem {
            index,
            error,
            status,
        } => {
            let asked = request.partial_failure_code();
            fail_item(&mut answer, index, &error, status, asked);
        }
        Action::Lease { ttl, promised } => {
            answer.body = leased(shared, answer.body, ttl, promised);
        }
        // All others were carried out without the server's answer.
        _ => {}
    }
    Fate::Answered(answer, manner)
}

/// The answer to a login or renewal whose token lives as long as `ttl` says.
fn leased(shared: &Shared, body: Vec<u8>, ttl: i64, promised: Option<i64>) -> Vec<u8> {
    if !shared.shorten_granted(&body, ttl) {
        return body;
    }
    let told = promised.unwrap_or(ttl).into();
    edit(&body, "/auth/lease_duration", Some(&told))
}

fn rotated(shared: &Shared, node: Node, request: &Request, when: When) -> Answer {
    match (when, request.halves()) {
        (When::After, _) => {
            let answer = shared.answer(request, node);
            shared.rotate_key_of(request);
            answer
        }
        (When::During, Some((first, second))) => {
            let first = shared.answer(&first, node);
            shared.rotate_key_of(request);
            join_batches(first, &shared.answer(&second, node))
        }
        (When::Before | When::During, _) => {
            shared.rotate_key_of(request);
            shared.answer(request, node)
        }
    }
}
