//! Conversation with one worker. A root checks all that a worker says against the attempts that it
//! gave to it: a worker can report on them and read their contents, and nothing else.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use frond_root::policy::credits::lease_time;
use frond_root::work::MIN_TIME;
use frond_root::{Done, Emission, FailureKind, Outcome, WorkerNews};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout};

use super::dealing::deal;
use super::peer::{self, Held, Origin, Peer, Wrong};
use super::shared::{Shared, State};
use super::supplies::Supplies;
use super::view::WorkerView;
use crate::carrier::Carrier;
use crate::frames::{
    self, AttemptOf, Emitted, Ended, GivenBack, Join, Lease, More, Need, Pull, Refuse, Said, Started, Waits, owned,
};
use crate::label::line;
use crate::outcome::from_frame;
use crate::session::{self, FrameReceiver, FrameSender, Lost, Settings};

/// Time within which a worker must introduce itself.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// Frames that are heard before the worker gets new attempts.
const BATCH: usize = 256;
/// The most windows, and largest frames, that are queued for a worker. One that does not read what
/// it asks for is dropped.
const MOST_UNREAD: usize = 2;
/// Leaves that one worker may have refused.
const MOST_REFUSED: usize = 1000;
/// The most bytes of a reason that a worker gives.
const MOST_REASON: usize = 4096;

/// Talks with a worker until it is lost.
pub(super) async fn converse(shared: &Arc<Shared>, carrier: Carrier, origin: Origin) -> Lost {
    let (sender, mut receiver) = session::accept(carrier, shared.settings.clone());
    let join = match introduced(&mut receiver).await {
        Ok(join) => join,
        Err(lost) => {
            tracing::warn!(pool = origin.pool.as_deref(), process = ?origin.process, why = %lost, "a worker could not join");
            return lost;
        }
    };
    // Freed after the guard: the next one joins once this one is lost.
    let _turn = match turn(shared, &join, &origin, &mut receiver).await {
        Ok(turn) => turn,
        Err(lost) => return lost,
    };
    let supplies = Supplies::new(sender.clone(), join.engine.clone());
    let (number, mut dropped) = shared.join(join, origin, sender.clone());
    let mut guard = LoseOnDrop { shared: shared.clone(), number, sender: sender.clone(), why: None };
    let conversation = Conversation { shared: shared.clone(), number, sender, supplies };
    deal(shared, number);
    let lost = conversation.listen(&mut receiver, &mut dropped).await;
    guard.why = Some(lost.clone());
    lost
}

/// Introduction of a worker.
async fn introduced(receiver: &mut FrameReceiver) -> Result<Join, Lost> {
    let first = timeout(INTRODUCTION, receiver.recv()).await;
    let frame = first.map_err(|_| Lost::Protocol("did not introduce itself".to_owned()))??;
    let Some(Said::Join(join)) = frames::decoded(frame).map_err(Lost::Protocol)? else {
        return Err(Lost::Protocol("did not introduce itself first".to_owned()));
    };
    peer::check(&join).map_err(Lost::Protocol)?;
    Ok(join)
}

/// Permit of a worker that takes attempts, if its kind needs one. Until there is one, the worker
/// stands ready.
async fn turn(
    shared: &Arc<Shared>,
    join: &Join,
    origin: &Origin,
    receiver: &mut FrameReceiver,
) -> Result<Option<OwnedSemaphorePermit>, Lost> {
    let Some(turns) = origin.turns.clone() else { return Ok(None) };
    if let Ok(turn) = turns.clone().try_acquire_owned() {
        return Ok(Some(turn));
    }
    let _ready = StandsReady::new(shared, WorkerView::spare(join, origin));
    tokio::select! {
        turn = turns.acquire_owned() => turn.map(Some).map_err(|_| Lost::Closed),
        said = receiver.recv() => Err(said.err().unwrap_or_else(|| Lost::Protocol("spoke before its turn".to_owned()))),
    }
}

/// RAII guard of a process that stands ready, and is listed until it takes attempts or ends.
struct StandsReady {
    shared: Arc<Shared>,
    number: u64,
}

impl StandsReady {
    fn new(shared: &Arc<Shared>, worker: WorkerView) -> Self {
        let number = shared.state.lock().absent.stands_ready(worker, Instant::now());
        Self { shared: shared.clone(), number }
    }
}

impl Drop for StandsReady {
    fn drop(&mut self) {
        self.shared.state.lock().absent.stands_ready_no_more(self.number);
    }
}

/// RAII guard that gives up a worker however its conversation ends, a dropped future included.
struct LoseOnDrop {
    shared: Arc<Shared>,
    number: u64,
    sender: FrameSender,
    /// Reason for the loss; `None` if the root gives the worker up.
    why: Option<Lost>,
}

impl Drop for LoseOnDrop {
    fn drop(&mut self) {
        self.shared.lose(self.number, self.why.as_ref());
        // Others may still hold the session: reads that wait until the worker takes their bytes.
        self.sender.close();
    }
}

/// Root's end of a conversation.
struct Conversation {
    shared: Arc<Shared>,
    number: u64,
    sender: FrameSender,
    supplies: Supplies,
}

