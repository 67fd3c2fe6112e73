//! Conversation with one worker. What a worker says is checked against what it was given: it can
//! report on its own attempts and read their contents, and nothing else.

use std::future::ready;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use frond_root::{Done, Emission, FailureKind, Outcome, Usage};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::orders::{content, lease_time, order};
use super::peer::Held;
use super::source::LeafCodes;
use super::{Claimed, Shared};
use crate::carrier::Carrier;
use crate::frames::{
    self, AttemptOf, Code, Content, Emitted, Ended, Lease, More, Need, Pull, Refuse, Run, Said, Started, Waits,
};
use crate::outcome::{failure_to_bytes, from_frame};
use crate::session::{self, FrameReceiver, FrameSender, Lost};
use crate::worker::MAX_PULL;

/// Time within which a worker must introduce itself.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// Frames that are heard before the worker gets new attempts.
const BATCH: usize = 256;
/// Reads of contents at once, for one worker.
const READS: usize = 16;
/// Reads of contents that one worker may have asked for and not got: a slot has one at a time, and
/// a waiting leaf, too.
const MOST_PULLS: usize = 16_384;
/// Leaves that one worker may have refused.
const MOST_REFUSED: usize = 10_000;
/// The most bytes of a reason that a worker gives.
const MOST_REASON: usize = 4096;

/// Gives workers their attempts each time when some may be claimable.
pub(super) async fn deal_when_nudged(shared: Weak<Shared>) {
    loop {
        {
            let Some(shared) = shared.upgrade() else { return };
            let all: Vec<u64> = shared.state.lock().peers.keys().copied().collect();
            for number in all {
                deal(&shared, number);
            }
        }
        let Some(strong) = shared.upgrade() else { return };
        // Woken again soon, so that it ends once nobody else has the workers.
        let _ = timeout(LOOK, strong.nudged.notified()).await;
    }
}

/// Time after which it is looked for workers without a nudge.
const LOOK: Duration = Duration::from_secs(1);

/// Gives a worker its attempts.
fn deal(shared: &Arc<Shared>, number: u64) {
    let sender = shared.state.lock().peers.get(&number).map(|peer| peer.sender.clone());
    let Some(sender) = sender else { return };
    loop {
        let claimed = shared.claim(number);
        let failed = claimed.into_iter().map(|claimed| run(shared, number, &sender, claimed)).sum::<usize>();
        // Those whose contents cannot be read have made room.
        if failed == 0 {
            return;
        }
    }
}

/// Has a worker run attempts. Returns how many failed at once.
fn run(shared: &Shared, number: u64, sender: &FrameSender, (query, tickets): Claimed) -> usize {
    let mut orders = Vec::with_capacity(tickets.len());
    let mut failed = 0;
    for ticket in tickets {
        let now = Instant::now();
        match content(&*ticket.partition.content) {
            Ok(content) => orders.push(order(&query, &ticket, content, now)),
            Err(failure) => {
                failed += 1;
                let of = super::attempt_of(&query, &ticket);
                if shared.release(number, &of, None).is_some() {
                    query.work.start(&ticket, now);
                    let outcome = Outcome {
                        result: Err(Box::new(failure)),
                        ..Outcome::succeeded(Bytes::new(), Duration::ZERO, Usage::default())
                    };
                    query.work.end(ticket, outcome, now);
                }
            }
        }
    }
    if !orders.is_empty() {
        sender.post(frames::encoded(Said::Run(Run { query: query.number, orders })));
    }
    failed
}

/// Talks with a worker until it is lost.
pub(super) async fn converse(shared: &Arc<Shared>, carrier: Carrier) -> Lost {
    let (sender, mut receiver) = session::accept(carrier, shared.settings.clone());
    let join = match timeout(INTRODUCTION, receiver.recv()).await {
        Err(_) => return Lost::Protocol("did not introduce itself".to_owned()),
        Ok(Err(lost)) => return lost,
        Ok(Ok(frame)) => match frames::decoded(frame) {
            Ok(Some(Said::Join(join))) => join,
            Ok(_) => return Lost::Protocol("did not introduce itself first".to_owned()),
            Err(why) => return Lost::Protocol(why),
        },
    };
    let engine = join.engine.clone();
    let number = shared.join(join, sender.clone());
    let reads = Arc::new(Semaphore::new(READS));
    let pulls = Arc::new(Semaphore::new(MOST_PULLS));
    let peer = Conversation { shared: shared.clone(), number, sender, engine, reads, pulls };
    let mut guard = LoseOnDrop { shared: shared.clone(), number, why: Lost::Closed };
    deal(shared, number);
    let lost = peer.listen(&mut receiver).await;
    guard.why = lost.clone();
    lost
}

/// RAII guard that gives up a worker however its conversation ends, a dropped future included.
struct LoseOnDrop {
    shared: Arc<Shared>,
    number: u64,
    why: Lost,
}

impl Drop for LoseOnDrop {
    fn drop(&mut self) {
        self.shared.lose(self.number, &self.why);
    }
}

