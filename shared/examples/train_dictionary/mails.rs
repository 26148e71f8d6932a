//! Mails of many kinds and languages, made of the texts in `texts.toml`, the same in every run.

use std::error::Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom_shared::clock::Millis;
use postroom_shared::mail::Mail;
use postroom_shared::message::Message;
use postroom_shared::queue::Job;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chance::Chance;

/// When the mails are made: some time in 2026, a fixed one.
const NOW: Millis = Millis(1_780_000_000_000);

/// What `texts.toml` holds.
#[derive(Deserialize)]
pub(crate) struct Texts {
    names: Vec<String>,
    companies: Vec<String>,
    domains: Vec<String>,
    boxes: Vec<String>,
    people: Vec<String>,
    cities: Vec<String>,
    items: Vec<String>,
    sentences: std::collections::HashMap<String, Vec<String>>,
    layout: Vec<Layout>,
    mail: Vec<Template>,
}

/// An html around the paragraphs of a text.
#[derive(Deserialize)]
struct Layout {
    head: String,
    paragraph: String,
    button: String,
    foot: String,
}

/// One kind of mail.
#[derive(Deserialize)]
struct Template {
    lang: String,
    kind: String,
    subject: String,
    text: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    attach: String,
    #[serde(default)]
    html: bool,
    #[serde(default)]
    reply: bool,
    #[serde(default)]
    headers: bool,
    #[serde(default)]
    held_out: bool,
}

impl Texts {
    /// The texts that stand beside this program.
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        Ok(toml::from_str(include_str!("texts.toml"))?)
    }

    /// `each` mails of every kind, as plain records; of the kinds to train on, or of those that are held out.
    pub(crate) fn records(&self, each: u64, held_out: bool) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
        let kinds = self.mail.iter().enumerate().filter(|(_, kind)| kind.held_out == held_out);
        let mut records = Vec::new();
        for (number, template) in kinds {
            for round in 0..each {
                let mut made = Made::new(self, template, Chance::new(number as u64 * 100_003 + round));
                let mail = made.mail();
                records.push(plain_record(&mail, &mut made.chance)?);
            }
        }
        Ok(records)
    }
}

/// The record of a mail before it is packed, as `Job::encode` has it.
pub(crate) fn plain_record(mail: &Value, chance: &mut Chance) -> Result<Vec<u8>, Box<dyn Error>> {
    let mail = Mail::from_json(mail, NOW).map_err(|faults| format!("{faults:?}"))?;
    let at = NOW.0 + chance.below(30_000_000_000);
    let id = format!(
        "{:08x}-{:04x}-7000-{:04x}-{:012x}",
        at >> 16,
        at & 0xffff,
        0x8000 | chance.below(0x4000),
        chance.below(1 << 48)
    );
    let message = Message::freeze(&mail, id.parse()?, Millis(at)).map_err(|faults| format!("{faults:?}"))?;
    Ok(rmp_serde::to_vec_named(&Job::new(message, mail.tags().to_vec()))?)
}

/// One mail as it is made.
struct Made<'a> {
    texts: &'a Texts,
    template: &'a Template,
    chance: Chance,
    name: &'a str,
    company: &'a str,
    domain: &'a str,
    number: String,
    topic: String,
    url: String,
}

impl<'a> Made<'a> {
    fn new(texts: &'a Texts, template: &'a Template, mut chance: Chance) -> Self {
        let domain = chance.one(&texts.domains);
        let sentence = chance.one(texts.sentences.get(&template.lang).unwrap_or(&texts.names));
        let topic: Vec<&str> = sentence.trim_end_matches(['.', '?']).split(' ').collect();
        let from = (chance.below(4) as usize).min(topic.len() / 2);
        let topic = topic[from..topic.len().min(from + 5)].join(" ");
        let token = token(&mut chance);
        let page = ["orders", "account", "reset", "confirm", "track", "invoices"][chance.below(6) as usize];
        Self {
            name: chance.one(&texts.names),
            company: chance.one(&texts.companies),
            number: format!("{}", 10_000 + chance.below(900_000)),
            url: format!("https://{domain}/{page}/{token}"),
            texts,
            template,
            chance,
            domain,
            topic,
        }
    }

