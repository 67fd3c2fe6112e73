//! Loads of apps, each on a separate thread and with a timeout.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::Reconciler;
use super::running::{Reply, Running};
use crate::command::{Command, CommandKind};
use crate::commands::Done;
use crate::error::{ChangeError, Refusal, Stage, chain};
use crate::folder::FolderSnapshot;
use crate::load::Load;
use crate::refused::RefusedChange;
use crate::view::AppView;
use frond_root::sync::lock;

/// The most concurrent loads. Overdue loads do not count.
const MAX_LOADS: usize = 4;
/// The most memory for the files of concurrent loads, in bytes; a single load may take more.
const MAX_LOADING: u64 = 512 << 20;
/// Delay of the retry of a change that passed but could not be stored.
const STORE_AGAIN: Duration = Duration::from_secs(30);
/// Delay of the next load of an app, once its overdue load has ended.
const LOAD_AGAIN: Duration = Duration::from_secs(300);

/// Extra time for a load that is committing when its time is over.
const MOMENT: Duration = Duration::from_secs(1);

/// The work of a load.
enum Task {
    /// Apply the folder's snapshot.
    Follow,
    /// Carry out a command.
    Obey(CommandKind),
}

impl Reconciler {
    /// True if a command for this app can be taken: it is carried out or refused at once.
    pub(super) fn is_heard(&self, name: &str) -> bool {
        self.is_free(name) || self.running.get(name).is_some_and(|running| running.is_overdue)
    }

    /// True if a load of this app can begin.
    fn is_free(&self, name: &str) -> bool {
        let under_way = self.running.values().filter(|running| !running.is_overdue).map(|running| running.memory);
        let settles = self.settling.contains_key(name) && !self.restless.contains_key(name);
        let wanted = self.snapshots.get(name).map_or(0, |snapshot| snapshot.bytes);
        has_room(under_way, wanted) && !settles && !self.running.contains_key(name)
    }

