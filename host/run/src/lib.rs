//! An app, run. Here, and nowhere else, an app's files meet the sandbox and the root:
//!
//! 1. [`load`](mod@load): a package's components, compiled or from the cache, under the limits of its `frond.toml`.
//! 2. [`wire`](mod@wire): the same behind the root's seams, with slots to run leaves on.
//! 3. [`ask`](mod@ask): one query: cut, scattered, gathered, merged, answered.
//!
//! [`machine`] is what the apps of a process share. [`compile`] bounds what compiling their components costs.
//! [`laws`] is what is known of an app's merge: whether its answers depend on the order of arrival.
//!
//! The command line, the tests of a plugin and the server all come through here, so that all of them run the same thing.

pub mod ask;
pub mod compile;
pub mod envelope;
pub mod error;
pub mod laws;
pub mod load;
pub mod machine;
pub mod planning;
pub mod wire;

pub use ask::{Question, Replan, answer, ask, plan, request};
pub use compile::{compile_in_children, compiler};
pub use envelope::envelope;
pub use error::RunError;
pub use frond_sandbox::Role;
pub use frond_sandbox::Slots;
pub use frond_sandbox::compiler::child::{Orders as CompileOrders, run as compile_as_child};
pub use frond_sandbox::file_calls;
pub use frond_sandbox::inspect::MAX_SIZE;
pub use frond_sandbox::private_folder;
pub use frond_tls::Trust;
pub use load::{Components, Loading, load};
pub use machine::{MAX_SLOTS, Machine, usual_slots};
pub use wire::{Wired, wire};