    /// The mail as an app would hand it over.
    fn mail(&mut self) -> Value {
        let subject = self.fill(&self.template.subject);
        let text = self.fill(self.template.text.trim_start());
        let from = format!("{}@{}", self.chance.one(&self.texts.boxes), self.domain);
        let from = if self.chance.below(5) == 0 { from } else { format!("\"{}\" <{from}>", self.company) };
        let local = match self.chance.below(3) {
            0 => format!("user{}", self.chance.below(10_000)),
            1 => ascii(self.name).replace(' ', "."),
            _ => format!("{}{}", ascii(self.first()), self.chance.below(100)),
        };
        let to = format!("{local}@{}", self.chance.one(&self.texts.people));
        let to = if self.chance.below(3) == 0 { to } else { format!("{} <{to}>", self.name) };
        let mut mail = json!({ "from": from, "to": [to], "subject": subject });
        if self.template.html && self.chance.below(4) > 0 {
            mail["html"] = self.html(&text, &subject).into();
        }
        if mail.get("html").is_none() || self.chance.below(3) > 0 {
            mail["text"] = text.replace("{button}", &self.url).into();
        }
        self.extras(&mut mail);
        mail
    }

    fn extras(&mut self, mail: &mut Value) {
        if self.chance.below(3) == 0 {
            mail["reply_to"] = json!([format!("support@{}", self.domain)]);
        }
        if self.chance.below(3) == 0 {
            mail["tags"] = json!([{ "name": "kind", "value": self.template.kind }]);
        }
        if self.template.reply {
            let before = format!("<{}@mail.{}>", token(&mut self.chance), self.domain);
            mail["headers"] = json!({ "In-Reply-To": before, "References": before });
        } else if self.template.headers {
            let link = format!("<https://{}/unsubscribe?u={}>", self.domain, token(&mut self.chance));
            mail["headers"] =
                json!({ "List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" });
        }
        let (filename, content) = match (self.template.attach.as_str(), self.chance.below(3)) {
            ("pdf", 0) => (
                format!("invoice-{}.pdf", self.number),
                self.noise(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n", 700),
            ),
            ("logo", 0..2) if mail.get("html").is_some() => (
                "logo.png".to_owned(),
                self.noise(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\x06\0\0\0", 400),
            ),
            ("csv", 0..2) => ("report.csv".to_owned(), format!("date,orders,revenue\n{}", self.rows(",")).into_bytes()),
            ("ics", 0..2) => ("invite.ics".to_owned(), self.calendar().into_bytes()),
            _ => return,
        };
        let mut file = json!({ "filename": filename, "content": STANDARD.encode(content) });
        if self.template.attach == "logo" {
            file["content_id"] = "logo".into();
        }
        mail["attachments"] = json!([file]);
    }

    /// A file that begins in this way and then has no pattern.
    fn noise(&mut self, start: &[u8], bytes: u64) -> Vec<u8> {
        let length = bytes / 2 + self.chance.below(bytes);
        start.iter().copied().chain((0..length).map(|_| self.chance.below(256) as u8)).collect()
    }

    fn calendar(&mut self) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//{}//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:{}\r\n\
             DTSTAMP:20260901T080000Z\r\nDTSTART:20260914T100000Z\r\nDTEND:20260914T110000Z\r\nSUMMARY:{}\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n",
            self.company, self.number, self.topic
        )
    }

    fn html(&mut self, text: &str, subject: &str) -> String {
        let layout = &self.texts.layout[self.chance.below(self.texts.layout.len() as u64) as usize];
        let fixed = |part: &str, made: &mut Self| {
            let part = part.replace("{subject}", subject).replace("{label}", &made.template.label);
            made.fill(&part)
        };
        let mut html = fixed(&layout.head, self);
        for paragraph in text.trim().split("\n\n") {
            if paragraph == "{button}" {
                html.push_str(&fixed(&layout.button, self));
                continue;
            }
            let escaped = paragraph.replace('&', "&amp;").replace('<', "&lt;").replace('\n', "<br>\n");
            html.push_str(&layout.paragraph.replace("{p}", &escaped));
        }
        html.push_str(&fixed(&layout.foot, self));
        html
    }

