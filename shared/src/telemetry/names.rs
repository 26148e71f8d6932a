//! The names of spans and of their attributes, by OpenTelemetry's semantic conventions where they have one.
//!
//! The conventions for messaging are still in development: docs/telemetry.md says which version this follows.

/// The version of the semantic conventions that these names follow; stands in what is exported.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.40.0";

/// What mails are handed to and taken from, in the words of messaging.
pub const DESTINATION: &str = "postroom";

/// Handing over, at the door. A producer's span.
pub const SEND: &str = "send postroom";
/// One attempt. A consumer's span, and the root of its trace.
pub const PROCESS: &str = "process postroom";
/// From when the mail could go to when a worker had it.
pub const QUEUE_WAIT: &str = "queue wait";
/// Looking for the mail in the account's Sent mailbox.
pub const LOOK: &str = "look in sent";
/// Getting an access token.
pub const TOKEN: &str = "token";
/// A new connection, to the end of its login.
pub const CONNECT: &str = "connect";
/// TCP and TLS; lies within [`CONNECT`], as the next two.
pub const DIAL: &str = "smtp dial";
/// The server's first line, and `EHLO`.
pub const EHLO: &str = "smtp ehlo";
/// `AUTH XOAUTH2`.
pub const AUTH: &str = "smtp auth";
/// `MAIL FROM`.
pub const MAIL: &str = "smtp mail";
/// `RCPT TO`.
pub const RCPT: &str = "smtp rcpt";
/// `DATA`.
pub const DATA: &str = "smtp data";
/// The bytes, to the reply after the last of them.
pub const FINAL: &str = "smtp final";
/// From the attempt's end to when Redis had it.
pub const SETTLE: &str = "settle";

/// Attributes.
pub mod attribute {
    /// Always `postroom`.
    pub const SYSTEM: &str = "messaging.system";
    /// `send` or `process`.
    pub const OPERATION: &str = "messaging.operation.name";
    /// `send` or `process`.
    pub const OPERATION_TYPE: &str = "messaging.operation.type";
    /// Always [`super::DESTINATION`].
    pub const DESTINATION: &str = "messaging.destination.name";
    /// The mail's id.
    pub const MESSAGE: &str = "messaging.message.id";
    /// How many mails were handed over together.
    pub const BATCH: &str = "messaging.batch.message_count";
    /// The reason's word, of what failed.
    pub const ERROR: &str = "error.type";
    /// The attempt's number, from 1.
    pub const ATTEMPT: &str = "postroom.attempt";
    /// Eight hex digits that stand for the account.
    pub const ACCOUNT: &str = "postroom.account.hash";
    /// What follows for the mail.
    pub const OUTCOME: &str = "postroom.outcome";
    /// Why.
    pub const REASON: &str = "postroom.reason";
    /// The worker's session.
    pub const WORKER: &str = "postroom.worker";
    /// Said only of test mails: true.
    pub const TEST: &str = "postroom.test";
    /// The server's three digits.
    pub const CODE: &str = "smtp.reply.code";
    /// The enhanced code, such as `5.1.1`.
    pub const ENHANCED: &str = "smtp.reply.enhanced_code";
    /// The stage that was answered.
    pub const STAGE: &str = "smtp.stage";
}