/// Root's end of a conversation.
struct Conversation {
    shared: Arc<Shared>,
    number: u64,
    sender: FrameSender,
    engine: String,
    reads: Arc<Semaphore>,
    pulls: Arc<Semaphore>,
}

/// What a worker did against the protocol.
type Wrong = String;

impl Conversation {
    async fn listen(&self, receiver: &mut FrameReceiver) -> Lost {
        loop {
            let mut next = match receiver.recv().await {
                Ok(frame) => Some(frame),
                Err(lost) => return lost,
            };
            let mut heard = 0;
            while let Some(frame) = next.take() {
                if let Err(wrong) = frames::decoded(frame).and_then(|said| said.map_or(Ok(()), |said| self.hear(said)))
                {
                    return Lost::Protocol(wrong);
                }
                heard += 1;
                if heard < BATCH {
                    next = tokio::select! {
                        biased;
                        frame = receiver.recv() => match frame {
                            Ok(frame) => Some(frame),
                            Err(lost) => return lost,
                        },
                        () = ready(()) => None,
                    };
                }
            }
            deal(&self.shared, self.number);
        }
    }

    fn hear(&self, said: Said) -> Result<(), Wrong> {
        match said {
            Said::Started(started) => self.started(&started),
            Said::Ended(ended) => self.ended(ended),
            Said::Emitted(emitted) => self.emitted(emitted),
            Said::More(more) => self.more(&more),
            Said::Waits(waits) => self.waits(&waits),
            Said::Pull(pull) => self.pull(pull),
            Said::Need(need) => self.need(need),
            Said::Refuse(refuse) => self.refuse(refuse),
            Said::GivenBack(given_back) => given_back.of.iter().try_for_each(|of| self.given_back(of)),
            Said::Drain(_) => {
                self.with(|peer| peer.is_draining = true);
                Ok(())
            }
            Said::Join(_) => Err("introduced itself twice".to_owned()),
            // Frames for workers, and those of later versions.
            _ => Ok(()),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut super::Peer) -> T) -> Option<T> {
        self.shared.state.lock().peers.get_mut(&self.number).map(act)
    }

    /// Looks at an attempt that the worker has.
    fn held<T>(&self, of: &AttemptOf, act: impl FnOnce(&mut Held) -> Result<T, Wrong>) -> Result<T, Wrong> {
        let found = self.with(|peer| peer.held.get_mut(of).map(act));
        found.flatten().unwrap_or_else(|| Err(format!("spoke of an attempt that it does not have: {of:?}")))
    }

    fn started(&self, started: &Started) -> Result<(), Wrong> {
        let first = self.with(|peer| (peer.first, peer.slots)).unwrap_or_default();
        let now = Instant::now();
        let (work, ticket) = self.held(&started.of, |held| {
            if held.started.replace(now).is_some() {
                return Err("started an attempt twice".to_owned());
            }
            held.ticket.slot = first.0 + started.slot.min(first.1.saturating_sub(1));
            Ok((held.query.work.clone(), held.ticket.clone()))
        })?;
        work.start(&ticket, now);
        Ok(())
    }

    fn ended(&self, ended: Ended) -> Result<(), Wrong> {
        let now = Instant::now();
        let of = ended.of;
        self.held(&of, |held| {
            let begun = held.started.is_some();
            let small = ended.partial.len() as u64 <= held.query.source.output;
            let took = match (&held.ticket.share, ended.took) {
                (Some(share), Some(took)) => share.settle(took.taken, took.is_skipped, took.has_asked),
                (None, None) => true,
                _ => false,
            };
            let fits = begun && small && took;
            fits.then_some(()).ok_or_else(|| "ended an attempt in a way that cannot be".to_owned())
        })?;
        let mut outcome = from_frame(ended, now);
        let is_cancelled = outcome.result.as_ref().is_err_and(|failure| failure.kind == FailureKind::Cancelled);
        let is_needed = self.held(&of, |held| Ok(held.query.work.stop(held.ticket.id).is_none()))?;
        if is_cancelled && is_needed {
            // A worker that stops a leaf which nobody has stopped is about to end.
            outcome = Outcome::with_its_worker(outcome.ran, "its worker stopped it");
        }
        if let Some(held) = self.shared.release(self.number, &of, Some(outcome.ran)) {
            if held.is_waiting {
                held.query.work.resume(held.ticket.id);
            }
            held.query.work.end(held.ticket, outcome, now);
        }
        Ok(())
    }

    fn emitted(&self, emitted: Emitted) -> Result<(), Wrong> {
        let Emitted { of, partial, share, kept, is_retracted } = emitted;
        let (work, id, done) = self.held(&of, |held| {
            if held.started.is_none() || partial.len() as u64 > held.query.source.output {
                return Err("emitted a partial that cannot be".to_owned());
            }
            let done = match (share, &held.ticket.share) {
                (Some(share), _) => Done::Share(share),
                (None, _) if is_retracted => Done::Share(0.0),
                (None, Some(own)) => {
                    let (range, of) = own.keep_to(kept).ok_or_else(|| "kept units that it does not have".to_owned())?;
                    Done::Units { begin: range.start, end: range.end, of }
                }
                (None, None) => return Err("kept units of a partition without".to_owned()),
            };
            Ok((held.query.work.clone(), held.ticket.id, done))
        })?;
        if is_retracted {
            work.retract(id);
        } else {
            work.emit(id, Emission { partial, done });
        }
        Ok(())
    }