    /// Starts loads of queued apps.
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
            self.commands.release(bytes);
            // An error means that the sender has stopped waiting.
            let _ = reply.send(Err(ChangeError::NotFound));
            return;
        };
        if self.running.contains_key(&app) {
            self.commands.release(bytes);
            let _ = reply.send(Err(hanging(self.shared.settings.load_time).into()));
            return;
        }
        let snapshot = Arc::new(FolderSnapshot::at(&dir, &mut self.seen));
        self.start(&app, snapshot, Task::Obey(kind), Some(reply), bytes);
    }

    /// Starts a thread for the task. The thread owns the app until it ends.
    fn start(&mut self, name: &str, snapshot: Arc<FolderSnapshot>, task: Task, reply: Option<Reply>, bytes: u64) {
        let Some(kept) = self.apps.get_mut(name).and_then(|app| app.kept.take()) else {
            self.commands.release(bytes);
            return;
        };
        self.begun += 1;
        let number = self.begun;
        let memory = snapshot.bytes.saturating_add(bytes);
        let load = Arc::new(Load::default());
        let shared = self.shared.clone();
        let commands = self.commands.clone();
        let state = self.state.clone();
        // Shared, so that the app can be taken back if no thread starts.
        let lent = Arc::new(Mutex::new(Some((kept, task))));
        let taken = lent.clone();
        let its_load = load.clone();
        let its_name = name.to_owned();
        let work = move || {
            let Some((mut kept, task)) = lock(&taken).take() else { return };
            // Checks catch their own panics: this is the last line of defence.
            let done = panic::catch_unwind(AssertUnwindSafe(|| match task {
                Task::Follow => (kept.follow(&snapshot, &shared, &state, &its_load), None),
                Task::Obey(kind) => {
                    let result = kept.carry_out(kind, &snapshot, &shared, &state, &its_load);
                    (result.is_ok(), Some(result))
                }
            }));
            let (changed, result) = done.unwrap_or((false, None));
            // A receiver of the result may open the state folder next, so release it first.
            drop(state);
            commands.done(Done { load: number, name: its_name, kept, changed, result });
        };
        let until = Instant::now() + self.shared.settings.load_time;
        let running = Running { number, load, until, is_overdue: false, reply, bytes, memory };
        if let Err(error) = thread::Builder::new().name("frond-load".to_owned()).spawn(work) {
            self.warn(Some(format!("a thread that loads apps could not be started: {error}")));
            let kept = lock(&lent).take();
            if let (Some(app), Some((kept, _))) = (self.apps.get_mut(name), kept) {
                app.kept = Some(kept);
            }
            self.again.insert(name.to_owned(), Instant::now() + STORE_AGAIN);
            self.commands.release(bytes);
            return;
        }
        self.running.insert(name.to_owned(), running);
    }

    /// Takes the app back from a load's thread.
    pub(super) fn done(&mut self, done: Done) {
        let Done { load, name, mut kept, changed, result } = done;
        let Some(running) = self.running.remove(&name).filter(|running| running.number == load) else { return };
        self.commands.release(running.bytes);
        // The app may be gone, or gone and back: then the result is obsolete.
        let app = self.apps.get_mut(&name).filter(|app| app.kept.is_none());
        if let Some(app) = app {
            if std::mem::take(&mut app.unrescued) {
                let snapshot = self.snapshots.get(&name).map(|snapshot| &**snapshot);
                if let Err(error) = kept.rescue(snapshot, &self.state) {
                    tracing::warn!(app = name, "{}", chain(&error));
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
                // The files no longer match the snapshot.
                self.commands.changed();
            }
            app.kept = Some(kept);
        }
        if changed {
            self.collect();
        }
        // An error means that the sender has stopped waiting; the command was carried out anyway.
        if let Some(reply) = running.reply {
            let is_gone = !self.apps.contains_key(&name);
            let _ = reply.send(result.filter(|_| !is_gone).unwrap_or(Err(ChangeError::NotFound)));
        }
    }

    /// Gives up overdue loads. The threads of these loads keep their apps until they notice.
    pub(super) fn give_up_overdue(&mut self, now: Instant) {
        let refusal = hanging(self.shared.settings.load_time);
        for (name, running) in &mut self.running {
            if running.is_overdue || running.until > now {
                continue;
            }
            if !running.load.give_up() {
                // The load is committing right now.
                running.until = now + MOMENT;
                continue;
            }
            running.is_overdue = true;
            if let Some(app) = self.apps.get(name) {
                app.slot.log_refusal(name, refusal.stage, &refusal.text);
                let view = AppView::clone(&app.slot.view.load()).refused(RefusedChange::now(&refusal));
                self.shared.publish(&app.slot, view);
            }
            if let Some(reply) = running.reply.take() {
                let _ = reply.send(Err(refusal.clone().into()));
            }
        }
    }
}

/// True if a load that wants so much memory may begin beside those under way.
fn has_room(under_way: impl Iterator<Item = u64>, wanted: u64) -> bool {
    let (count, memory) = under_way.fold((0, 0_u64), |(count, all), one| (count + 1, all.saturating_add(one)));
    count == 0 || (count < MAX_LOADS && memory.saturating_add(wanted) <= MAX_LOADING)
}

/// The refusal of an overdue load.
fn hanging(time: Duration) -> Refusal {
    let text = format!(
        "the app was not loaded within {} s\n(`limits.load` in the server's settings gives it more time; compiling a large \
         component for the first time takes some, and so does a file system that does not answer)",
        time.as_secs_f64()
    );
    Refusal::told(Stage::Validating, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_bounded_in_number_and_in_memory() {
        let room = |under_way: &[u64], wanted| has_room(under_way.iter().copied(), wanted);
        assert!(room(&[], u64::MAX), "one load may always begin");
        assert!(room(&[1, 1, 1], 1) && !room(&[1, 1, 1, 1], 1));
        assert!(room(&[MAX_LOADING / 2], MAX_LOADING / 2) && !room(&[MAX_LOADING / 2], MAX_LOADING / 2 + 1));
        assert!(!room(&[u64::MAX, 1], 0));
    }
}
