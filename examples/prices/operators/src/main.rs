//! Command that serves the operators' APIs.
//!
//! Usage: `operators [--listen 127.0.0.1:7878] [--silent OPERATOR]… [--operators COUNT] [--delay
//! MILLISECONDS] [--together COUNT]`. With port 0 the system chooses a port. With `--operators` it
//! serves that many made-up operators. With `--together` no fare is answered before that many are
//! asked for. It prints the address once it listens.

#![expect(clippy::print_stdout, reason = "it serves an example, and has nothing to lose")]

use std::error::Error;
use std::time::Duration;

use operators::Settings;
use tokio::net::TcpListener;

/// Flags, for an error.
const FLAGS: &str = "--listen ADDRESS, --silent OPERATOR, --operators COUNT, --delay MILLISECONDS and --together COUNT";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut listen = "127.0.0.1:7878".to_owned();
    let mut settings = Settings::default();
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--listen" => listen = value,
            "--silent" => _ = settings.silent.insert(value),
            "--operators" => settings.made_up = Some(number(&flag, &value)?),
            "--delay" => settings.delay = Duration::from_millis(number(&flag, &value)?.into()),
            "--together" => settings.together = Some(number(&flag, &value)? as usize),
            _ => return Err(format!("{flag} is unknown\n(there are {FLAGS})").into()),
        }
    }
    let listener = TcpListener::bind(&listen).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(operators::serve(listener, settings).await?)
}

fn number(flag: &str, value: &str) -> Result<u32, String> {
    value.parse().map_err(|_| format!("{flag} needs a number, and `{value}` is none"))
}
