//! The kinds of mail in the demonstration: how many of each, and what they are there to show.

use postroom::{NewAttachment, NewMail, Priority};

/// Recipients here are asked to come back once or twice before the server takes the mail.
pub(crate) const BUSY: &str = "busy.example";
/// The server hangs up on mails to here after their data, once.
pub(crate) const HANGS_UP: &str = "hangup.example";
/// The server hangs up on these recipients, once each.
pub(crate) const TIRED: &str = "tired.example";
/// This recipient alone is asked to wait while the others of its mail are taken.
pub(crate) const GREYLISTED: &str = "later@greylist.example";
/// There is no such mailbox.
pub(crate) const NOBODY: &str = "nobody@gone.example";

/// A picture of one pixel.
const PIXEL: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00, 0x00, 0x00, 0x0d, 0x49,
    0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x90, 0x2a, 0x7e, 0xf1, 0x1f, 0x00, 0x04, 0x95, 0x02, 0x75, 0x3b, 0x27, 0x56,
    0x9f, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// What a mail is there to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Html,
    InlineImage,
    Attachment,
    OtherScripts,
    Newsletter,
    Code,
    TwentyRecipients,
    PartlyDelayed,
    Refused,
    BusyTwice,
    HungUpAfterData,
    HungUpAtRecipient,
    Scheduled,
}

/// How many of each: 200 in all.
pub(crate) const COUNTS: [(Kind, usize); 14] = [
    (Kind::Text, 60),
    (Kind::Html, 30),
    (Kind::InlineImage, 20),
    (Kind::Attachment, 16),
    (Kind::OtherScripts, 20),
    (Kind::Newsletter, 24),
    (Kind::Code, 14),
    (Kind::TwentyRecipients, 1),
    (Kind::PartlyDelayed, 1),
    (Kind::Refused, 1),
    (Kind::BusyTwice, 6),
    (Kind::HungUpAfterData, 3),
    (Kind::HungUpAtRecipient, 3),
    (Kind::Scheduled, 1),
];

impl Kind {
    /// Whether it meets, on purpose, something that makes it late.
    pub(crate) fn is_delayed(self) -> bool {
        match self {
            Self::PartlyDelayed
            | Self::BusyTwice
            | Self::HungUpAfterData
            | Self::HungUpAtRecipient
            | Self::Scheduled => true,
            Self::Text
            | Self::Html
            | Self::InlineImage
            | Self::Attachment
            | Self::OtherScripts
            | Self::Newsletter
            | Self::Code
            | Self::TwentyRecipients
            | Self::Refused => false,
        }
    }

    /// Writes the mail of this kind with the number `n` into one that has a sender and one recipient.
    pub(crate) fn write(self, n: usize, mail: &mut NewMail) {
        mail.text = Some(format!("Dear customer,\n\nthis is number {n}.\n.A line that begins with a dot\n\nYours\n"));
        match self {
            Self::Text => mail.subject = format!("Your order {n}"),
            Self::Html => {
                mail.subject = format!("Your invoice {n}");
                mail.text = None;
                mail.html = Some(format!("<h1>Invoice {n}</h1><p>Thank you for <b>everything</b>.</p>"));
            }
            Self::InlineImage => with_image(n, mail),
            Self::Attachment => with_files(n, mail),
            Self::OtherScripts => in_other_scripts(n, mail),
            Self::Newsletter => {
                mail.subject = format!("News of the week {n}");
                mail.priority = Priority::Bulk;
                mail.headers.insert("List-Unsubscribe".into(), "<mailto:leave@news.example>".into());
            }
            Self::Code => {
                mail.subject = format!("Your code is {:06}", n * 7_919 % 1_000_000);
                mail.priority = Priority::Urgent;
            }
            Self::TwentyRecipients => {
                mail.subject = "Minutes of the meeting".into();
                mail.to = people("to", 10);
                mail.cc = people("cc", 6);
                mail.bcc = people("bcc", 4);
            }
            Self::PartlyDelayed => {
                mail.subject = "One of three has to wait".into();
                mail.to = vec!["first@example.org".into(), GREYLISTED.into(), "third@example.org".into()];
            }
            Self::Refused => to(mail, "To a mailbox that is gone", NOBODY.into()),
            Self::BusyTwice => to(mail, "To a server that is busy", format!("ann-{n}@{BUSY}")),
            Self::HungUpAfterData => to(mail, "To a server that hangs up late", format!("ben-{n}@{HANGS_UP}")),
            Self::HungUpAtRecipient => to(mail, "To a server that hangs up early", format!("cleo-{n}@{TIRED}")),
            Self::Scheduled => mail.subject = "Two seconds later".into(),
        }
    }
}

fn to(mail: &mut NewMail, subject: &str, recipient: String) {
    mail.subject = subject.into();
    mail.to = vec![recipient];
}

fn people(field: &str, count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("Member {n} <{field}-{n}@members.example>")).collect()
}

fn with_image(n: usize, mail: &mut NewMail) {
    mail.subject = format!("Your ticket {n}");
    mail.html = Some(format!("<p>Ticket {n}</p><img src=\"cid:logo\" alt=\"our logo\">"));
    mail.attachments.push(NewAttachment {
        filename: "logo.png".into(),
        content: PIXEL.to_vec(),
        content_type: None,
        content_id: Some("logo".into()),
    });
}

fn with_files(n: usize, mail: &mut NewMail) {
    mail.subject = format!("Your report {n}");
    let rows: String = (1..=40).map(|row| format!("{row},item {row},{}\r\n", row * n)).collect();
    let binary: Vec<u8> = (0..24_000_usize).map(|place| (place * place / 7 + n) as u8).collect();
    for (filename, content) in [(format!("report-{n}.csv"), rows.into_bytes()), ("scan.bin".into(), binary)] {
        mail.attachments.push(NewAttachment { filename, content, ..NewAttachment::default() });
    }
}

fn in_other_scripts(n: usize, mail: &mut NewMail) {
    const NAMES: [(&str, &str); 4] = [
        ("Zoë Müller", "Schöne Grüße 🎉"),
        ("山田 太郎", "ご注文ありがとうございます"),
        ("Ольга Петрова", "Ваш заказ принят ✅"),
        ("سارة", "شكرا لطلبك 🌙"),
    ];
    let (name, subject) = NAMES[n % NAMES.len()];
    mail.subject = format!("{subject} {n}");
    mail.text = Some(format!("{subject}\n\n{name}, number {n} 👋🏽\n"));
    mail.to = vec![format!("\"{name}\" <reader-{n}@example.net>")];
}
