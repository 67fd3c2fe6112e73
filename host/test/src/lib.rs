//! Plugins tested by themselves, under exactly the limits of production: the same engine, the same calls, the same
//! failures.
//!
//! 1. [`case`]: a case as its file says it. [`suite`]: a package and its cases.
//! 2. [`tester`]: the package's components, ready to be called one call at a time.
//! 3. [`trial`](mod@trial): a case, tried; [`observed`] is what came of it. [`expect`]: what came, held against what was expected.
//! 4. [`laws`]: what a merge and a leaf must keep so that the root may fold in any tree and try again.
//! 5. [`inject`]: faults put in their way. [`junit`]: the outcome for a build server. [`bless`]: expectations rewritten.
//!    [`told`] is a failed case in words, and [`advice`] what can be done about it.
//! 6. [`measure`]: what calls cost. [`profile`]: where. [`capture`]: failed calls of production kept, and made again.
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
pub mod expect;
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

pub use case::{Case, Fixture};
pub use inject::Fault;
pub use laws::{Law, LawResult};
pub use suite::Suite;
pub use tester::Tester;
pub use trial::{CaseResult, Verdict};
