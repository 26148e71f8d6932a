//! The sandbox as a program: a simulated Gmail to send to by hand, stopped with Ctrl-C.
//! Only parses flags and prints where things are; everything else is in the library.

mod cli;

use clap::Parser as _;
use postroom_sandbox::Sandbox;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = cli::Cli::parse();
    // Before anything is announced: a signal right after must already be heard.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let sandbox = Sandbox::start(cli.config()).await?;
    sandbox.write_dir(&cli.dir)?;
    announce(&sandbox, &cli);

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    sandbox.stop().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the program's greeting is meant for the terminal")]
fn announce(sandbox: &Sandbox, cli: &cli::Cli) {
    println!("Postroom sandbox: a stand-in for Gmail; nothing leaves this machine.");
    println!("  SMTP     {} (TLS, XOAUTH2)", sandbox.smtp_addr());
    println!("  IMAP     {} (TLS, XOAUTH2; the Sent mailbox)", sandbox.imap_addr());
    println!("  tokens   {}", sandbox.token_url());
    println!("  page     {}", sandbox.page_url());
    println!("  account  any address; its refresh token is {}", Sandbox::refresh_token("ADDRESS"));
    println!("Point Postroom here with:  . {}", cli.dir.join("env").display());
    println!("Stop with Ctrl-C.");
}
