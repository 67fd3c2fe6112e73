//! Loads of apps, each on a thread of its own and within a time of its own.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Reconciler;
use crate::apps::commands::{Command, CommandKind, Done};
use crate::apps::error::{ChangeError, Refusal, Stage};
use crate::apps::folder::FolderSnapshot;
use crate::apps::load::Load;
use crate::apps::version::Version;
use crate::apps::view::{AppView, RefusedChange};

/// The most apps that are loaded at once. One whose time is over does not count.
const MAX_LOADS: usize = 4;
/// When a change is tried again that passed, and could not be stored.
const STORE_AGAIN: Duration = Duration::from_secs(30);
/// When an app is loaded again whose load took too long, once that has ended.
const LOAD_AGAIN: Duration = Duration::from_secs(300);

/// How long a load has to be served that is through when its time is over.
const MOMENT: Duration = Duration::from_secs(1);

/// Where whoever asked for a change is told what came of it.
type Reply = oneshot::Sender<Result<Arc<Version>, ChangeError>>;

/// A load under way.
pub(super) struct Running {
    /// Which one.
    number: u64,
    pub(super) load: Arc<Load>,
    /// When its time is over.
    pub(super) until: Instant,
    /// Its time is over: whoever waited for it has been told, and its thread is left to itself.
    pub(super) is_overdue: bool,
    reply: Option<Reply>,
    /// The bytes of the order that it carries out.
    bytes: u64,
}

/// What a thread does with an app.
enum Task {
    /// Takes up what was seen of its folder.
    Follow,
    /// Does what somebody asks for.
    Obey(CommandKind),
}

impl Reconciler {
    /// True when an order for this app can be taken: it will be carried out, or refused, at once.
    pub(super) fn is_heard(&self, name: &str) -> bool {
        self.is_free(name) || self.running.get(name).is_some_and(|running| running.is_overdue)
    }

    /// True when a load of this app can begin.
    fn is_free(&self, name: &str) -> bool {
        let under_way = self.running.values().filter(|running| !running.is_overdue).count();
        let settles = self.settling.contains_key(name) && !self.restless.contains_key(name);
        under_way < MAX_LOADS && !settles && !self.running.contains_key(name)
    }

    /// Begins loads of apps that wait.
    pub(super) fn load_waiting(&mut self) {
        while let Some(at) = self.waiting.iter().position(|name| self.is_free(name)) {
            let Some(name) = self.waiting.remove(at) else { return };
            self.see_to_state();
            if let Some(snapshot) = self.snapshots.get(&name).cloned() {
                self.start(&name, snapshot, Task::Follow, None, 0);
            }
        }
    }

    pub(super) fn carry_out(&mut self, order: Command) {
        self.see_to_state();
        let bytes = order.bytes();
        let Command { app, kind, reply } = order;
        let snapshot = self.snapshots.get(&app).map(|snapshot| snapshot.dir.clone());
        let Some(dir) = snapshot.filter(|_| self.apps.contains_key(&app)) else {
            self.shared.commands.release(bytes);
            // Whoever asked may have gone away.
            let _ = reply.send(Err(ChangeError::NotFound));
            return;
        };
        if self.running.contains_key(&app) {
            self.shared.commands.release(bytes);
            let _ = reply.send(Err(hanging(self.shared.settings.load_time).into()));
            return;
        }
        let snapshot = Arc::new(FolderSnapshot::at(&dir, &mut self.seen));
        self.start(&app, snapshot, Task::Obey(kind), Some(reply), bytes);
    }

