//! Hands one mail over and waits until it went: `cargo run -p postroom --example send -- FROM TO [REDIS_URL]`.
//!
//! FROM is an account that was added with `postroom account add`. A worker has to run for the mail to go.

use std::time::Duration;

use postroom::{Client, NewMail};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: send FROM TO [REDIS_URL]".into());
    };
    let url = arguments.next().unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let client = Client::connect(&url).await?;

    let mail = NewMail {
        from,
        to: vec![to],
        subject: "Hello from Postroom".into(),
        text: Some("It works.\n".into()),
        ttl: Some(Duration::from_secs(600)),
        ..NewMail::default()
    };
    let sent = client.send(mail).await?;
    println!("handed over as {}", sent.id);

    match client.wait(sent.id, Duration::from_secs(30)).await? {
        Some(status) => println!("it is {} now", status.state.as_str()),
        None => println!("nothing is known of it any more"),
    }
    Ok(())
}