impl Conversation {
    async fn listen(&self, receiver: &mut FrameReceiver, dropped: &mut oneshot::Receiver<Wrong>) -> Lost {
        loop {
            let first = tokio::select! {
                biased;
                Ok(why) = &mut *dropped => return Lost::Protocol(why),
                frame = receiver.recv() => frame,
            };
            let mut next = match first {
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
            Said::Need(need) => self.need(&need),
            Said::Refuse(refuse) => self.refuse(refuse),
            Said::GivenBack(given_back) => self.given_back(&given_back),
            Said::Held(held) => self.shared.state.lock().recalls.answered(self.number, held),
            Said::Drain(_) => {
                self.shared.drains(self.number);
                Ok(())
            }
            Said::Join(_) => Err("introduced itself twice".to_owned()),
            // Frames for workers, and those of later versions.
            _ => Ok(()),
        }?;
        let Settings { window, frame, .. } = self.shared.settings;
        if self.sender.queued() > MOST_UNREAD * (window + frame) {
            Err("does not read what it asks for".to_owned())
        } else {
            Ok(())
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Peer) -> T) -> Option<T> {
        self.shared.state.lock().peers.get_mut(&self.number).map(act)
    }

    /// Has the worker act on an attempt, if it has that one.
    fn peer<T>(&self, of: &AttemptOf, act: impl FnOnce(&mut Peer) -> Option<Result<T, Wrong>>) -> Result<T, Wrong> {
        let found = self.with(act).flatten();
        found.unwrap_or_else(|| Err(format!("spoke of an attempt that it does not have: {of:?}")))
    }

    /// Looks at an attempt that the worker has.
    fn held<T>(&self, of: &AttemptOf, act: impl FnOnce(&mut Held) -> Result<T, Wrong>) -> Result<T, Wrong> {
        self.peer(of, |peer| peer.held.get_mut(of).map(act))
    }

    fn started(&self, started: &Started) -> Result<(), Wrong> {
        let now = Instant::now();
        let (work, ticket, expiry) = self.peer(&started.of, |peer| peer.started(started, now))?;
        work.start(&ticket, now);
        expiry.into_iter().for_each(|at| self.shared.look_by(at));
        Ok(())
    }

    fn ended(&self, ended: Ended) -> Result<(), Wrong> {
        let of = ended.of;
        let times = self.peer(&of, |peer| peer.ended(&ended, Instant::now()))?;
        let mut outcome = from_frame(Ended { partial: owned(ended.partial), ..ended }, &times);
        let is_cancelled = outcome.result.as_ref().is_err_and(|failure| failure.kind == FailureKind::Cancelled);
        let is_needed = self.held(&of, |held| Ok(held.query.work.stop(held.ticket.id).is_none()))?;
        if is_cancelled && is_needed {
            // A worker that stops a leaf which nobody has stopped is about to end.
            outcome = Outcome::with_its_worker(outcome.ran, "its worker stopped it");
        }
        if let Some(held) = self.shared.release(self.number, &of, Some(outcome.ran)) {
            held.end(outcome, times.ended);
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
                (_, own) if is_retracted => {
                    own.iter().for_each(|own| own.retract());
                    Done::Share(0.0)
                }
                (Some(share), _) => Done::Share(share),
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
            work.emit(id, Emission { partial: owned(partial), done });
        }
        Ok(())
    }

    fn more(&self, more: &More) -> Result<(), Wrong> {
        let (work, ticket) = self.held(&more.of, |held| Ok((held.query.work.clone(), held.ticket.clone())))?;
        let Some(share) = ticket.share.as_deref() else {
            return Err("asked for units of a partition without".to_owned());
        };
        let time = lease_time(self.sender.round_trip());
        let rate = more.rate.filter(|rate| rate.is_finite() && *rate > 0.0);
        let leased = work.lease(&ticket, time, rate, Instant::now()).map(|units| units.end);
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
        self.supplies.pull(pull, content)
    }

    /// Sends the code of a leaf, if it is one of the queries that the worker knows.
    fn need(&self, need: &Need) -> Result<(), Wrong> {
        let codes = {
            let state = self.shared.state.lock();
            state.known(self.number, &need.leaf).map(|query| query.source.codes.clone())
        };
        self.supplies.code(&need.leaf, codes)
    }

    /// Notes that the worker cannot run a leaf, if it is one of the queries that it knows.
    fn refuse(&self, refuse: Refuse) -> Result<(), Wrong> {
        let mut state = self.shared.state.lock();
        let Some(leaf) = state.known(self.number, &refuse.leaf).map(|query| query.source.leaf.clone()) else {
            return Ok(());
        };
        let State { peers, queries, .. } = &mut *state;
        let Some(peer) = peers.get_mut(&self.number).filter(|peer| !peer.refused.contains_key(&leaf)) else {
            return Ok(());
        };
        let why = line(&refuse.why, MOST_REASON);
        tracing::warn!(worker = &*peer.name, why, "a worker cannot run a leaf");
        for query in queries.iter().filter(|query| query.source.leaf == leaf) {
            query.work.hear_of_workers(WorkerNews::Refused { worker: &peer.name, why: &why });
        }
        peer.refused.insert(leaf, why);
        if peer.refused.len() > MOST_REFUSED { Err("refused too many leaves".to_owned()) } else { Ok(()) }
    }

    /// Takes attempts back that did not begin. A worker that could run them, and does not, pauses.
    fn given_back(&self, given_back: &GivenBack) -> Result<(), Wrong> {
        let now = Instant::now();
        for of in &given_back.of {
            self.held(of, |held| match held.started {
                None => Ok(()),
                Some(_) => Err("gave an attempt back that had begun".to_owned()),
            })?;
            let Some(held) = self.shared.release(self.number, of, None) else { continue };
            let query = held.query;
            let is_needed = !query.work.is_closed() && now + MIN_TIME < held.ticket.limits.until;
            self.with(|peer| {
                if is_needed && !peer.refused.contains_key(&query.source.leaf) && peer.has_idle_slot(now) {
                    peer.pause.begin(now);
                }
            });
            query.work.give_back(held.ticket);
            query.local.iter().for_each(|local| local.nudge());
            self.shared.nudged.notify_one();
        }
        Ok(())
    }

    fn say(&self, said: Said) {
        self.sender.post(frames::encoded(said));
    }
}