    fn more(&self, more: &More) -> Result<(), Wrong> {
        let (work, ticket) = self.held(&more.of, |held| Ok((held.query.work.clone(), held.ticket.clone())))?;
        let Some(share) = ticket.share.as_deref() else {
            return Err("asked for units of a partition without".to_owned());
        };
        let time = lease_time(self.sender.round_trip());
        let leased = work.lease(&ticket, time, Instant::now()).map(|units| units.end);
        let end = share.stretch().end;
        self.say(Said::Lease(Lease { of: more.of, leased: leased.unwrap_or(end), end }));
        Ok(())
    }

    fn waits(&self, waits: &Waits) -> Result<(), Wrong> {
        let (work, id) = self.held(&waits.of, |held| {
            if held.started.is_none() || held.is_waiting == waits.is_waiting {
                return Err("waited in a way that cannot be".to_owned());
            }
            held.is_waiting = waits.is_waiting;
            Ok((held.query.work.clone(), held.ticket.id))
        })?;
        if waits.is_waiting {
            self.with(|peer| peer.waits += 1);
            work.wait(id);
        } else {
            self.with(|peer| peer.waits -= 1);
            work.resume(id);
        }
        Ok(())
    }

    fn pull(&self, pull: Pull) -> Result<(), Wrong> {
        let content = self.held(&pull.of, |held| Ok(held.ticket.partition.content.clone()))?;
        let asked = self.pulls.clone().try_acquire_owned().map_err(|_| "reads too much at once".to_owned())?;
        if pull.len > MAX_PULL {
            return Err("reads too much at once".to_owned());
        }
        let reads = self.reads.clone();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let _asked = asked;
            // The semaphore is never closed.
            let Ok(_read) = reads.acquire().await else { return };
            let len = usize::try_from(pull.len).unwrap_or_default();
            let read = tokio::task::spawn_blocking(move || content.read(pull.offset, len)).await;
            let (bytes, failure) = match read {
                Ok(Ok(bytes)) => (bytes, None),
                Ok(Err(failure)) => (Bytes::new(), Some(failure_to_bytes(&failure))),
                Err(_) => (Bytes::new(), Some(Bytes::new())),
            };
            // A lost worker needs it no more.
            let _ = sender.send(frames::encoded(Said::Content(Content { pull: pull.pull, bytes, failure }))).await;
        });
        Ok(())
    }

    fn need(&self, need: Need) -> Result<(), Wrong> {
        let leaf = need.leaf;
        let codes = self.codes(&leaf);
        let sender = self.sender.clone();
        let engine = self.engine.clone();
        tokio::spawn(async move {
            let made = match codes {
                Some(codes) => tokio::task::spawn_blocking(move || codes.code(&engine))
                    .await
                    .unwrap_or_else(|lost| Err(lost.to_string())),
                None => Err("its query is over".to_owned()),
            };
            let code = match made {
                Ok(code) => Code {
                    leaf,
                    settings: code.settings,
                    component: code.component,
                    compiled: code.compiled,
                    missing: None,
                },
                Err(why) => Code { leaf, missing: Some(why), ..Code::default() },
            };
            // A lost worker needs it no more.
            let _ = sender.send(frames::encoded(Said::Code(code))).await;
        });
        Ok(())
    }

    fn codes(&self, leaf: &Bytes) -> Option<Arc<dyn LeafCodes>> {
        let state = self.shared.state.lock();
        state.queries.iter().find(|query| query.source.leaf == *leaf).map(|query| query.source.codes.clone())
    }

    fn refuse(&self, refuse: Refuse) -> Result<(), Wrong> {
        let Refuse { leaf, mut why } = refuse;
        why.truncate(why.floor_char_boundary(MOST_REASON));
        tracing::warn!(worker = self.with(|peer| peer.name.clone()), why, "a worker cannot run a leaf");
        let many = self.with(|peer| {
            peer.refused.insert(leaf, why);
            peer.refused.len() > MOST_REFUSED
        });
        if many == Some(true) { Err("refused too many leaves".to_owned()) } else { Ok(()) }
    }

    fn given_back(&self, of: &AttemptOf) -> Result<(), Wrong> {
        self.held(of, |held| match held.started {
            None => Ok(()),
            Some(_) => Err("gave an attempt back that had begun".to_owned()),
        })?;
        if let Some(held) = self.shared.release(self.number, of, None) {
            held.query.work.give_back(held.ticket);
            held.query.local.iter().for_each(|local| local.nudge());
            self.shared.nudged.notify_one();
        }
        Ok(())
    }

    fn say(&self, said: Said) {
        self.sender.post(frames::encoded(said));
    }
}
