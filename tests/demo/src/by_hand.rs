//! Everything up, for trying it by hand: Redis, the sandbox, two workers, and the HTTP API with a key. Until Ctrl-C.

use anyhow::Context;
use postroom_it::{Process, binary, start_serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::mails::ACCOUNTS;
use crate::out;
use crate::stage::Stage;

/// Where the API listens, unless somebody else does.
const PREFERRED: &str = "127.0.0.1:8025";

/// Tells how to send a mail, and stays up.
pub(crate) async fn stay(stage: &Stage) -> anyhow::Result<()> {
    // Before anything is announced: a signal right after must already be heard.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let key = stage.rig.key(&["create", "demo", "--admin"]).await?;
    let (_serve, base) = serve(stage).await?;
    let file = stage.write_exports()?;
    let postroom = binary("postroom")?;
    out::say("");
    out::say("Still up. To send a mail, in another terminal:");
    out::say(&format!("  curl -s {base}/emails -H 'Authorization: Bearer {key}' \\"));
    out::say(&format!(
        "    -d '{{\"from\": \"{}\", \"to\": \"bob@example.org\", \"subject\": \"Hello\", \"text\": \"It works.\"}}'",
        ACCOUNTS[0]
    ));
    out::say(&format!("The mail that the server took: {}", stage.rig.sandbox.page_url()));
    out::say(&format!("What can be asked of the API, to read and try: {base}/docs (any name, the key as password)"));
    out::say("The command line:");
    out::say(&format!("  . {}", file.display()));
    out::say(&format!("  {} mail list", postroom.display()));
    out::say(&format!("  {} queue stats", postroom.display()));
    out::say("Ctrl-C ends it and leaves nothing behind.");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn serve(stage: &Stage) -> anyhow::Result<(Process, String)> {
    let listen = match TcpListener::bind(PREFERRED).await {
        Ok(_) => PREFERRED,
        Err(_) => "127.0.0.1:0",
    };
    start_serve(&stage.rig.with(&[("POSTROOM_LISTEN", listen)])).await.context("start the HTTP API")
}
