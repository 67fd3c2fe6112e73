//! Test harness for plugins: runs single calls and whole queries under exactly the limits of
//! production, with the same engine, the same calls and the same failures.
//!
//! 1. [`case`]: a test case, as its file gives it. [`suite`]: a package and its cases.
//! 2. [`tester`]: the loaded components of a package, called one call at a time.
//! 3. [`trial`](mod@trial): runs a case; [`observed`] is the outcome of its call. [`expect`]:
//!    compares the outcome with the expectation.
//! 4. [`laws`]: laws of merges and leaves, which allow the root to fold in any tree and to retry.
//! 5. [`inject`]: injected faults. [`junit`]: the results for a build server. [`bless`]: rewrites
//!    expectations. [`told`] describes a failed case in words, and [`advice`] gives the remedy.
//! 6. [`measure`]: the cost of calls. [`profile`]: where calls spend it. [`capture`]: stores failed
//!    calls of production and repeats them.
//!
//! ```no_run
//! use frond_test::Tester;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tester = Tester::open("my-plugin".as_ref())?;
//! let tried = tester.leaf(br#"{"longer-than": 3}"#, "lines", b"one\nthree\n")?;
//! assert_eq!(tried.result.unwrap(), r#"{"count":1}"#);
//! assert!(tried.usage.fuel < 100_000);
//! # Ok(())
//! # }
//! ```

pub mod advice;
pub mod bless;
pub mod capture;
pub mod case;
mod diff;
pub mod expect;
pub mod fixture;
pub mod inject;
mod json;
pub mod junit;
pub mod laws;
mod limits;
pub mod measure;
pub mod observed;
pub mod profile;
pub mod suite;
pub mod tester;
pub mod told;
pub mod trial;

pub use case::Case;
pub use fixture::Fixture;
pub use inject::Fault;
pub use laws::{Law, LawResult};
pub use suite::Suite;
pub use tester::Tester;
pub use trial::{CaseResult, Verdict};