    /// Has a thread do it, which has the app to itself until then.
    fn start(&mut self, name: &str, snapshot: Arc<FolderSnapshot>, task: Task, reply: Option<Reply>, bytes: u64) {
        let Some(kept) = self.apps.get_mut(name).and_then(|app| app.kept.take()) else {
            self.shared.commands.release(bytes);
            return;
        };
        self.begun += 1;
        let (number, load) = (self.begun, Arc::new(Load::default()));
        let (shared, state) = (self.shared.clone(), self.state.clone());
        // Comes back if no thread takes it.
        let lent = Arc::new(Mutex::new(Some((kept, task))));
        let (taken, its_load, its_name) = (lent.clone(), load.clone(), name.to_owned());
        let work = move || {
            let Some((mut kept, task)) = taken.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
            // Panics of checks are caught where the check is: this one is the keeper's last line.
            let done = panic::catch_unwind(AssertUnwindSafe(|| match task {
                Task::Follow => (kept.follow(&snapshot, &shared, &state, &its_load), None),
                Task::Obey(kind) => {
                    let result = kept.carry_out(kind, &snapshot, &shared, &state, &its_load);
                    (result.is_ok(), Some(result))
                }
            }));
            let (changed, result) = done.unwrap_or((false, None));
            // Whoever is told that this has ended may open the state folder for itself.
            drop(state);
            shared.commands.done(Done { load: number, name: its_name, kept, changed, result });
        };
        let until = Instant::now() + self.shared.settings.load_time;
        let running = Running { number, load, until, is_overdue: false, reply, bytes };
        if let Err(error) = thread::Builder::new().name("frond-load".to_owned()).spawn(work) {
            self.warn(Some(format!("no thread could be started that loads apps: {error}")));
            let kept = lent.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let (Some(app), Some((kept, _))) = (self.apps.get_mut(name), kept) {
                app.kept = Some(kept);
            }
            self.again.insert(name.to_owned(), Instant::now() + STORE_AGAIN);
            self.shared.commands.release(bytes);
            return;
        }
        self.running.insert(name.to_owned(), running);
    }

    /// Takes back what a thread had.
    pub(super) fn done(&mut self, done: Done) {
        let Done { load, name, mut kept, changed, result } = done;
        let Some(running) = self.running.remove(&name).filter(|running| running.number == load) else { return };
        self.shared.commands.release(running.bytes);
        // Of an app that has gone meanwhile, and perhaps come back, this is not wanted any more.
        let app = self.apps.get_mut(&name).filter(|app| app.kept.is_none());
        if let Some(app) = app {
            if std::mem::take(&mut app.unrescued) {
                let snapshot = self.snapshots.get(&name).map(|snapshot| &**snapshot);
                if let Err(error) = kept.rescue(snapshot, &self.state) {
                    tracing::warn!(app = name, "{}", crate::apps::error::chain(&error));
                }
            }
            if std::mem::take(&mut app.recheck) {
                kept.forget_refusal();
            }
            if running.is_overdue {
                kept.given_up(RefusedChange::now(&hanging(self.shared.settings.load_time)), &self.shared);
                self.again.insert(name.clone(), Instant::now() + LOAD_AGAIN);
            } else if kept.is_unstored() {
                self.again.insert(name.clone(), Instant::now() + STORE_AGAIN);
            } else if kept.is_outrun() {
                // The files are no longer those that were seen.
                self.shared.commands.changed();
            }
            app.kept = Some(kept);
        }
        if changed {
            self.collect();
        }
        // Whoever asked may have gone away: what was asked for is done all the same.
        if let Some(reply) = running.reply {
            let is_gone = !self.apps.contains_key(&name);
            let _ = reply.send(result.filter(|_| !is_gone).unwrap_or(Err(ChangeError::NotFound)));
        }
    }

    /// Gives up loads whose time is over. Their threads go on until they notice, and keep their apps until then.
    pub(super) fn give_up_overdue(&mut self, now: Instant) {
        let refusal = hanging(self.shared.settings.load_time);
        for (name, running) in &mut self.running {
            if running.is_overdue || running.until > now {
                continue;
            }
            if !running.load.give_up() {
                // It is being served this very moment.
                running.until = now + MOMENT;
                continue;
            }
            running.is_overdue = true;
            tracing::warn!(app = name, "a change is refused, what served before stays: {refusal}");
            if let Some(app) = self.apps.get(name) {
                let view = AppView::clone(&app.slot.view.load()).refused(RefusedChange::now(&refusal));
                self.shared.publish(&app.slot, view);
            }
            if let Some(reply) = running.reply.take() {
                let _ = reply.send(Err(refusal.clone().into()));
            }
        }
    }
}

/// Why a load was given up.
fn hanging(time: Duration) -> Refusal {
    let text = format!(
        "it has not been loaded within {} s\n(`limits.load` in the server's settings gives it more; a folder on a file system \
         that does not answer may be the reason)",
        time.as_secs_f64()
    );
    Refusal::told(Stage::Validating, text)
}
