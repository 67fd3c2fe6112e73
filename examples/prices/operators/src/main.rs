//! Command that serves the operators' APIs.
//!
//! Usage: `operators [--listen 127.0.0.1:7878] [--silent OPERATOR]…`. With port 0 the system
//! chooses a port. It prints the address once it listens.

#![expect(clippy::print_stdout, reason = "it serves an example, and has nothing to lose")]

use std::collections::BTreeSet;
use std::error::Error;

use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut listen = "127.0.0.1:7878".to_owned();
    let mut silent = BTreeSet::new();
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--listen" => listen = value,
            "--silent" => _ = silent.insert(value),
            _ => return Err(format!("{flag} is unknown\n(there are --listen ADDRESS and --silent OPERATOR)").into()),
        }
    }
    let listener = TcpListener::bind(&listen).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(operators::serve(listener, silent).await?)
}