    fn first(&self) -> &'a str {
        self.name.split(' ').next().unwrap_or(self.name)
    }

    /// The template with its gaps filled; `{button}` stays.
    fn fill(&mut self, template: &str) -> String {
        let mut out = String::with_capacity(template.len() * 2);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            rest = after;
            let filled = after.split_once('}').and_then(|(gap, after)| Some((self.gap(gap)?, after)));
            match filled {
                Some((value, after)) => {
                    out.push_str(&value);
                    rest = after;
                }
                None => out.push('{'),
            }
        }
        out.push_str(rest);
        out
    }

    fn gap(&mut self, gap: &str) -> Option<String> {
        Some(match gap {
            "name" if self.chance.below(3) == 0 => self.chance.one(&self.texts.names).to_owned(),
            "name" => self.name.to_owned(),
            "first" => self.first().to_owned(),
            "company" => self.company.to_owned(),
            "domain" => self.domain.to_owned(),
            "city" => self.chance.one(&self.texts.cities).to_owned(),
            "item" => self.chance.one(&self.texts.items).to_owned(),
            "lang" => self.template.lang.clone(),
            "number" => self.number.clone(),
            "topic" => self.topic.clone(),
            "url" => self.url.clone(),
            "n" => (1 + self.chance.below(99)).to_string(),
            "code" => format!("{:06}", self.chance.below(1_000_000)),
            "amount" => format!("{}.{:02}", self.chance.below(900), self.chance.below(100)),
            "token" => token(&mut self.chance),
            "date" => self.date(),
            "rows" => self.rows("  "),
            "talk" => self.talk(),
            _ => return None,
        })
    }

    fn date(&mut self) -> String {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        let (month, day) = (self.chance.below(12) as usize, 1 + self.chance.below(28));
        match (self.template.lang.as_str(), self.chance.below(3)) {
            ("en", 0) => format!("{} {day}, 2026", MONTHS[month]),
            ("en", 1) => format!("{day} {} 2026", MONTHS[month]),
            (_, 2) => format!("2026-{:02}-{day:02}", month + 1),
            _ => format!("{day:02}.{:02}.2026", month + 1),
        }
    }

    fn rows(&mut self, gap: &str) -> String {
        let rows = 1 + self.chance.below(5);
        let row = |chance: &mut Chance| {
            let item = chance.one(&self.texts.items);
            let price = format!("{}.{:02}", 3 + chance.below(120), chance.below(100));
            format!("{} x {item}{gap}{price}", 1 + chance.below(3))
        };
        let rows: Vec<_> = (0..rows).map(|_| row(&mut self.chance)).collect();
        rows.join("\n")
    }

    /// One to four sentences, in lines of at most 72 characters or, in half of the mails, as one line.
    fn talk(&mut self) -> String {
        let Some(sentences) = self.texts.sentences.get(&self.template.lang) else {
            return String::new();
        };
        let count = 1 + self.chance.below(4);
        let all: Vec<_> = (0..count).map(|_| sentence(sentences, &mut self.chance)).collect();
        let all = all.join(" ");
        if self.template.html { all } else { wrap(&all) }
    }
}

/// One of the sentences; three times in four with words from elsewhere in it, some of them spliced from two. Without
/// these all prose would be found in the dictionary, and its tables would not learn the letters of what is not.
fn sentence(sentences: &[String], chance: &mut Chance) -> String {
    let one = chance.one(sentences);
    if chance.below(4) == 0 {
        return one.to_owned();
    }
    let mut word = || {
        let words: Vec<&str> = chance.one(sentences).trim_end_matches(['.', '?']).split(' ').collect();
        (words[chance.below(words.len() as u64) as usize], chance.below(6))
    };
    let words = one.split(' ').map(|own| match word() {
        (other, 0 | 1) => other.to_owned(),
        (other, 2) => halves(own).0.to_owned() + halves(other).1,
        _ => own.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn halves(word: &str) -> (&str, &str) {
    let at = word.char_indices().nth(word.chars().count() / 2).map_or(0, |(at, _)| at);
    word.split_at(at)
}

fn wrap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 {
            let fits = column + 1 + length <= 72;
            out.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        out.push_str(word);
        column += length;
    }
    out
}

fn ascii(name: &str) -> String {
    name.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').collect()
}

fn token(chance: &mut Chance) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let length = 10 + chance.below(14);
    (0..length).map(|_| char::from(LETTERS[chance.below(LETTERS.len() as u64) as usize])).collect()
}
