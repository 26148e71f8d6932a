//! Resend's SDK for Rust, called as the other languages' scripts call theirs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resend_rs::list_opts::ListOptions;
use resend_rs::types::{
    BatchValidation, CreateApiKeyOptions, CreateAttachment, CreateEmailBaseOptions, EmailTemplate, Tag,
    UpdateEmailOptions,
};
use resend_rs::{ConfigBuilder, Error, Method, Resend, idempotent::IdempotentTrait as _};
use serde_json::{Value, json};

use crate::sdk::Answer;

/// A client a call: each limits itself to so many requests a second.
pub async fn call(url: &str, key: &str, call: &Value) -> Answer {
    // Without its own TLS the SDK takes the workspace's, which wants to know whose cryptography.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sdk = Resend::with_config(ConfigBuilder::new(key).base_url(url.parse().unwrap()).build());
    match ask(&sdk, call).await {
        Ok(data) => Answer::of(data, &Value::Null, json!({})),
        Err(Error::Resend(error)) => Answer::of(Value::Null, &json!(error), json!({})),
        Err(Error::RateLimit { ratelimit_limit, ratelimit_remaining, ratelimit_reset }) => {
            let error = json!({ "statusCode": 429, "name": "rate_limit_exceeded", "message": "" });
            let number = |value: Option<u64>| value.map(|value| value.to_string());
            let headers = json!({
                "ratelimit-limit": number(ratelimit_limit),
                "ratelimit-remaining": number(ratelimit_remaining),
                "ratelimit-reset": number(ratelimit_reset),
            });
            Answer::of(Value::Null, &error, headers)
        }
        Err(other @ (Error::Http(_) | Error::Parse { .. } | Error::Other(_))) => {
            panic!("the SDK could not read the answer: {other:?}")
        }
    }
}

async fn ask(sdk: &Resend, call: &Value) -> Result<Value, Error> {
    let text = |field: &str| call[field].as_str();
    let id = text("id").unwrap_or_default();
    Ok(match text("op").unwrap() {
        "send" => match text("idempotency_key") {
            Some(key) => json!(sdk.emails.send(mail(&call["given"]).with_idempotency_key(key)).await?),
            None => json!(sdk.emails.send(mail(&call["given"])).await?),
        },
        "batch" => batch(sdk, call).await?,
        "get" => json!(sdk.emails.get(id).await?),
        "list" => list(sdk, &call["page"]).await?,
        "update" => {
            let update = UpdateEmailOptions::new().with_scheduled_at(text("scheduled_at").unwrap());
            json!(sdk.emails.update(id, update).await?)
        }
        "cancel" => json!(sdk.emails.cancel(id).await?),
        "key_create" => {
            let options = CreateApiKeyOptions::new(call["given"]["name"].as_str().unwrap());
            json!(sdk.api_keys.create(options.with_sending_access()).await?)
        }
        "key_list" => json!(sdk.api_keys.list(ListOptions::default()).await?),
        "key_remove" => json!(sdk.api_keys.delete(id).await?),
        "put" => sdk.send_raw(Method::PUT, text("path").unwrap(), None::<()>, Some(json!({})), None).await?,
        "fetch" => sdk.send_raw(Method::GET, text("path").unwrap(), None::<()>, None::<()>, None).await?,
        "raw" => {
            sdk.send_raw(Method::POST, text("path").unwrap(), None::<()>, Some(call["given"].clone()), None).await?
        }
        other => panic!("no such call: {other}"),
    })
}

async fn batch(sdk: &Resend, call: &Value) -> Result<Value, Error> {
    let mails: Vec<_> = call["given"].as_array().unwrap().iter().map(mail).collect();
    let validation = match call["validation"].as_str() {
        Some("permissive") => BatchValidation::Permissive,
        _ => BatchValidation::Strict,
    };
    let answer = match call["idempotency_key"].as_str() {
        Some(key) => sdk.batch.send_with_batch_validation(mails.with_idempotency_key(key), validation).await?,
        None => sdk.batch.send_with_batch_validation(mails, validation).await?,
    };
    Ok(json!(answer))
}

async fn list(sdk: &Resend, page: &Value) -> Result<Value, Error> {
    let mut options = ListOptions::default();
    if let Some(limit) = page["limit"].as_u64() {
        options = options.with_limit(u8::try_from(limit).unwrap());
    }
    Ok(match (page["after"].as_str(), page["before"].as_str()) {
        (Some(after), _) => json!(sdk.emails.list(options.list_after(after)).await?),
        (_, Some(before)) => json!(sdk.emails.list(options.list_before(before)).await?),
        (None, None) => json!(sdk.emails.list(options).await?),
    })
}

/// A text, or each of several.
fn texts(value: &Value) -> Vec<&str> {
    let several = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    value.as_str().into_iter().chain(several).collect()
}

fn mail(given: &Value) -> CreateEmailBaseOptions {
    let text = |field: &str| given[field].as_str().unwrap_or_default();
    let mut mail = CreateEmailBaseOptions::new(text("from"), texts(&given["to"]), text("subject"));
    if let Some(text) = given["text"].as_str() {
        mail = mail.with_text(text);
    }
    if let Some(html) = given["html"].as_str() {
        mail = mail.with_html(html);
    }
    for cc in texts(&given["cc"]) {
        mail = mail.with_cc(cc);
    }
    for bcc in texts(&given["bcc"]) {
        mail = mail.with_bcc(bcc);
    }
    for reply in texts(&given["reply_to"]) {
        mail = mail.with_reply(reply);
    }
    for (name, value) in given["headers"].as_object().into_iter().flatten() {
        mail = mail.with_header(name, value.as_str().unwrap());
    }
    for tag in given["tags"].as_array().into_iter().flatten() {
        mail = mail.with_tag(Tag::new(tag["name"].as_str().unwrap(), tag["value"].as_str().unwrap()));
    }
    for one in given["attachments"].as_array().into_iter().flatten() {
        mail = mail.with_attachment(attachment(one));
    }
    if let Some(when) = given["scheduled_at"].as_str() {
        mail = mail.with_scheduled_at(when);
    }
    if let Some(template) = given["template"].as_object() {
        let variables = template["variables"].as_object().cloned().unwrap_or_default().into_iter().collect();
        mail = mail.with_template(EmailTemplate::new(template["id"].as_str().unwrap()).with_variables(variables));
    }
    mail
}

fn attachment(given: &Value) -> CreateAttachment {
    let mut attachment = match (given["base64"].as_str(), given["path"].as_str()) {
        (Some(base64), _) => CreateAttachment::from_content(STANDARD.decode(base64).unwrap()),
        (None, path) => CreateAttachment::from_path(path.unwrap()),
    };
    if let Some(filename) = given["filename"].as_str() {
        attachment = attachment.with_filename(filename);
    }
    if let Some(kind) = given["content_type"].as_str() {
        attachment = attachment.with_content_type(kind);
    }
    if let Some(id) = given["content_id"].as_str() {
        attachment = attachment.with_content_id(id);
    }
    attachment
}
