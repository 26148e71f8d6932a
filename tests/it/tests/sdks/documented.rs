//! The examples of docs/clients.md do what they say.

use std::path::Path;

use postroom_it::PATIENCE;
use resend_rs::types::CreateEmailBaseOptions;
use resend_rs::{ConfigBuilder, Resend};
use tokio::process::Command;

use crate::api::Api;
use crate::caught::caught;
use crate::sdk::{Kind, python, scripts};

const SHOP: &str = "shop@example.com";

/// The first example in a language.
fn example(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/clients.md");
    let page = std::fs::read_to_string(page).unwrap();
    let after = page.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no example in {language}")).1;
    after.split_once("```").unwrap().0.to_owned()
}

/// Runs an example with a key that may only send, and answers what it printed.
async fn run(api: &Api, mut command: Command) -> String {
    let key = api.new_key(&["my-app", "--scope", "send"]).await;
    command.env("RESEND_BASE_URL", &api.server.base).env("RESEND_API_KEY", key).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("an end").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn shop() -> Api {
    let api = Api::start(Kind::Rust).await;
    api.rig.add_account(SHOP).await.unwrap();
    api
}

/// That the mail of an example arrived, under the id that it printed.
async fn arrived(api: &Api, subject: &str, printed: &str) {
    let mail = caught(&api.rig, 1).await.remove(0);
    assert_eq!((mail.header("Subject"), mail.recipients.as_slice()), (subject, &["bob@example.org".to_owned()][..]));
    let id = mail.header("Message-ID").trim_start_matches('<').split('@').next().unwrap().to_owned();
    assert!(printed.contains(&id), "{printed} has not {id}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl() {
    let api = shop().await;
    let mut command = Command::new("bash");
    command.args(["-euc", &example("sh run")]);
    let printed = run(&api, command).await;
    arrived(&api, "curl", &printed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node() {
    let api = shop().await;
    let mut command = Command::new("node");
    command.args(["--input-type=module", "--eval", &example("js")]).current_dir(scripts());
    let printed = run(&api, command).await;
    arrived(&api, "Node.js", &printed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_() {
    let api = shop().await;
    let mut command = Command::new(python());
    command.args(["-c", &example("python")]);
    let printed = run(&api, command).await;
    arrived(&api, "Python", &printed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let api = shop().await;
    let key = api.new_key(&["my-app", "--scope", "send"]).await;
    let id = rust_example(&api.server.base, &key).await.unwrap();
    arrived(&api, "Rust", &id).await;
    // What stands on the page is what was run.
    for line in example("rust").lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("println!"))
    {
        assert!(include_str!("documented.rs").contains(line), "not run: {line}");
    }
}

async fn rust_example(address: &str, key: &str) -> anyhow::Result<String> {
    let config = ConfigBuilder::new(key).base_url(address.parse()?).build();
    let postroom = Resend::with_config(config);
    let mail =
        CreateEmailBaseOptions::new("Shop <shop@example.com>", ["bob@example.org"], "Rust").with_text("Thank you.");
    let sent = postroom.emails.send(mail.with_idempotency_key("order-4714/receipt")).await?;
    Ok(sent.id.to_string())
}
