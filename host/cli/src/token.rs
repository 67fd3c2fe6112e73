//! `frond token`: creates a token for a server, and the settings that make the server accept it.

use frond_server::config::Role;
use frond_server::config::fresh_token;

use crate::args::{TokenArgs, TokenRole};
use crate::exit::Exit;
use crate::out::print;

/// Runs the verb.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<Exit> {
    let role = match args.role {
        TokenRole::Query => Role::Query,
        TokenRole::Observer => Role::Observer,
        TokenRole::Admin => Role::Admin,
    };
    let (token, lines) = fresh_token(&args.name, role);
    print(lines.as_bytes())?;
    errln!("the token, shown only now and stored nowhere: {token}");
    errln!("(the lines on stdout go into the server's settings: frond serve DIR --config FILE)");
    Ok(Exit::Whole)
}
